"""Threads for the database: bounded, with the context of their caller."""

import asyncio
import threading

import pytest

from dashboard import logs
from dashboard.receiver.db_threads import DatabaseThreads, Full


def test_result_and_error_come_back_and_the_request_is_known() -> None:
    def fail() -> None:
        raise ValueError("mine")

    async def called() -> None:
        threads = DatabaseThreads(name="test", most=1, waiting=0)
        chosen = logs.begin_request("")
        assert await threads.run(logs.request_id.get) == chosen
        with pytest.raises(ValueError, match="mine"):
            await threads.run(fail)
        assert await threads.run(lambda: threading.current_thread().name) == "test_0"
        threads.close()

    asyncio.run(called())


def test_calls_beyond_those_that_may_wait_are_told_so() -> None:
    go_on = threading.Event()

    async def called() -> None:
        threads = DatabaseThreads(name="test", most=1, waiting=1)
        waiting = [asyncio.create_task(threads.run(go_on.wait)) for _ in range(2)]
        await asyncio.sleep(0)  # both begin
        with pytest.raises(Full):
            await threads.run(lambda: None)
        go_on.set()
        assert await asyncio.gather(*waiting) == [True, True]
        await threads.run(lambda: None)
        threads.close()

    asyncio.run(called())
