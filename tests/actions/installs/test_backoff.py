"""Backoff after failures."""

from datetime import timedelta

import pytest

from dashboard.actions.installs import backoff
from tests.factories import NOON

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


def test_pauses_double_up_to_an_hour_and_differ() -> None:
    def pause(failures: int, chance: float = 0.0) -> timedelta:
        later = backoff.after_failure(at=NOON, failures=failures, retry_after_s=None, chance=chance, every_s=60)
        return later - NOON

    assert [pause(failures) // MINUTE for failures in (1, 2, 3, 5, 6, 1000)] == [2, 4, 8, 32, 60, 60]
    assert [pause(1, chance) for chance in (0.5, 1.0)] == [MINUTE * 1.5, MINUTE]
    huge = backoff.after_failure(at=NOON, failures=1, retry_after_s=999_999_999, chance=0, every_s=60)
    assert huge == NOON + timedelta(days=1)
