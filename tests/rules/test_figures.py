"""Figures of 24 hours: rounded so that nothing looks better than it was, and unknown where the log does not know."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboard.rules.figures import PARTS, STEP, WINDOW, Tried, known, success, window

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("taken", "failed", "expected"),
    [
        (0, 0, "—"),
        (1, 0, "100%"),
        (99_999, 1, "99.9%"),
        (999, 1, "99.9%"),
        (9, 1, "90.0%"),
        (899, 101, "89%"),
        (2, 1, "66%"),
        (1, 99, "1%"),
        (1, 1000, "<1%"),
        (0, 7, "0%"),
    ],
)
def test_success_is_rounded_down_and_all_and_none_are_only_said_of_all_and_none(
    taken: int, failed: int, expected: str
) -> None:
    assert success(taken=taken, failed=failed) == expected


def test_window_of_24_hours_holds_now_and_stands_still_between_steps() -> None:
    since, until = window(now=NOON + timedelta(seconds=1))
    assert (until, since) == (NOON + STEP, NOON + STEP - WINDOW)
    assert window(now=NOON + STEP - timedelta(seconds=1)) == (since, until)
    assert window(now=NOON) == (since, until)
    assert window(now=NOON + STEP) == (since + STEP, until + STEP)


def test_hours_before_the_log_began_are_unknown_and_quiet_ones_after_it_are_nought() -> None:
    found: list[Tried | None] = [None] * PARTS
    found[2] = Tried(1, 0)
    log_since = NOON + timedelta(hours=21, minutes=30)
    parts = known(found, since=NOON, log_since=log_since)
    assert parts[:2] == (None, None)
    assert parts[2] == Tried(1, 0)
    assert parts[3:21] == (None,) * 18
    assert parts[21:] == (Tried(0, 0),) * 3
