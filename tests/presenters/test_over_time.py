"""The range that fits, the strip of the status, and both in words."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboard.presenters.over_time import DAY, HIGH, HOUR, LEAST, LONG, WEEK, OverTime, Range, Status, fitting
from dashboard.queries.attempt_counts import Bucket, Counts
from dashboard.rules.endpoints import HealthKind, Severity
from dashboard.rules.status_times import Stretch

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def status(*kinds: tuple[float, Severity | None, int]) -> Status:
    """The status up to noon: each with its minutes."""
    found, at = [], NOON - sum((minutes * MINUTE for minutes, *_ in kinds), timedelta())
    for minutes, severity, failures in kinds:
        found.append(Stretch(at, at + minutes * MINUTE, severity, failures, at))
        at += minutes * MINUTE
    return Status(tuple(found), until=NOON, now=NOON)


@pytest.mark.parametrize(
    ("oldest", "newest", "expected"),
    [
        (None, None, DAY),
        (hours(1 / 3), None, HOUR),
        (hours(1 / 3), hours(0.1), HOUR),
        (hours(2), hours(0.1), DAY),
        (hours(900), hours(23), DAY),
        (hours(900), hours(25), WEEK),
        (hours(900), hours(200), DAY),
    ],
)
def test_range_fits_what_is_recorded(oldest: timedelta | None, newest: timedelta | None, expected: Range) -> None:
    def ago(passed: timedelta | None) -> datetime | None:
        return None if passed is None else NOON - passed

    assert fitting(oldest=ago(oldest), newest=ago(newest), now=NOON) is expected


def test_status_is_told_with_what_is_not_known() -> None:
    told = status((30, Severity.ACTIVE, 0), (5, Severity.FAILING, 4), (2, Severity.DISABLED, 10), (3, None, 0))
    assert told.summary.startswith("Disabled for 2 min, failing for 5 min; at most 10 consecutive failures.")
    assert (told.known, status((60, None, 0)).known) == (True, False)


def test_legend_names_each_state_and_another_one_only_if_there_is_one() -> None:
    usual = ["active", "failing", "at risk", "disabled", "paused", "not known"]
    assert [name for name, _kind in status((60, Severity.ACTIVE, 0)).legend] == usual
    assert [name for name, _kind in status((60, Severity.UNKNOWN, 0)).legend] == [*usual, "another status"]


def test_strip_draws_what_is_worse_higher_and_last() -> None:
    parts = status((30, Severity.ACTIVE, 0), (10, Severity.DISABLED, 10), (20, None, 0)).parts
    assert [(one.kind, one.x, one.width, one.height) for one in parts] == [
        (None, 666.7, 333.3, 1),
        (HealthKind.ACTIVE, 0, 500, 3),
        (HealthKind.DISABLED, 500, 166.7, HIGH),
    ]
    assert all(one.y + one.height == HIGH for one in parts)


def test_short_outage_is_seen_in_a_week_also_at_its_end() -> None:
    week = 7 * 24 * 60
    parts = status((week - 1, Severity.ACTIVE, 0), (1, Severity.DISABLED, 10)).parts
    assert (parts[-1].kind, parts[-1].width, parts[-1].x) == (HealthKind.DISABLED, LEAST, LONG - LEAST)


def test_every_state_of_the_strip_has_its_own_height() -> None:
    kinds = [None, Severity.ACTIVE, Severity.PAUSED, Severity.FAILING, Severity.AT_RISK, Severity.DISABLED]
    heights = [one.height for one in status(*((10, kind, 0) for kind in kinds)).parts]
    assert sorted(set(heights)) == heights


def over_time(*buckets: tuple[int, int], complete: bool = True, log_since: datetime | None = None) -> OverTime:
    rows = tuple(Bucket(NOON + number * hours(1), *one) for number, one in enumerate(buckets))
    return OverTime(
        chosen=DAY, counts=Counts(rows, complete), status=status((60, None, 0)), since=NOON - hours(24), until=NOON,
        now=NOON, log_since=log_since,
    )  # fmt: skip


def test_attempts_are_summed_up_in_words() -> None:
    assert over_time((3, 1), (1200, 0)).summary == "Attempts of the last 24 hours: 1,203 delivered, 1 failed."
    assert over_time((0, 0)).summary == "No delivery was attempted in the last 24 hours."
    newest = "Attempts of the newest 20,000 deliveries of the last 24 hours: 3 delivered, 1 failed."
    assert over_time((3, 1), complete=False).summary == newest


def test_log_that_is_younger_than_the_range_says_since_when() -> None:
    said = "Attempts of the last 24 hours: 3 delivered, 1 failed. The log begins 11:00 UTC."
    assert over_time((3, 1), log_since=NOON - hours(1)).summary == said
    assert over_time((0, 0), log_since=NOON - hours(1)).summary.endswith("24 hours. The log begins 11:00 UTC.")
    assert "begins" not in over_time((3, 1), log_since=NOON - hours(30)).summary
