"""Durations and times of day in words."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules import durations
from dashboard.rules.time_zones import read_in, zone_named
from tests.rules.test_deliveries import MINUTE, NOON
from tests.rules.test_time_zones import MOMENTS, ZONES


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172_800, "2 days")],
)
def test_span_is_in_its_largest_fitting_unit(seconds, words) -> None:
    assert durations.span(duration=timedelta(seconds=seconds)) == words


def test_times_of_texts_that_are_read_later_have_their_date() -> None:
    then, now = NOON - 5 * MINUTE, NOON
    with durations.absolute_times():
        assert durations.clock(then=then, now=now) == durations.exactly(then)
        assert durations.ago(then=then, now=now) == f"at {durations.exactly(then)}"
    assert durations.clock(then=then, now=now) == f"{then:%H:%M} UTC"
    assert durations.ago(then=then, now=now) == "5 min ago"


def test_ago_of_a_clock_ahead_of_ours_is_just_now() -> None:
    assert durations.ago(then=NOON + MINUTE, now=NOON) == "just now"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "a second"), (1, "a second"), (30, "30 seconds"), (90, "90 seconds"), (60, "a minute"),
        (300, "five minutes"), (600, "ten minutes"), (900, "15 minutes"), (3600, "an hour"), (5400, "90 minutes"),
        (7200, "two hours"),
        (86_400, "a day"), (259_200, "three days"),
    ],
)  # fmt: skip
def test_spelled_is_in_the_largest_unit_that_divides_it(seconds, words) -> None:
    assert durations.spelled(duration=timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("then", "words"),
    [
        (NOON, "12:00 UTC"),
        (NOON - timedelta(days=1, minutes=38), f"11:22 UTC on {NOON.day - 1} {NOON:%B}"),
        (NOON.replace(year=NOON.year - 1), f"12:00 UTC on {NOON.day} {NOON:%B} {NOON.year - 1}"),
    ],
)
def test_clock_names_another_day_and_another_year(then, words) -> None:
    assert durations.clock(then=then, now=NOON) == words


@pytest.mark.parametrize(
    ("zone", "exactly", "clock"),
    [
        ("UTC", "2026-06-12 22:30:00 UTC", "22:30 UTC on 12 June"),
        ("Europe/Berlin", "2026-06-13 00:30:00 CEST", "00:30 CEST"),
        ("Asia/Kolkata", "2026-06-13 04:00:00 UTC+05:30", "04:00 UTC+05:30"),
        ("America/New_York", "2026-06-12 18:30:00 EDT", "18:30 EDT"),
    ],
)
def test_times_and_days_are_the_readers(zone, exactly, clock) -> None:
    then, now = datetime(2026, 6, 12, 22, 30, tzinfo=UTC), datetime(2026, 6, 13, 1, tzinfo=UTC)
    with read_in(zone_named(zone)):
        assert (durations.exactly(then), durations.clock(then=then, now=now)) == (exactly, clock)
        assert durations.exactly_utc(then) == "2026-06-12 22:30:00 UTC"


def test_hour_that_comes_twice_is_told_apart() -> None:
    first, second = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    with read_in(zone_named("Europe/Berlin")):
        assert durations.exactly(first) == "2026-10-25 02:30:00 CEST"
        assert durations.exactly(second) == "2026-10-25 02:30:00 CET"


@given(first=MOMENTS, apart=st.integers(1, 4 * 86_400), name=ZONES)
def test_no_two_moments_are_written_alike(first, apart, name) -> None:
    with read_in(zone_named(name)):
        assert durations.exactly(first) != durations.exactly(first + timedelta(seconds=apart))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (9360, "two and a half hours"),
        (9000, "two and a half hours"),
        (8999, "two hours"),
        (5400, "an hour and a half"),
        (3600, "an hour"),
        (3599, "59 minutes"),
        (61, "a minute"),
        (45, "45 seconds"),
        (0, "a second"),
        (86_400, "24 hours"),
    ],
)
def test_in_halves_rounds_down_to_half_an_hour(seconds: int, words: str) -> None:
    assert durations.in_halves(duration=timedelta(seconds=seconds)) == words
