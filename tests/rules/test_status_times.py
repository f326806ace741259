"""From when until when an endpoint had each status: exactly as stored, and never more than was seen."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules.endpoints import Severity
from dashboard.rules.status_times import Seen, Stretch, lasted, stretches, summary

NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
GAP = 3 * MINUTE
ACTIVE, FAILING, DISABLED = Severity.ACTIVE, Severity.FAILING, Severity.DISABLED


def seen(at: timedelta, severity: Severity = ACTIVE, failures: int = 0, *, looked: timedelta | None = None) -> Seen:
    return Seen(NOON + at, None if looked is None else NOON + looked, severity, failures)


def told(*found: Seen, hours: int = 1, seen_at: timedelta | None = None) -> tuple[Stretch, ...]:
    until = NOON + hours * HOUR
    last_look = until if seen_at is None else NOON + seen_at
    return stretches(found, since=NOON, until=until, seen_at=last_look, gap=GAP)


def shape(found: tuple[Stretch, ...]) -> list[tuple[timedelta, timedelta, Severity | None]]:
    return [(one.at - NOON, one.until - NOON, one.severity) for one in found]


@pytest.mark.parametrize("hours", [1, 24, 7 * 24])
def test_outage_of_110_s_is_110_s_in_every_range(hours: int) -> None:
    found = told(
        seen(-HOUR),
        seen(MINUTE, DISABLED, 10, looked=MINUTE - 5 * SECOND),
        seen(MINUTE + 110 * SECOND, looked=MINUTE + 109 * SECOND),
        hours=hours,
    )
    assert shape(found) == [
        (timedelta(), MINUTE, ACTIVE),
        (MINUTE, MINUTE + 110 * SECOND, DISABLED),
        (MINUTE + 110 * SECOND, hours * HOUR, ACTIVE),
    ]
    assert summary(found, now=NOON + hours * HOUR) == "Disabled for 110 s; at most 10 consecutive failures."


def test_what_polls_leave_open_is_said_as_a_range() -> None:
    found = told(
        seen(-HOUR), seen(2 * MINUTE, DISABLED, 10, looked=MINUTE), seen(3 * MINUTE, looked=2 * MINUTE + 50 * SECOND)
    )
    assert summary(found, now=NOON + HOUR) == "Disabled for 60 s to 2 min; at most 10 consecutive failures."


def test_nothing_is_claimed_of_the_time_between_looks_that_are_far_apart() -> None:
    found = told(
        seen(-HOUR), seen(30 * MINUTE, DISABLED, 10, looked=10 * MINUTE), seen(40 * MINUTE, looked=40 * MINUTE)
    )
    assert shape(found) == [
        (timedelta(), 10 * MINUTE, ACTIVE),
        (10 * MINUTE, 30 * MINUTE, None),
        (30 * MINUTE, 40 * MINUTE, DISABLED),
        (40 * MINUTE, HOUR, ACTIVE),
    ]
    assert summary(found, now=NOON + HOUR) == (
        "Disabled for 10 min; at most 10 consecutive failures. Not known for 20 min, while Redeliver could not read it."
    )


def test_time_since_the_last_look_is_not_known() -> None:
    found = told(seen(-HOUR), seen_at=20 * MINUTE)
    assert shape(found) == [(timedelta(), 20 * MINUTE, ACTIVE), (20 * MINUTE, HOUR, None)]
    assert summary(found, now=NOON + HOUR) == (
        "Active as far as is known. Not known for 40 min, while Redeliver could not read it."
    )
    assert shape(told(seen(-HOUR), seen_at=HOUR - GAP)) == [(timedelta(), HOUR, ACTIVE)]


def test_time_before_the_first_row_is_not_known() -> None:
    found = told(seen(10 * MINUTE))
    assert shape(found) == [(timedelta(), 10 * MINUTE, None), (10 * MINUTE, HOUR, ACTIVE)]
    assert summary(found, now=NOON + HOUR) == "Active as far as is known. Not known before 12:10 UTC."
    assert shape(told()) == [(timedelta(), HOUR, None)]
    assert summary(told(seen(-HOUR)), now=NOON) == "Active throughout."


def test_worst_comes_first_and_times_add_up() -> None:
    found = told(
        seen(-HOUR),
        seen(5 * MINUTE, FAILING, 3, looked=5 * MINUTE),
        seen(15 * MINUTE, DISABLED, 10, looked=15 * MINUTE),
        seen(20 * MINUTE, FAILING, 1, looked=20 * MINUTE),
        seen(30 * MINUTE, looked=30 * MINUTE),
    )
    assert summary(found, now=NOON + HOUR) == (
        "Disabled for 5 min, failing for 20 min; at most 10 consecutive failures."
    )


def test_long_times_are_one_number_although_polls_are_a_minute_apart() -> None:
    found = told(seen(-HOUR), seen(MINUTE, DISABLED, 10, looked=timedelta()), seen(59 * MINUTE, looked=58 * MINUTE))
    assert lasted(one for one in found if one.severity is DISABLED).words == "58 min"


MINUTES = st.integers(min_value=-60, max_value=90)


@given(
    rows=st.lists(
        st.tuples(MINUTES, st.none() | st.integers(0, 40), st.sampled_from(Severity), st.integers(0, 12)), max_size=12
    ),
    seen_at=st.none() | MINUTES,
)
def test_stretches_follow_each_other_without_a_gap_and_never_begin_before_they_may(
    rows: list[tuple[int, int | None, Severity, int]], seen_at: int | None
) -> None:
    found = stretches(
        [
            Seen(NOON + at * MINUTE, None if back is None else NOON + (at - back) * MINUTE, severity, failures)
            for at, back, severity, failures in sorted(rows, key=lambda row: row[0])
        ],
        since=NOON,
        until=NOON + HOUR,
        seen_at=None if seen_at is None else NOON + seen_at * MINUTE,
        gap=GAP,
    )
    assert (found[0].at, found[-1].until) == (NOON, NOON + HOUR)
    assert all(one.until == after.at for one, after in itertools.pairwise(found))
    assert all(NOON <= one.earliest <= one.at < one.until for one in found)
    assert all((one.severity is None) == (one.failures is None) for one in found)
    assert summary(found, now=NOON + HOUR)
