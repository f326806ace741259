"""When the next attempt comes, in words or as a time."""

from datetime import datetime, timedelta

import pytest

from dashboard.presenters.rows import NextAttempt, next_attempt, was_answered
from tests.presenters.rows import NOW

LATER, BEFORE = NOW + timedelta(minutes=1), NOW - timedelta(minutes=1)


@pytest.mark.parametrize(
    ("due", "is_overdue", "found"),
    [
        (None, False, None),
        (LATER, False, NextAttempt(at=LATER)),
        (BEFORE, False, NextAttempt("with the next delivery run")),
        (BEFORE, True, NextAttempt("overdue")),
    ],
)
def test_next_attempt_is_a_time_where_that_is_to_come(
    due: datetime | None, is_overdue: bool, found: NextAttempt | None
) -> None:
    assert next_attempt(due=due, is_overdue=is_overdue, now=NOW) == found


@pytest.mark.parametrize(("cause", "answered"), [("", True), ("status", True), ("timeout", False), ("refused", False)])
def test_latency_is_of_an_answer(cause: str, answered: bool) -> None:
    assert was_answered(cause) is answered
