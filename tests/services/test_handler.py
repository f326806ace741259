"""What is forwarded to handlers, and the probe, to real HTTP servers. Deliveries: test_handler_calls.py."""

import socket
from typing import Any

import pytest
import trustme

from dashboard.rules.causes import Cause
from dashboard.services.handler import ANSWER_KEPT, ANSWER_LIMIT, HandlerFailed, passed_on, probe, send
from tests.services.misbehaving import (
    Behaviour,
    answer,
    certified,
    closed_port,
    dripping,
    hanging_up,
    head,
    misbehaving,
    nobody_answers,
    raw,
    reset_after_request,
    silent,
)


@pytest.mark.parametrize("status", [200, 405, 501, 503])
def test_probe_asks_by_head_for_nothing_and_returns_what_is_answered(status: int) -> None:
    with misbehaving(answer(status)) as server:
        answered = probe(url=f"{server.url}/%7Ehook/./a|b?", deadline_s=20.0)
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("HEAD", "/%7Ehook/./a|b?", b"")
    assert sorted(name.lower() for name, _ in request.headers) == ["connection", "host", "via"]
    assert answered.status == status


def test_probe_tries_a_second_address_beside_a_first_that_nobody_answers_at(monkeypatch: pytest.MonkeyPatch) -> None:
    with misbehaving(answer(200)) as server, nobody_answers(socket.AF_INET6, ("::1", server.port)):
        both = [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", server.port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_named: both)
        answered = probe(url=f"http://handler.example:{server.port}/", deadline_s=20.0)
    assert answered.status == 200
    assert answered.latency_ms < 5_000  # 250, on a machine that has time


def test_probe_of_a_handler_of_the_companys_authority_is_answered_if_the_operator_trusts_it(
    settings: Any, authority: trustme.CA, ca_file: str
) -> None:
    with misbehaving(answer(200), tls=certified(authority, "localhost")) as server:
        with pytest.raises(HandlerFailed) as raised:
            probe(url=server.url, deadline_s=20.0)
        settings.EXTRA_CA_BUNDLE = ca_file
        assert (raised.value.cause, probe(url=server.url, deadline_s=20.0).status) == (Cause.TLS, 200)


def test_probe_of_a_handler_that_is_not_there_says_so() -> None:
    with pytest.raises(HandlerFailed) as raised:
        probe(url=f"http://localhost:{closed_port()}/", deadline_s=20.0)
    assert raised.value.cause is Cause.REFUSED
    assert raised.value.words == "The handler: the connection was refused (Connection refused)."


def test_send_posts_exactly_this_body_and_these_headers_with_via() -> None:
    headers = [("Content-Type", "application/json"), ("X-OpenTrain-Event", "contract.ended")]
    with misbehaving(answer(202, b"ok")) as server:
        answered = send(url=f"{server.url}/%7Ehook?a=b", headers=headers, body=b'{"a":1}', deadline_s=20.0)
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/%7Ehook?a=b", b'{"a":1}')
    assert {name: value for name, value in request.headers if name not in {"Host", "Connection"}} == {
        "Content-Type": "application/json",
        "Content-Length": "7",
        "X-OpenTrain-Event": "contract.ended",
        "Via": "1.1 redeliver",
    }
    assert (answered.status, answered.body, answered.body_fault) == (202, b"ok", Cause.NONE)


def test_status_of_a_send_decides_whatever_becomes_of_the_body() -> None:
    with misbehaving(raw(head(200, "Content-Length: 100") + b"cut")) as server:
        cut_off = send(url=server.url, headers=[], body=b"{}", deadline_s=20.0)
    with misbehaving(dripping(head(200, "Content-Length: 1000"), b"x" * 1000, every_s=0.1)) as server:
        late = send(url=server.url, headers=[], body=b"{}", deadline_s=1.0)
    with misbehaving(answer(503, b"x" * (ANSWER_LIMIT + 1))) as server:
        long = send(url=server.url, headers=[], body=b"{}", deadline_s=20.0)
    assert [(one.status, one.body_fault) for one in (cut_off, late)] == [(200, Cause.CUT_OFF), (200, Cause.TIMEOUT)]
    assert (long.status, len(long.body)) == (503, ANSWER_KEPT)


@pytest.mark.parametrize(
    ("behaviour", "cause", "sent"),
    [
        (silent, Cause.TIMEOUT, True),
        (reset_after_request, Cause.CONNECTION, True),
        (hanging_up, Cause.CONNECTION, True),
        (raw(b"nonsense\r\n\r\n"), Cause.GARBLED, True),
        (raw(head(150)), Cause.GARBLED, True),
    ],
)
def test_send_without_a_status_may_have_arrived(behaviour: Behaviour, cause: Cause, sent: bool) -> None:
    with misbehaving(behaviour) as server, pytest.raises(HandlerFailed) as raised:
        send(url=server.url, headers=[], body=b"{}", deadline_s=1.0)
    assert (raised.value.cause, raised.value.sent) == (cause, sent)


def test_send_that_found_no_server_or_a_private_one_did_not_arrive(settings: Any) -> None:
    with pytest.raises(HandlerFailed) as refused:
        send(url=f"http://localhost:{closed_port()}/", headers=[], body=b"{}", deadline_s=20.0)
    settings.HANDLER_PRIVATE_ADDRESSES = False
    with misbehaving(answer(200)) as server, pytest.raises(HandlerFailed) as denied:
        send(url=server.url, headers=[], body=b"{}", deadline_s=20.0)
    assert [(one.value.cause, one.value.sent) for one in (refused, denied)] == [
        (Cause.REFUSED, False),
        (Cause.DENIED, False),
    ]
    assert server.requests == []


def test_passed_on_leaves_out_what_belongs_to_the_hop_and_what_connection_names() -> None:
    headers = [
        ("Connection", "keep-alive, X-Hop"),
        ("Keep-Alive", "5"),
        ("X-Hop", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Te", "trailers"),
        ("Upgrade", "h2c"),
        ("Expect", "100-continue"),
        ("Proxy-Authorization", "Basic x"),
        ("Authorization", "Bearer y"),
        ("Via", "1.1 proxy"),
        ("X-Broken", "a\x00b"),
        ("X-Far", "caf\xe9"),
    ]
    assert passed_on(headers=headers) == [
        ("Authorization", "Bearer y"),
        ("X-Far", "caf\xe9"),
        ("Via", "1.1 proxy, 1.1 redeliver"),
    ]
