"""One thread runs calls in order, and never keeps the process."""

import asyncio
import threading

import pytest

from dashboard.receiver.one_thread import OneThread


def test_calls_run_in_one_thread_in_the_order_given() -> None:
    seen: list[tuple[int, int]] = []

    async def run() -> list[int]:
        thread = OneThread(name="test", begin=lambda: seen.append((-1, threading.get_ident())))

        def call(number: int) -> int:
            seen.append((number, threading.get_ident()))
            return number * 2

        found = await asyncio.gather(*(thread.run(lambda number=number: call(number)) for number in range(20)))
        assert await thread.end(within_s=20)
        return found

    assert asyncio.run(run()) == [number * 2 for number in range(20)]
    assert [number for number, _thread in seen] == [-1, *range(20)]
    assert {thread for _number, thread in seen}.isdisjoint({threading.get_ident()})
    assert len({thread for _number, thread in seen}) == 1


def test_error_is_raised_where_it_is_awaited_and_the_thread_goes_on() -> None:
    async def run() -> str:
        thread = OneThread(name="test")
        with pytest.raises(ZeroDivisionError):
            await thread.run(lambda: 1 // 0)
        return await thread.run(lambda: "on")

    assert asyncio.run(run()) == "on"


def test_call_goes_on_when_nobody_waits_any_more() -> None:
    begun, go, done = threading.Event(), threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        go.wait(20)
        done.set()

    async def run() -> bool:
        thread = OneThread(name="test")
        task = asyncio.create_task(thread.run(call))
        await asyncio.to_thread(begun.wait, 20)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not await thread.end(within_s=0.01)
        go.set()
        return await thread.end(within_s=20)

    assert asyncio.run(run())
    assert done.is_set()


def test_last_call_is_followed_by_the_end() -> None:
    seen: list[str] = []

    async def run() -> None:
        thread = OneThread(name="test", end=lambda: seen.append("end"))
        await thread.run(lambda: seen.append("call"))
        await thread.end(within_s=20)

    asyncio.run(run())
    assert seen == ["call", "end"]
