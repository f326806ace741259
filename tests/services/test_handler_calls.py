"""The calls of the asynchronous receiver to handlers: what is forwarded, what an answer is, and what a failure says."""

import asyncio
import gzip
import socket
from collections.abc import Callable, Sequence
from typing import Any

import brotli
import pytest
import trustme

from dashboard.rules.causes import Cause
from dashboard.services.handler import ANSWER_KEPT, HandlerAnswer, HandlerFailed
from dashboard.services.handler_calls import HandlerCalls
from dashboard.services.http import connections
from tests.services import misbehaving as bad
from tests.services.misbehaving import Behaviour, certified, misbehaving, nobody_answers

DELIVERED = [
    ("Host", "redeliver.example.com"),
    ("Content-Type", "application/json"),
    ("content-length", "7"),
    ("X-OpenTrain-Event", "contract.started"),
    ("x-opentrain-DELIVERY", "dlv_1"),
    ("X-OpenTrain-Signature", "t=1,v1=ab"),
    ("X-Trace", "1"),
    ("User-Agent", "OpenTrain-Partner-Webhooks/1.0"),
    ("X-Trace", "caf\xe9"),
    ("Accept-Encoding", "gzip, br"),
    ("Connection", "keep-alive, X-Hop"),
    ("X-Hop", "1"),
    ("Transfer-Encoding", "chunked"),
]
BODY = b'\x00\xff{"\n'


@pytest.fixture(autouse=True)
def _handlers_may_be_local(settings: Any) -> None:
    settings.HANDLER_PRIVATE_ADDRESSES = True


def deliver(
    url: str,
    *,
    headers: Sequence[tuple[str, str]] = DELIVERED,
    deadline_s: float = 20.0,
    look_up: Callable[[str], tuple[str, ...]] = connections.of_system,
) -> HandlerAnswer:
    async def main() -> HandlerAnswer:
        async with HandlerCalls(look_up=look_up) as calls:
            return await calls.ask(url=url, headers=headers, body=BODY, deadline_s=deadline_s)

    return asyncio.run(main())


def refused(url: str, **given: Any) -> HandlerFailed:
    with pytest.raises(HandlerFailed) as caught:
        deliver(url, **given)
    return caught.value


def test_ask_passes_on_every_byte_and_end_to_end_header_in_its_order_and_adds_only_via() -> None:
    with misbehaving(bad.answer(200)) as server:
        deliver(f"{server.url}/%7Ehook/./a|b?")
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/%7Ehook/./a|b?", BODY)
    assert request.headers == (
        ("Host", f"localhost:{server.port}"),
        ("Content-Type", "application/json"),
        ("X-OpenTrain-Event", "contract.started"),
        ("x-opentrain-DELIVERY", "dlv_1"),
        ("X-OpenTrain-Signature", "t=1,v1=ab"),
        ("X-Trace", "1"),
        ("User-Agent", "OpenTrain-Partner-Webhooks/1.0"),
        ("X-Trace", "caf\xe9"),
        ("Accept-Encoding", "gzip, br"),
        ("Via", "1.1 redeliver"),
        ("Content-Length", str(len(BODY))),
    )


@pytest.mark.parametrize("status", [200, 202, 204, 299, 302, 410, 503, 599])
def test_ask_gives_back_the_handlers_status_and_follows_no_redirect(status: int) -> None:
    with misbehaving(bad.answer(status, headers=["Location: /elsewhere"])) as server:
        found = deliver(server.url)
    assert (found.status, found.body, found.body_fault, len(server.requests)) == (status, b"", Cause.NONE, 1)
    assert ("Location", "/elsewhere") in found.headers


@pytest.mark.parametrize("status", [101, 199, 600, 700])
def test_ask_of_a_handler_with_a_status_that_is_not_final_fails(status: int) -> None:
    reply = bad.raw(bad.head(status, "Content-Length: 0"))
    with misbehaving(reply) as server:
        failed = refused(server.url)
    skipped = status == 199  # an interim response, and then nothing
    assert failed.cause is (Cause.CUT_OFF if skipped else Cause.GARBLED)


@pytest.mark.parametrize(
    ("behaviour", "fault", "body"),
    [
        (bad.raw(bad.head(200, "Content-Length: 10") + b"half"), Cause.CUT_OFF, b"half"),
        (bad.raw(bad.head(200, "Transfer-Encoding: chunked") + b"4\r\nhalf\r\n"), Cause.CUT_OFF, b"half"),
        (bad.raw(bad.head(200, "Transfer-Encoding: chunked") + b"4\r\nhalf!!\r\n"), Cause.GARBLED, b"half"),
        (bad.reset_within(bad.head(200, "Content-Length: 10") + b"half"), Cause.CUT_OFF, b"half"),
        (bad.endless(bad.head(200), b"x" * 65536), Cause.TOO_LARGE, b"x" * ANSWER_KEPT),
        (bad.raw(bad.head(200, "Content-Length: 10", "Content-Encoding: gzip") + b"half"), Cause.CUT_OFF, b""),
    ],
    ids=["short", "short chunk", "bad chunk", "reset", "endless", "compressed"],
)
def test_status_decides_when_the_body_breaks_and_the_answer_says_so(
    behaviour: Behaviour, fault: Cause, body: bytes
) -> None:
    with misbehaving(behaviour) as server:
        found = deliver(server.url)
    assert (found.status, found.body_fault, found.body) == (200, fault, body)


@pytest.mark.parametrize("status", [302, 410, 503])
def test_status_other_than_2xx_counts_too_when_the_body_breaks(status: int) -> None:
    with misbehaving(bad.raw(bad.head(status, "Content-Length: 10") + b"half")) as server:
        found = deliver(server.url)
    assert (found.status, found.body_fault, found.body) == (status, Cause.CUT_OFF, b"half")


def test_status_decides_when_the_body_drips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BODY_S", 0.2)
    with misbehaving(bad.dripping(bad.head(201, "Content-Length: 999"), b"x" * 999, every_s=0.02)) as server:
        found = deliver(server.url)
    assert (found.status, found.body_fault) == (201, Cause.TIMEOUT)


def test_interim_answers_before_the_final_one_are_skipped() -> None:
    interim = bad.head(102) + bad.head(103, "Link: </style.css>; rel=preload")
    with misbehaving(bad.raw(interim + bad.head(200, "Content-Length: 2") + b"ok")) as server:
        found = deliver(server.url)
    assert (found.status, found.headers, found.body) == (200, (("Content-Length", "2"),), b"ok")


@pytest.mark.parametrize(
    ("reply", "body"),
    [
        (bad.head(204) + b"body", b""),
        (bad.head(204, "Content-Length: 4") + b"body", b""),
        (bad.head(200, "Content-Length: 2", "Content-Length: 2") + b"ok", b"ok"),
        (bad.head(200, *[f"X-{number}: 1" for number in range(300)], "Content-Length: 2") + b"ok", b"ok"),
        (bad.head(200, f"Set-Cookie: a={'b' * 12_000}", "Content-Length: 2") + b"ok", b"ok"),
    ],
    ids=["204 with a body", "204 with a length", "two lengths", "300 headers", "12 KB cookie"],
)
def test_odd_answers_that_clients_commonly_accept_are_accepted(reply: bytes, body: bytes) -> None:
    with misbehaving(bad.raw(reply)) as server:
        found = deliver(server.url)
    assert (found.status // 100, found.body, found.body_fault) == (2, body, Cause.NONE)


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_ask_gives_back_a_compressed_answer_as_it_came_or_not_at_all(coding: str) -> None:
    small = gzip.compress(b"0" * 1_000_000) if coding == "gzip" else brotli.compress(b"0" * 1_000_000)
    large, encoded = small + b"\x00" * ANSWER_KEPT, f"Content-Encoding: {coding}"
    with misbehaving(bad.answer(200, small, headers=[encoded]), bad.answer(200, large, headers=[encoded])) as server:
        assert deliver(server.url).body == small
        assert deliver(server.url).body == b""


def test_ask_gives_back_a_body_in_another_charset_as_it_came() -> None:
    said = "\u53d7\u4fe1".encode("shift_jis")
    with misbehaving(bad.answer(200, said, content_type="text/plain; charset=Shift_JIS")) as server:
        assert deliver(server.url).body == said


def test_ask_cuts_a_long_answer_and_keeps_its_status() -> None:
    with misbehaving(bad.answer(200, b"x" * 100_000)) as server:
        found = deliver(server.url)
    assert (found.status, found.body, found.body_fault) == (200, b"x" * ANSWER_KEPT, Cause.NONE)


@pytest.mark.parametrize(
    "via",
    [
        ["1.1 redeliver"],
        ["1.1 redeliver, 1.1 proxy.example (nginx)"],
        ["1.0 fred, HTTP/1.1 redeliver"],
        ["1.1 proxy", "1.1\tredeliver"],
    ],
)
def test_delivery_that_has_come_through_redeliver_before_is_refused_with_words_that_name_the_loop(
    via: list[str],
) -> None:
    with misbehaving(bad.answer(200)) as server:
        failed = refused(server.url, headers=[*DELIVERED, *[("via", value) for value in via]])
        assert server.connections == 0
    assert failed.cause is Cause.LOOP
    assert failed.words == "The handler was not called: its URL leads back to Redeliver (Via: 1.1 redeliver)."


@pytest.mark.parametrize("via", ["1.1 redeliver.example.com", "1.1 proxy (redeliver)", "redeliver", ""])
def test_delivery_that_came_through_something_else_is_passed_on_with_redeliver_added(via: str) -> None:
    with misbehaving(bad.answer(200)) as server:
        deliver(server.url, headers=[("Via", via)])
    assert server.requests[0].values("Via") == [f"{via}, 1.1 redeliver"]


def test_handler_at_a_private_address_is_denied_unless_the_operator_allows_it(settings: Any) -> None:
    settings.HANDLER_PRIVATE_ADDRESSES = False
    with misbehaving(bad.answer(200)) as server:
        failed = refused(server.url)
        assert server.connections == 0
    assert (failed.cause, failed.words) == (Cause.DENIED, "The handler: the address is not public (loopback).")


def test_handler_with_a_certificate_of_the_companys_authority_is_called_if_the_operator_trusts_it(
    settings: Any, authority: trustme.CA, ca_file: str
) -> None:
    with misbehaving(bad.answer(200), tls=certified(authority, "handler.example")) as server:
        url = f"https://handler.example:{server.port}/"
        failed = refused(url, look_up=lambda _: ("127.0.0.1",))
        settings.EXTRA_CA_BUNDLE = ca_file
        found = deliver(url, look_up=lambda _: ("127.0.0.1",))
    assert (failed.cause, found.status) == (Cause.TLS, 200)


def test_handler_whose_first_address_is_dead_is_reached_at_the_second_within_a_second_or_so() -> None:
    with misbehaving(bad.answer(200)) as server, nobody_answers(socket.AF_INET6, ("::1", server.port)):
        found = deliver(f"http://handler.example:{server.port}/", look_up=lambda _: ("::1", "127.0.0.1"))
    assert (found.status, server.connections) == (200, 1)
    assert found.latency_ms < 5_000  # 250, on a machine that has time


@pytest.mark.parametrize(
    ("behaviour", "cause", "words"),
    [
        (bad.silent, Cause.TIMEOUT, "no response in time"),
        (bad.hanging_up, Cause.CONNECTION, "the connection broke"),
        (bad.reset_after_request, Cause.CONNECTION, "the connection broke (Connection reset by peer)"),
        (bad.raw(b"220 smtp.example.com ready\r\n"), Cause.GARBLED, "the response is not HTTP"),
    ],
)
def test_ask_of_a_handler_without_an_answer_fails_with_its_cause(behaviour, cause, words) -> None:
    with misbehaving(behaviour) as server:
        failed = refused(server.url, deadline_s=1.0)
    assert (failed.cause, failed.words) == (cause, f"The handler: {words}.")


def test_ask_of_a_closed_port_is_refused() -> None:
    assert refused(f"http://127.0.0.1:{bad.closed_port()}").cause is Cause.REFUSED


def test_ask_of_an_address_that_cannot_be_called_says_so_without_its_password() -> None:
    failed = refused("http://user:pw@localhost/")
    assert failed.cause is Cause.ADDRESS
    assert "pw" not in failed.words


def test_ask_with_no_time_left_is_a_time_out_and_calls_nobody() -> None:
    with misbehaving(bad.answer(200)) as server:
        failed = refused(server.url, deadline_s=0)
        assert (failed.cause, server.connections) == (Cause.TIMEOUT, 0)


def test_many_calls_that_wait_delay_no_other() -> None:
    with misbehaving(bad.silent) as slow, misbehaving(bad.answer(200)) as quick:

        async def main() -> None:
            async with HandlerCalls() as calls:

                async def ask(url: str) -> HandlerAnswer:
                    return await calls.ask(url=url, headers=DELIVERED, body=BODY, deadline_s=20.0)

                waiting = [asyncio.create_task(ask(slow.url)) for _ in range(100)]
                await asyncio.to_thread(slow.wait_for_requests, 100)
                assert (await ask(quick.url)).status == 200
                assert not any(task.done() for task in waiting)
                for task in waiting:
                    task.cancel()

        asyncio.run(main())
