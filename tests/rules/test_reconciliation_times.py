"""When an event happened, what held then, and until when it may come."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dashboard.rules.reconciliation_facts import ContractFacts, EndpointFacts, Event, Interval, Period
from dashboard.rules.reconciliation_times import (
    READ_TAKES,
    Moment,
    covers,
    holds,
    is_made_after,
    later,
    may_hold,
    moment,
)

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
HOUR = timedelta(hours=1)
NOON = datetime(2026, 6, 12, 12, 0, tzinfo=UTC)
CONTRACT = ContractFacts(
    status="ended",
    created_at=NOON - 24 * HOUR,
    end_date=NOON,
    first_seen_at=NOON - 23 * HOUR,
    active_seen_at=NOON - 2 * MINUTE,
    ended_seen_at=NOON + 8 * MINUTE,
)
READ = NOON + 8 * MINUTE + READ_TAKES
"""The latest end that the first read as ended can show."""


def between(event: Event = Event.ENDED, **fields: datetime | None) -> tuple[datetime | None, datetime]:
    found = moment(event, contract=replace(CONTRACT, **fields))
    assert found is not None
    return found.since, found.until


def test_an_end_is_between_the_reads_and_near_the_time_that_opentrain_says() -> None:
    assert between() == (NOON - 2 * MINUTE, NOON + 5 * MINUTE)
    assert between(end_date=None) == (NOON - 2 * MINUTE, READ)
    assert between(active_seen_at=None) == (NOON - 5 * MINUTE, NOON + 5 * MINUTE)
    assert between(active_seen_at=None, end_date=None) == (CONTRACT.created_at - 5 * MINUTE, READ)
    assert between(active_seen_at=None, end_date=None, created_at=None) == (None, READ)


def test_a_start_is_near_its_creation_and_no_later_than_the_first_read() -> None:
    assert between(Event.STARTED) == (NOON - 24 * HOUR - 5 * MINUTE, NOON - 24 * HOUR + 5 * MINUTE)
    seen = NOON - 24 * HOUR + MINUTE
    assert between(Event.STARTED, first_seen_at=seen) == (NOON - 24 * HOUR - 5 * MINUTE, seen + READ_TAKES)
    assert between(Event.STARTED, created_at=None) == (None, NOON - 23 * HOUR + READ_TAKES)


@pytest.mark.parametrize("end", [NOON - 8 * MINUTE, NOON + 14 * MINUTE], ids=["before", "after"])
def test_a_time_that_the_reads_contradict_is_not_used(end: datetime) -> None:
    assert between(end_date=end) == (NOON - 2 * MINUTE, READ)


def test_a_time_at_midnight_may_be_any_of_that_day() -> None:
    midnight = datetime(2026, 6, 12, tzinfo=UTC)
    assert between(end_date=midnight, active_seen_at=None) == (midnight - 5 * MINUTE, READ)
    happened = moment(Event.ENDED, contract=replace(CONTRACT, end_date=midnight))
    assert happened is not None
    assert not is_made_after(NOON, happened=happened)
    assert is_made_after(midnight + 25 * HOUR, happened=happened)


def test_a_contract_that_was_active_again_may_have_ended_any_time_before() -> None:
    assert between(active_seen_at=NOON + HOUR, end_date=None) == (CONTRACT.created_at - 5 * MINUTE, READ)


def test_times_of_opentrain_are_compared_as_they_are_and_with_ours_widely() -> None:
    happened = moment(Event.ENDED, contract=CONTRACT)
    assert happened is not None
    assert is_made_after(NOON + timedelta(microseconds=1), happened=happened)
    assert not is_made_after(NOON, happened=happened)
    unsaid = moment(Event.ENDED, contract=replace(CONTRACT, end_date=None))
    assert unsaid is not None
    assert not is_made_after(NOON + 13 * MINUTE, happened=unsaid)
    assert is_made_after(NOON + 14 * MINUTE, happened=unsaid)


@pytest.mark.parametrize(
    ("intervals", "covered"),
    [
        ([(0, 60)], True),
        ([(30, None), (0, 30)], True),
        ([(0, 29), (30, 60)], False),
        ([(1, 60)], False),
        ([(0, 59)], False),
        ([(0, 50), (10, 20), (40, 60)], True),
        ([], False),
    ],
)
def test_intervals_cover_what_they_leave_no_gap_in(intervals, covered: bool) -> None:
    spans = [
        Interval(NOON + since * MINUTE, None if until is None else NOON + until * MINUTE) for since, until in intervals
    ]
    assert covers(spans, since=NOON, until=NOON + HOUR) is covered
    assert covers(spans, since=None, until=NOON + HOUR) is False


def test_between_two_states_either_may_hold() -> None:
    stopped = Period(NOON - HOUR, None, is_active=False)
    active = Period(NOON + 4 * MINUTE, NOON + 3 * MINUTE, is_active=True)
    endpoint = EndpointFacts(created_at=None, log_began_at=None, periods=(active, stopped), synced_at=NOON + HOUR)
    ended = moment(Event.ENDED, contract=replace(CONTRACT, ended_seen_at=NOON + 2 * MINUTE))
    assert ended is not None
    assert holds(lambda one: not one.is_active, endpoint=endpoint, happened=ended)
    assert not holds(lambda one: not one.is_active, endpoint=endpoint, happened=replace(ended, until=NOON + 4 * MINUTE))
    span = {"since": NOON + 3 * MINUTE, "until": NOON + 4 * MINUTE}
    assert may_hold(lambda one: one.is_active, endpoint=endpoint, **span)
    assert may_hold(lambda one: not one.is_active, endpoint=endpoint, **span)
    assert not may_hold(lambda one: one.is_active, endpoint=endpoint, since=NOON, until=NOON + 2 * MINUTE)


def test_states_that_follow_each_other_prove_no_more_than_was_seen() -> None:
    paused = Period(NOON - HOUR, None, is_active=False, is_paused=True)
    disabled = Period(NOON, NOON - HOUR, is_active=False)
    active = Period(NOON + 2 * SECOND, NOON + SECOND, is_active=True)
    endpoint = EndpointFacts(created_at=None, log_began_at=None, periods=(paused, disabled, active))
    before = Moment(NOON - MINUTE, NOON + SECOND, NOON, None)
    assert holds(lambda one: not one.is_active, endpoint=endpoint, happened=before)
    while_re_enabled = replace(before, until=NOON + 3 * SECOND)
    assert not holds(lambda one: not one.is_active, endpoint=endpoint, happened=while_re_enabled)


def test_times_stay_within_what_a_datetime_can_hold() -> None:
    last, first = datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)
    assert later(last, HOUR) == last
    assert later(first, -HOUR) == first
    assert later(NOON, HOUR) == NOON + HOUR
