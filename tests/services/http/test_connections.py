"""POSTs on an event loop, to real servers on raw sockets: what is sent and read, and connections that are kept."""

import asyncio
import os
import threading

import pytest

from dashboard.rules.causes import Cause
from dashboard.services.http import connections
from dashboard.services.http.answers import AnswerReader
from dashboard.services.http.client import HttpAnswer, NoAnswer
from dashboard.services.http.connections import Connections
from tests.services import misbehaving as bad
from tests.services.exchanging import AS_WRITTEN
from tests.services.misbehaving import Behaviour, Connection, misbehaving

PATIENT_S = 20.0
OK = bad.head(200, "Content-Length: 2") + b"ok"


async def post(pool: Connections, url: str, **given) -> HttpAnswer:
    asked = {
        "headers": [],
        "body": b"{}",
        "total_s": PATIENT_S,
        "max_bytes": 1000,
        "kept_bytes": 1000,
        "check": None,
    }
    return await pool.post(url=url, **(asked | given))


def ask(*urls: str, look_up=connections.of_system, **given) -> list[HttpAnswer]:
    """POST to each URL in turn, over one pool."""

    async def main() -> list[HttpAnswer]:
        async with Connections(look_up=look_up) as pool:
            return [await post(pool, url, **given) for url in urls]

    return asyncio.run(main())


def fail(url: str, **given) -> NoAnswer:
    with pytest.raises(NoAnswer) as caught:
        ask(url, **given)
    return caught.value


def answering(*replies: bytes) -> Behaviour:
    """Answer one request after another on the same connection, then close it."""

    def behave(connection: Connection) -> None:
        for reply in replies:
            connection.read_request()
            connection.sock.sendall(reply)

    return behave


def keeping(*replies: bytes) -> Behaviour:
    """Answer one request after another on the same connection, and keep it open."""

    def behave(connection: Connection) -> None:
        answering(*replies)(connection)
        connection.server.stopping.wait(bad.PATIENCE_S)

    return behave


def test_large_response_is_read_in_small_steps_between_which_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    feed = AnswerReader.feed
    monkeypatch.setattr(AnswerReader, "feed", lambda self, data: (sizes.append(len(data)), feed(self, data)))
    with misbehaving(bad.answer(200, b"x" * 500_000)) as server:
        [answer] = ask(server.url, max_bytes=1_000_000)
    assert (answer.fault, max(sizes) <= connections.READ_BYTES, sum(sizes) > 500_000) == (Cause.NONE, True, True)


# --- What is sent ----------------------------------------------------------------------------------------------------


def test_request_goes_out_as_given_between_host_and_content_length() -> None:
    headers = [("x-b", "1"), ("X-A", "caf\xe9"), ("x-b", "2"), ("Accept-Encoding", "br")]
    with misbehaving(bad.answer(200)) as server:
        ask(f"{server.url}/hook", headers=headers, body=b"\x00\xff")
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/hook", b"\x00\xff")
    assert request.headers == (("Host", f"localhost:{server.port}"), *headers, ("Content-Length", "2"))


@pytest.mark.parametrize(("written", "target"), AS_WRITTEN)
def test_url_is_sent_as_it_was_written(written: str, target: str) -> None:
    with misbehaving(bad.answer(200)) as server:
        ask(server.url + written)
    assert server.requests[0].target == target


def test_large_body_arrives_whole() -> None:
    body = os.urandom(1024 * 1024)
    with misbehaving(bad.answer(200)) as server:
        ask(server.url, body=body)
    assert server.requests[0].body == body


@pytest.mark.parametrize(
    "url",
    [
        "ftp://localhost", "http://", "http:///a", "nonsense", "http://user:pw@localhost", "http://user@localhost/",
        "http://localhost:99999", "http://localhost:0", "http://localhost:x", "http://[::", "http://a\\b/",
        "http://local host/", "http://127.1/", "http://2130706433/", "//localhost/", "http://@localhost/",
        "http://lo\ncalhost/", "http://:80/",
    ],
)  # fmt: skip
def test_url_that_cannot_be_called_is_an_address_fault(url: str) -> None:
    error = fail(url)
    assert (error.cause, error.sent) == (Cause.ADDRESS, False)
    assert "pw" not in str(error)


@pytest.mark.parametrize("header", [("A", "b\r\nC: d"), ("A\n", "b"), ("Host", "x"), ("Content-Length", "1")])
def test_header_that_cannot_be_sent_is_refused(header: tuple[str, str]) -> None:
    with misbehaving(bad.answer(200)) as server, pytest.raises(ValueError, match="header"):
        ask(server.url, headers=[header])
    assert server.requests == []


# --- Connections that are kept ---------------------------------------------------------------------------------------


def test_connection_is_used_again_for_the_same_host() -> None:
    with misbehaving(keeping(OK, OK, OK)) as server:
        answers = ask(*[server.url] * 3)
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"ok")] * 3
    assert (server.connections, len(server.requests)) == (1, 3)


def test_connection_that_the_server_closes_while_idle_is_dialled_anew() -> None:
    with misbehaving(answering(OK)) as server:

        async def main() -> None:
            async with Connections() as pool:
                for _ in range(3):
                    assert (await post(pool, server.url)).status == 200
                    await asyncio.sleep(0.05)

        asyncio.run(main())
    assert (server.connections, len(server.requests)) == (3, 3)


@pytest.mark.parametrize("closing", [bad.hanging_up, bad.reset_after_request], ids=["closed", "reset"])
def test_kept_connection_that_ends_before_the_first_byte_is_dialled_anew_as_the_same_call(closing: Behaviour) -> None:
    def stale(connection: Connection) -> None:
        answering(OK)(connection)
        closing(connection)

    with misbehaving(stale, keeping(OK)) as server:
        answers = ask(server.url, server.url)
    assert [answer.status for answer in answers] == [200, 200]
    assert (server.connections, len(server.requests)) == (2, 3)


def test_kept_connection_is_dialled_anew_only_once() -> None:
    def stale(connection: Connection) -> None:
        answering(OK)(connection)
        bad.hanging_up(connection)

    with misbehaving(stale, bad.hanging_up) as server:

        async def main() -> NoAnswer:
            async with Connections() as pool:
                await post(pool, server.url)
                with pytest.raises(NoAnswer) as caught:
                    await post(pool, server.url)
                return caught.value

        error = asyncio.run(main())
    assert (error.cause, error.sent) == (Cause.CONNECTION, True)
    assert (server.connections, len(server.requests)) == (2, 3)


def test_other_kept_connections_that_are_stale_too_are_not_tried() -> None:
    """After a restart of the server every kept connection is stale; each one tried could be one more event."""
    arrived = threading.Barrier(3)

    def stale(connection: Connection) -> None:
        connection.read_request()
        arrived.wait(bad.PATIENCE_S)
        connection.sock.sendall(OK)
        bad.hanging_up(connection)

    with misbehaving(stale, stale, stale, answering(OK)) as server:

        async def main() -> None:
            async with Connections() as pool:
                await asyncio.gather(*[post(pool, server.url) for _ in range(3)])
                assert (await post(pool, server.url)).status == 200

        asyncio.run(main())
    assert (server.connections, len(server.requests)) == (4, 5)


@pytest.mark.parametrize("first", [b"H", b"HTTP/1.1 102 Processing\r\n\r\n"], ids=["a byte", "an interim response"])
def test_kept_connection_that_ends_after_a_byte_of_the_answer_is_not_dialled_anew(first: bytes) -> None:
    with misbehaving(answering(OK, first), answering(OK)) as server:

        async def main() -> NoAnswer:
            async with Connections() as pool:
                await post(pool, server.url)
                with pytest.raises(NoAnswer) as caught:
                    await post(pool, server.url)
                return caught.value

        error = asyncio.run(main())
    assert (error.cause, len(server.requests)) == (Cause.CUT_OFF, 2)


def test_fresh_connection_that_ends_before_the_first_byte_is_not_dialled_anew() -> None:
    with misbehaving(bad.hanging_up) as server:
        error = fail(server.url)
    assert (error.cause, error.sent, len(server.requests)) == (Cause.CONNECTION, True, 1)


def test_kept_connection_on_which_the_server_wrote_meanwhile_is_not_used() -> None:
    """A 408 to an idle connection, as some servers send, is no answer to the next delivery."""

    answered, wrote = threading.Event(), threading.Event()

    def impatient(connection: Connection) -> None:
        answering(OK)(connection)
        answered.wait(bad.PATIENCE_S)
        connection.sock.sendall(bad.head(408, "Content-Length: 0"))
        wrote.set()
        connection.server.stopping.wait(bad.PATIENCE_S)

    with misbehaving(impatient, keeping(OK)) as server:

        async def main() -> int:
            async with Connections() as pool:
                await post(pool, server.url)
                answered.set()
                await asyncio.to_thread(wrote.wait, bad.PATIENCE_S)
                await asyncio.sleep(0.01)
                return (await post(pool, server.url)).status

        assert asyncio.run(main()) == 200
    assert (server.connections, len(server.requests)) == (2, 2)


@pytest.mark.parametrize(
    "reply",
    [
        bad.head(204) + b"body",
        bad.head(200, "Content-Length: 2", "Connection: close") + b"ok",
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother",
    ],
    ids=["204 with a body", "close", "two answers"],
)
def test_connection_after_an_answer_with_an_uncertain_end_is_not_used_again(reply: bytes) -> None:
    with misbehaving(keeping(reply), keeping(OK)) as server:
        first, second = ask(server.url, server.url)
    assert (first.fault, second.body, server.connections) == (Cause.NONE, b"ok", 2)


def test_calls_at_once_use_connections_of_their_own() -> None:
    with misbehaving(keeping(OK)) as server:

        async def main() -> None:
            async with Connections() as pool:
                answers = await asyncio.gather(*[post(pool, server.url) for _ in range(20)])
                assert {answer.body for answer in answers} == {b"ok"}

        asyncio.run(main())
    assert (server.connections, len(server.requests)) == (20, 20)


# --- Deadlines -------------------------------------------------------------------------------------------------------


def greeting(connection: Connection) -> None:
    connection.sock.sendall(b"220 smtp.example.com ready\r\n")
    connection.server.stopping.wait(bad.PATIENCE_S)


# --- Heads and bodies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "cause", "words"),
    [
        (bad.hanging_up, Cause.CONNECTION, "the connection broke"),
        (bad.reset_after_request, Cause.CONNECTION, "the connection broke (Connection reset by peer)"),
        (bad.raw(b"220 smtp.example.com ready\r\n"), Cause.GARBLED, "the response is not HTTP"),
        (greeting, Cause.GARBLED, "the response is not HTTP"),
        (bad.raw(b"HTTP/1.1 200 OK\r\nConte"), Cause.CUT_OFF, "the response was cut off"),
        (bad.endless(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 1000), Cause.TOO_LARGE, "the response was too large"),
        (bad.endless(b"", bad.head(102) * 1000), Cause.TOO_LARGE, "the response was too large"),
    ],
    ids=["closed", "reset", "another protocol", "spoke first", "head cut off", "endless head", "endless 1xx"],
)
def test_response_without_a_head_is_a_failure_that_may_have_been_sent(behaviour, cause, words) -> None:
    with misbehaving(behaviour) as server:
        error = fail(server.url)
    assert (error.cause, str(error)) == (cause, words)


@pytest.mark.parametrize("status", [200, 204, 302, 404, 503])
def test_body_over_the_limit_or_reset_is_noted_beside_any_status(status: int) -> None:
    broken = bad.reset_within(bad.head(status, "Content-Length: 999") + b"half")
    with misbehaving(broken, bad.endless(bad.head(status), b"x" * 65536)) as server:
        reset, endless = ask(server.url, server.url)
    bodyless = status == 204
    assert (reset.status, reset.fault) == (status, Cause.NONE if bodyless else Cause.CUT_OFF)
    assert (endless.status, endless.fault) == (status, Cause.NONE if bodyless else Cause.TOO_LARGE)
    assert reset.body == (b"" if bodyless else b"half")


def test_answer_that_comes_before_the_body_was_read_counts() -> None:
    def hasty(connection: Connection) -> None:
        connection.sock.recv(100)
        connection.sock.sendall(bad.head(413, "Content-Length: 0"))
        connection.server.stopping.wait(bad.PATIENCE_S)

    with misbehaving(hasty) as server:
        first, second = ask(server.url, server.url, body=b"x" * 8_000_000)
    assert ([first.status, second.status], server.connections) == ([413, 413], 2)
