"""Durations in words."""

from datetime import timedelta

import pytest

from dashboard.rules import durations
from tests.rules.test_deliveries import MINUTE, NOON


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172_800, "2 days")],
)
def test_span_is_in_its_largest_fitting_unit(seconds, words) -> None:
    assert durations.span(duration=timedelta(seconds=seconds)) == words


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
