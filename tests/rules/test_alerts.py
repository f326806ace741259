"""The pure rules of alerts: opening and resolving, quiet hours across midnight and clock changes, retries."""

from datetime import UTC, datetime, time, timedelta

import pytest

from dashboard.rules.alerts import (
    ATTEMPTS,
    KINDS,
    WORST_FIRST,
    AlertKind,
    Changes,
    Quiet,
    Subject,
    are_refused,
    compare,
    retry_at,
)

NOON = datetime(2026, 6, 12, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DISABLED = Subject(AlertKind.DISABLED, 1, 10)
AT_RISK = Subject(AlertKind.AT_RISK, 1, 10)
NO_ACCESS = Subject(AlertKind.NO_ACCESS, 1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_every_kind_has_its_place_and_its_name() -> None:
    assert sorted(WORST_FIRST) == sorted(KINDS)
    assert [kind.label for kind in KINDS] == [
        "Disabled by OpenTrain", "About to be disabled", "No access to an install",
        "Recovery failed at its first delivery", "Deliveries overdue", "Signatures refused",
        "Log lags behind", "URL changed elsewhere",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "open_now", "changes"),
    [
        ([], [], Changes((), (), ())),
        ([DISABLED], [DISABLED], Changes((), (), ())),
        ([DISABLED, NO_ACCESS], [], Changes((DISABLED, NO_ACCESS), (), ())),
        ([], [DISABLED], Changes((), (DISABLED,), ())),
        ([DISABLED], [AT_RISK], Changes((DISABLED,), (), (AT_RISK,))),
        ([], [AT_RISK], Changes((), (AT_RISK,), ())),
        (
            [Subject(AlertKind.DISABLED, 1, 11)],
            [AT_RISK],
            Changes((Subject(AlertKind.DISABLED, 1, 11),), (AT_RISK,), ()),
        ),
    ],
)
def test_compare_opens_what_is_new_and_ends_what_is_gone(wrong, open_now, changes) -> None:
    assert compare(wrong=wrong, open_now=open_now) == changes


@pytest.mark.parametrize(
    ("recent", "last_ago", "is_open", "refused"),
    [
        (2, MINUTE, False, False),
        (3, MINUTE, False, True),
        (0, 29 * MINUTE, True, True),
        (0, 30 * MINUTE, True, False),
        (0, 29 * MINUTE, False, False),
    ],
)
def test_signatures_are_refused_from_three_on_until_none_for_half_an_hour(recent, last_ago, is_open, refused) -> None:
    assert are_refused(recent=recent, last_at=NOON - last_ago, now=NOON, is_open=is_open) is refused


def test_retries_wait_longer_and_longer_and_end() -> None:
    waits = [retry_at(attempts=attempts, at=NOON) for attempts in range(1, ATTEMPTS + 1)]
    assert waits == [
        NOON + timedelta(seconds=30), NOON + 2 * MINUTE, NOON + 10 * MINUTE,
        NOON + timedelta(hours=1), NOON + timedelta(hours=3), None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-06-12T21:59:59", None),
        ("2026-06-12T22:00:00", "2026-06-13T07:00:00"),
        ("2026-06-12T23:59:59", "2026-06-13T07:00:00"),
        ("2026-06-13T00:00:00", "2026-06-13T07:00:00"),
        ("2026-06-13T06:59:59", "2026-06-13T07:00:00"),
        ("2026-06-13T07:00:00", None),
        ("2026-06-13T12:00:00", None),
    ],
)
def test_quiet_hours_go_over_midnight(now, until) -> None:
    found = Quiet(time(22), time(7), "UTC").until(utc(now))
    assert found == (None if until is None else utc(until))


@pytest.mark.parametrize(("hour", "quiet"), [(11, False), (12, True), (13, True), (14, False)])
def test_quiet_hours_within_a_day(hour, quiet) -> None:
    assert (Quiet(time(12), time(14), "UTC").until(utc(f"2026-06-12T{hour}:00:00")) is not None) is quiet


@pytest.mark.parametrize(
    ("now", "until"),
    [
        # Berlin, 29 March 2026: the clocks go from 02:00 to 03:00. The night is an hour shorter.
        ("2026-03-28T20:59:00", None),
        ("2026-03-28T21:00:00", "2026-03-29T05:00:00"),
        ("2026-03-29T04:59:00", "2026-03-29T05:00:00"),
        ("2026-03-29T05:00:00", None),
        # 25 October 2026: the clocks go from 03:00 back to 02:00. The night is an hour longer.
        ("2026-10-24T20:00:00", "2026-10-25T06:00:00"),
        ("2026-10-25T05:59:00", "2026-10-25T06:00:00"),
        ("2026-10-25T06:00:00", None),
    ],
)
def test_quiet_hours_follow_the_clocks_of_their_zone_through_a_change(now, until) -> None:
    found = Quiet(time(22), time(7), "Europe/Berlin").until(utc(now))
    assert found == (None if until is None else utc(until))


def test_end_that_comes_twice_is_its_second_one() -> None:
    quiet = Quiet(time(22), time(2, 30), "Europe/Berlin")  # 02:30 is both 00:30 and 01:30 UTC
    moments = [utc("2026-10-25T00:29:00") + timedelta(minutes=minutes) for minutes in (0, 2, 30, 60, 61, 90)]
    end = utc("2026-10-25T01:30:00")
    assert [quiet.until(moment) for moment in moments] == [end, end, end, end, None, None]


def test_end_that_does_not_come_is_when_the_clock_has_passed_it() -> None:
    quiet = Quiet(time(22), time(2, 30), "Europe/Berlin")  # in the night without a 02:30
    assert quiet.until(utc("2026-03-29T00:59:00")) == utc("2026-03-29T01:30:00")
    assert quiet.until(utc("2026-03-29T01:30:00")) is None


def test_every_minute_of_a_year_is_quiet_in_one_stretch_a_day() -> None:
    quiet, began = Quiet(time(22), time(7), "America/New_York"), 0
    before, now = False, utc("2026-01-01T15:00:00")
    lengths: dict[int, int] = {}
    while now < utc("2026-12-31T15:00:00"):
        is_quiet = quiet.until(now) is not None
        began += is_quiet and not before
        if is_quiet:
            lengths[began] = lengths.get(began, 0) + 15
        before, now = is_quiet, now + 15 * MINUTE
    assert began == 364
    assert sorted(set(lengths.values())) == [8 * 60, 9 * 60, 10 * 60]
