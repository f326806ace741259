"""Calls to handlers end at their deadline, whatever hangs or drips, and what came in time counts."""

import asyncio
import threading
import time

import pytest

from dashboard.rules.causes import Cause
from dashboard.services.http import connections
from dashboard.services.http.client import HttpAnswer, NoAnswer
from dashboard.services.http.connections import Connections
from tests.services import misbehaving as bad
from tests.services.exchanging import SLACK_S
from tests.services.http.test_connections import OK, PATIENT_S, ask, fail, post
from tests.services.misbehaving import Behaviour, Connection, misbehaving


def after(seconds: float, data: bytes) -> Behaviour:
    def behave(connection: Connection) -> None:
        connection.read_request()
        connection.server.stopping.wait(seconds)
        connection.sock.sendall(data)
        connection.server.stopping.wait(bad.PATIENCE_S)

    return behave


def test_answer_just_before_the_deadline_gets_through() -> None:
    with misbehaving(after(1.0, OK)) as server:
        (answer,) = ask(server.url, total_s=2.0)
    assert (answer.status, answer.body) == (200, b"ok")
    assert 1000 <= answer.elapsed_ms < 2000


def test_answer_after_the_deadline_does_not_and_the_call_ends_then() -> None:
    with misbehaving(after(SLACK_S, OK)) as server:
        error = fail(server.url, total_s=0.5)
    assert (error.cause, error.sent) == (Cause.TIMEOUT, True)
    assert 500 <= error.elapsed_ms < SLACK_S * 1000


def test_answer_that_came_in_time_counts_though_the_loop_was_busy_until_after_the_deadline() -> None:
    with misbehaving(after(0.1, OK)) as server:

        async def main() -> HttpAnswer:
            async with Connections() as pool:
                call = asyncio.create_task(post(pool, server.url, total_s=2.0))
                await asyncio.to_thread(server.wait_for_requests, 1)
                time.sleep(2.2)  # noqa: ASYNC251 - the loop is busy
                return await call

        answer = asyncio.run(main())
    assert (answer.status, answer.body, answer.fault) == (200, b"ok", Cause.NONE)


@pytest.mark.parametrize("total_s", [0.0, -1.0])
def test_call_without_time_left_calls_nobody(total_s: float) -> None:
    with misbehaving(bad.answer(200)) as server:
        error = fail(f"http://127.0.0.1:{server.port}", total_s=total_s)
    assert (error.cause, error.sent, server.connections) == (Cause.TIMEOUT, False, 0)


def test_connection_that_is_made_at_the_deadline_carries_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop may be late: what is past the deadline is not sent, though the connection is there."""
    real = connections._connect

    async def late(*given):
        made = await real(*given)
        time.sleep(0.3)  # noqa: ASYNC251 - the loop is busy
        return made

    monkeypatch.setattr(connections, "_connect", late)
    with misbehaving(bad.answer(200)) as server:
        error = fail(server.url, total_s=0.2)
    assert (error.cause, error.sent, server.requests) == (Cause.TIMEOUT, False, [])


def test_head_that_drips_ends_at_the_deadline() -> None:
    with misbehaving(bad.dripping(b"", OK + b" " * 1000, every_s=0.05)) as server:
        error = fail(server.url, total_s=0.4)
    assert (error.cause, error.sent) == (Cause.TIMEOUT, True)


def test_body_that_drips_is_noted_after_a_while_and_the_status_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BODY_S", 0.3)
    with misbehaving(bad.dripping(bad.head(200, "Content-Length: 999"), b"x" * 999, every_s=0.02)) as server:
        (answer,) = ask(server.url)
    assert (answer.status, answer.fault, answer.truncated) == (200, Cause.TIMEOUT, True)
    assert set(answer.body) == set(b"x")
    assert answer.elapsed_ms < PATIENT_S * 1000 / 2


def test_body_that_drips_until_the_deadline_is_noted_there() -> None:
    with misbehaving(bad.dripping(bad.head(200, "Content-Length: 999"), b"x" * 999, every_s=0.05)) as server:
        (answer,) = ask(server.url, total_s=0.5)
    assert (answer.status, answer.fault) == (200, Cause.TIMEOUT)
    assert 500 <= answer.elapsed_ms < SLACK_S * 1000


def test_cancelled_call_closes_its_connection() -> None:
    closed = threading.Event()

    def behave(connection: Connection) -> None:
        connection.read_request()
        if not connection.sock.recv(1):
            closed.set()

    with misbehaving(behave) as server:

        async def main() -> None:
            async with Connections() as pool:
                call = asyncio.create_task(post(pool, server.url))
                await asyncio.to_thread(server.wait_for_requests, 1)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                assert await asyncio.to_thread(closed.wait, bad.PATIENCE_S)

        asyncio.run(main())


def test_close_ends_while_calls_still_wait() -> None:
    with misbehaving(bad.silent) as server:

        async def main() -> None:
            pool = Connections()
            call = asyncio.create_task(post(pool, server.url))
            await asyncio.to_thread(server.wait_for_requests, 1)
            async with asyncio.timeout(PATIENT_S):
                await pool.close()
                with pytest.raises(NoAnswer):
                    await call

        asyncio.run(main())
