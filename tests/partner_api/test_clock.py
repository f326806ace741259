"""The clock that all hosts share: the database's, advanced by each host's monotonic clock."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboard.partner_api import clock
from dashboard.partner_api.clock import SharedClock
from tests.partner_api.conftest import THEN


@pytest.mark.django_db
def test_now_goes_on_within_a_transaction() -> None:
    first, second = clock.now(), clock.now()
    assert first < second
    assert abs(first - datetime.now(UTC)) < timedelta(minutes=1)


class Host:
    """A host whose monotonic clock the test sets; the database's time is always `THEN`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monotonic, self.asked = 100.0, 0
        monkeypatch.setattr(clock.time, "monotonic", lambda: self.monotonic)
        monkeypatch.setattr(clock, "now", self.answer)

    def answer(self) -> datetime:
        self.asked += 1
        self.monotonic += 2  # duration of the query
        return THEN


def test_shared_clock_asks_once_and_counts_on(monkeypatch: pytest.MonkeyPatch) -> None:
    host, shared = Host(monkeypatch), SharedClock()
    shared.set()
    assert shared() == THEN + timedelta(seconds=1)  # the database's time counts as the middle of the query
    host.monotonic += 3600
    assert shared() == THEN + timedelta(seconds=3601)
    assert host.asked == 1
    shared.set()
    assert (shared(), host.asked) == (THEN + timedelta(seconds=1), 2)


def test_clock_that_was_not_set_says_so() -> None:
    with pytest.raises(RuntimeError):
        SharedClock()()
