"""Full garbage collections of the receiver: when few deliveries wait, and never many times over."""

import asyncio
import contextlib
import gc
import weakref

import pytest

from dashboard.receiver.garbage import collect_when_calm

LONG_S = 3600.0
WITHIN_S = 30.0


class Cycle:
    """An object that only a collection frees."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def old_cycle() -> "weakref.ref[Cycle]":
    """Garbage that has grown old, so that only a full collection finds it."""
    cycle = Cycle()
    gc.collect()
    return weakref.ref(cycle)


async def _until(is_gone: "weakref.ref[Cycle]", **given: float) -> None:
    waiting = int(given.pop("waiting"))
    task = asyncio.create_task(collect_when_calm(waiting=lambda: waiting, few=100, **given))
    try:
        async with asyncio.timeout(WITHIN_S):
            while is_gone() is not None:  # noqa: ASYNC110 - garbage tells nobody that it has gone
                await asyncio.sleep(0.005)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_garbage_is_collected_soon_while_few_deliveries_wait(old_cycle: "weakref.ref[Cycle]") -> None:
    asyncio.run(_until(old_cycle, waiting=100, calm_s=0.01, most_s=LONG_S))


def test_garbage_is_collected_late_while_many_deliveries_wait(old_cycle: "weakref.ref[Cycle]") -> None:
    asyncio.run(_until(old_cycle, waiting=101, calm_s=0.005, most_s=0.02))


def test_many_waiting_deliveries_hold_a_collection_up(old_cycle: "weakref.ref[Cycle]") -> None:
    asked = []

    def waiting() -> int:
        asked.append(old_cycle() is not None)
        return 101

    async def look() -> None:
        task = asyncio.create_task(collect_when_calm(waiting=waiting, few=100, calm_s=0.001, most_s=LONG_S))
        async with asyncio.timeout(WITHIN_S):
            while len(asked) < 10:  # noqa: ASYNC110 - it is asked by another task
                await asyncio.sleep(0.001)
        task.cancel()

    asyncio.run(look())
    assert all(asked[:10])


def test_deliveries_that_begin_to_wait_cause_no_full_collection() -> None:
    full = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            full.append(info)

    async def fill() -> None:
        task = asyncio.create_task(collect_when_calm(waiting=lambda: 101, few=100, calm_s=LONG_S, most_s=LONG_S))
        await asyncio.sleep(0)
        gc.callbacks.append(note)
        try:
            kept = [[number] for number in range(500_000)]
        finally:
            gc.callbacks.remove(note)
            task.cancel()
        assert len(kept) == 500_000

    before = gc.get_threshold()
    asyncio.run(fill())
    assert not full
    assert gc.get_threshold() == before
