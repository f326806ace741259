"""Forwarding a delivery, to real HTTP servers that behave and misbehave."""

import gzip
import time

import pytest

from dashboard.rules.causes import Cause
from dashboard.services import handler
from dashboard.services.handler import HandlerFailed, ask, passed_on, probe
from tests.services.misbehaving import (
    answer,
    chunked,
    closed_port,
    dripping,
    endless,
    hanging_up,
    head,
    misbehaving,
    raw,
    reset_after_request,
    silent,
)

DELIVERED = [
    ("Host", "redeliver.example.com"),
    ("Content-Type", "application/json"),
    ("Content-Length", "7"),
    ("X-OpenTrain-Event", "contract.started"),
    ("X-OpenTrain-Delivery", "dlv_1"),
    ("X-OpenTrain-Signature", "t=1,v1=ab"),
    ("User-Agent", "OpenTrain-Partner-Webhooks/1.0"),
]


def deliver(url, *, headers=DELIVERED, body=b'\x00\xff{"\n', deadline_s=20.0):
    return ask(url=f"{url}/hook?x=1", headers=headers, body=body, deadline_s=deadline_s)


def test_ask_passes_on_every_byte_and_end_to_end_header_and_adds_only_via() -> None:
    with misbehaving(answer(200)) as server:
        deliver(server.url)
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/hook?x=1", b'\x00\xff{"\n')
    assert {name.lower(): value for name, value in request.headers} == {
        "host": f"localhost:{server.port}",
        "connection": "close",
        "content-length": "5",
        "content-type": "application/json",
        "x-opentrain-event": "contract.started",
        "x-opentrain-delivery": "dlv_1",
        "x-opentrain-signature": "t=1,v1=ab",
        "user-agent": "OpenTrain-Partner-Webhooks/1.0",
        "via": "1.1 redeliver",
    }


def test_ask_with_few_headers_adds_no_others_of_its_own() -> None:
    with misbehaving(answer(200)) as server:
        deliver(server.url, headers=[], body=b"")
    assert sorted(name.lower() for name, _ in server.requests[0].headers) == [
        "connection", "content-length", "host", "via",
    ]  # fmt: skip


@pytest.mark.parametrize("status", [200, 405, 501, 503])
def test_probe_asks_by_head_for_nothing_and_returns_what_is_answered(status: int) -> None:
    with misbehaving(answer(status)) as server:
        answered = probe(url=f"{server.url}/hook", deadline_s=20.0)
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("HEAD", "/hook", b"")
    assert sorted(name.lower() for name, _ in request.headers) == ["connection", "host", "via"]
    assert answered.status == status


def test_probe_of_a_handler_that_is_not_there_says_so() -> None:
    with pytest.raises(HandlerFailed) as raised:
        probe(url=f"http://localhost:{closed_port()}/", deadline_s=20.0)
    assert raised.value.cause is Cause.REFUSED
    assert raised.value.words == "The handler: the connection was refused (Connection refused)."


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


def test_ask_refuses_a_delivery_that_has_come_through_redeliver_before_and_names_the_loop() -> None:
    with misbehaving(answer(200)) as server:
        with pytest.raises(HandlerFailed) as raised:
            deliver(server.url, headers=[*DELIVERED, ("Via", "1.1 redeliver, 1.1 proxy")])
        assert server.connections == 0
    assert raised.value.cause is Cause.LOOP
    assert raised.value.words == "The handler was not called: its URL leads back to Redeliver (Via: 1.1 redeliver)."


@pytest.mark.parametrize("status", [200, 204, 302, 410, 503])
def test_ask_gives_back_the_handlers_status_and_follows_no_redirect(status) -> None:
    with misbehaving(answer(status, headers=["Location: /elsewhere"]), answer(200, b"followed")) as server:
        found = deliver(server.url)
    assert (found.status, found.body, len(server.requests)) == (status, b"", 1)
    assert ("Location", "/elsewhere") in found.headers


def test_ask_gives_back_a_chunked_body_and_its_headers() -> None:
    reply = head(200, "Content-Type: text/html", "Transfer-Encoding: chunked") + chunked(b"<p>", b"thanks")
    with misbehaving(raw(reply)) as server:
        found = deliver(server.url)
    assert (found.status, found.body) == (200, b"<p>thanks")
    assert ("Content-Type", "text/html") in found.headers


def test_ask_cuts_a_long_answer_and_keeps_its_status() -> None:
    with misbehaving(answer(200, b"x" * 100_000)) as server:
        found = deliver(server.url)
    assert (found.status, found.body) == (200, b"x" * handler.ANSWER_KEPT)


def test_ask_gives_back_a_compressed_answer_whole_or_not_at_all() -> None:
    small, large = gzip.compress(b"thanks"), gzip.compress(bytes(range(256)) * 4)
    encoded = "Content-Encoding: gzip"
    large += b"\x00" * handler.ANSWER_KEPT
    with misbehaving(answer(200, small, headers=[encoded]), answer(200, large, headers=[encoded])) as server:
        assert deliver(server.url).body == small
        assert deliver(server.url).body == b""


@pytest.mark.parametrize(
    ("behaviour", "cause", "words"),
    [
        (silent, Cause.TIMEOUT, "no response in time"),
        (dripping(head(200, "Content-Length: 999"), b"x" * 999, every_s=0.05), Cause.TIMEOUT, "no response in time"),
        (hanging_up, Cause.CONNECTION, "the connection broke"),
        (reset_after_request, Cause.CONNECTION, "the connection broke (Connection reset by peer)"),
        (raw(b"220 smtp.example.com ready\r\n"), Cause.GARBLED, "the response is not HTTP"),
        (raw(head(200, "Content-Length: 10") + b"half"), Cause.CUT_OFF, "the response was cut off"),
        (endless(head(200), b"x" * 65536), Cause.TOO_LARGE, "the response was too large"),
        (raw(head(700, "Content-Length: 0")), Cause.GARBLED, "the answer's status is not a final status"),
        (raw(head(101, "Upgrade: h2c")), Cause.GARBLED, "the answer's status is not a final status"),
    ],
)
def test_ask_of_a_misbehaving_handler_fails_with_its_cause_in_time(behaviour, cause, words) -> None:
    with misbehaving(behaviour) as server:
        started = time.monotonic()
        with pytest.raises(HandlerFailed) as caught:
            deliver(server.url, deadline_s=2.0)
        assert time.monotonic() - started < 15  # the silent and the dripping server go on for at least 30 s
    assert (caught.value.cause, caught.value.words) == (cause, f"The handler: {words}.")


def test_ask_of_a_closed_port_is_refused() -> None:
    with pytest.raises(HandlerFailed) as caught:
        deliver(f"http://127.0.0.1:{closed_port()}")
    assert caught.value.cause is Cause.REFUSED


def speaking_first(connection) -> None:
    connection.sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_ask_of_plain_http_over_tls_fails_as_tls() -> None:
    with misbehaving(speaking_first) as server, pytest.raises(HandlerFailed) as caught:
        deliver(server.url.replace("http:", "https:"))
    assert caught.value.cause is Cause.TLS


@pytest.mark.parametrize(
    "url",
    ["ftp://localhost", "http://", "nonsense", "http://user:pw@localhost", "http://localhost:99999", "http://[::"],
)
def test_ask_of_an_address_that_cannot_be_called_says_so(url) -> None:
    with pytest.raises(HandlerFailed) as caught:
        ask(url=url, headers=DELIVERED, body=b"{}", deadline_s=1.0)
    assert caught.value.cause is Cause.ADDRESS
    assert "pw" not in caught.value.words


def test_ask_with_no_time_left_is_a_time_out_and_calls_nobody() -> None:
    with misbehaving(answer(200)) as server:
        with pytest.raises(HandlerFailed) as caught:
            deliver(server.url, deadline_s=0)
        assert (caught.value.cause, server.requests) == (Cause.TIMEOUT, [])
