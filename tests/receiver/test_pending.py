"""A pending attempt tells who waits for it once, whatever happens afterwards."""

import asyncio
import uuid
from unittest import mock

import pytest

from dashboard.receiver.keeping import NotKept
from dashboard.receiver.pending import Pending
from dashboard.rules.attempts import RecordedAttempt


def pending() -> Pending:
    attempt = mock.create_autospec(RecordedAttempt, instance=True, id=uuid.uuid4())
    return Pending(attempt, until=0, done=asyncio.get_running_loop().create_future())


def test_kept_attempt_is_told_and_its_timer_ends() -> None:
    async def run() -> list[Pending]:
        one, expired = pending(), []
        one.expire(0, expired.append)
        one.keep()
        one.fail()
        await one.done
        await asyncio.sleep(0.01)
        assert one.is_kept
        return expired

    assert asyncio.run(run()) == []


def test_failed_attempt_is_told_and_kept_later_all_the_same() -> None:
    async def run() -> bool:
        one = pending()
        one.fail()
        one.keep()
        with pytest.raises(NotKept):
            await one.done
        return one.is_kept

    assert asyncio.run(run())


def test_second_timer_replaces_the_first() -> None:
    async def run() -> list[str]:
        one, expired = pending(), []
        one.expire(0, lambda _one: expired.append("first"))
        one.expire(0, lambda _one: expired.append("second"))
        await asyncio.sleep(0.01)
        return expired

    assert asyncio.run(run()) == ["second"]


def test_nobody_who_went_away_is_told() -> None:
    async def run() -> bool:
        one = pending()
        one.done.cancel()
        one.keep()
        return one.is_kept

    assert asyncio.run(run())
