"""The appender groups what comes during an append, and says of each attempt whether it is kept."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dashboard.models import Endpoint
from dashboard.receiver import appender as appender_module
from dashboard.receiver.appender import Appender
from dashboard.receiver.one_thread import OneThread
from dashboard.receiver.pending import Pending
from dashboard.receiver.spool import Spool, SpoolFull
from dashboard.receiver.spool_folder import SpoolFailed
from dashboard.rules.attempt_codec import from_bytes
from tests.receiver.journals import KEY, ROOM, attempts

ENDPOINT = Endpoint(pk=7)


@dataclass
class Tried:
    """An appender, and what it said of attempts."""

    appender: Appender
    kept: list[Pending]
    failed: list[Pending]

    def add(self, number: int) -> list[Pending]:
        loop = asyncio.get_running_loop()
        given = [Pending(one, until=0, done=loop.create_future()) for one in attempts(ENDPOINT, number)]
        for one in given:
            self.appender.add(one)
        return given

    async def settled(self) -> None:
        while self.appender.count:  # noqa: ASYNC110 - its end has no event
            await asyncio.sleep(0.002)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path, keys=[KEY], max_bytes=ROOM)
    yield made
    made.close()


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the groups that were appended."""
    sizes: list[int] = []
    real = Spool.append
    monkeypatch.setattr(Spool, "append", lambda self, given: (sizes.append(len(given)), real(self, given)))
    return sizes


def run(spool: Spool, test: Callable[[Tried], Awaitable[None]]) -> Tried:
    async def within() -> Tried:
        thread = OneThread(name="test")
        kept: list[Pending] = []
        failed: list[Pending] = []
        one = Tried(Appender(spool, thread=thread, kept=kept.append, failed=failed.append), kept, failed)
        await asyncio.wait_for(test(one), 20)
        await asyncio.wait_for(one.settled(), 20)
        await thread.end(within_s=20)
        return one

    return asyncio.run(within())


def test_attempts_are_kept_in_order(spool: Spool) -> None:
    given: list[Pending] = []

    async def test(one: Tried) -> None:
        given.extend(one.add(10))

    assert run(spool, test).kept == given
    batch = spool.read()
    assert batch is not None
    assert [from_bytes(record) for record in batch.records] == [one.attempt for one in given]


def test_what_comes_during_an_append_is_the_next_group(spool: Spool, groups: list[int]) -> None:
    go = threading.Event()

    async def test(one: Tried) -> None:
        blocked = asyncio.create_task(one.appender._thread.run(lambda: go.wait(20)))
        one.add(1)
        await asyncio.sleep(0)
        one.add(50)
        await asyncio.sleep(0)
        one.add(20)
        assert one.appender.count == 71
        go.set()
        await blocked

    run(spool, test)
    assert sum(groups) == 71
    assert len(groups) <= 2


def test_groups_are_limited_in_number_and_size(spool: Spool, groups: list[int], monkeypatch) -> None:
    monkeypatch.setattr(appender_module, "AT_ONCE", 4)

    async def test(one: Tried) -> None:
        one.add(6)
        await one.settled()
        monkeypatch.setattr(appender_module, "BYTES_AT_ONCE", 1)
        one.add(2)

    run(spool, test)
    assert groups == [4, 2, 1, 1]


def test_attempt_that_the_database_took_first_is_left_out(spool: Spool) -> None:
    async def test(one: Tried) -> None:
        first, _second = one.add(2)
        first.keep()

    assert len(run(spool, test).kept) == 1
    assert spool.waiting == 1


def test_disk_that_fills_up_keeps_the_first_ones(spool: Spool, monkeypatch, caplog) -> None:
    def full(_self: Spool, _records: object) -> None:
        raise SpoolFull("The disk is full.", kept=2)

    monkeypatch.setattr(Spool, "append", full)
    given: list[Pending] = []

    async def test(one: Tried) -> None:
        given.extend(one.add(5))
        await one.settled()
        assert one.appender.trouble == "The disk is full."

    one = run(spool, test)
    assert (one.kept, one.failed) == (given[:2], given[2:])
    assert caplog.text.count("The disk is full.") == 1


def test_what_cannot_be_written_down_fails(spool: Spool, monkeypatch, caplog) -> None:
    monkeypatch.setattr(appender_module, "to_bytes", lambda _one: 1 // 0)

    async def test(one: Tried) -> None:
        one.add(2)

    assert len(run(spool, test).failed) == 2
    assert "attempts cannot be spooled" in caplog.text


def test_disk_that_works_again_is_found(spool: Spool, monkeypatch, caplog) -> None:
    def broken(_self: Spool, *_records: object) -> None:
        raise SpoolFailed("The disk is broken.")

    async def test(one: Tried) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Spool, "append", broken)
            patch.setattr(Spool, "try_disk", broken)
            one.add(1)
            await one.settled()
            await one.appender.try_again()
            assert one.appender.trouble == "The disk is broken."
        with caplog.at_level(logging.INFO):
            await one.appender.try_again()
        assert one.appender.trouble == ""

    run(spool, test)
    assert "keeps attempts again" in caplog.text
    assert sorted(path.name for path in spool.folder.iterdir()) == ["lock"]


def test_spool_at_its_limit_is_in_trouble_before_it_refuses(spool: Spool) -> None:
    spool.max_bytes = appender_module.ROOM - 1

    async def test(one: Tried) -> None:
        assert one.appender.trouble.endswith("is full.")

    run(spool, test)
