"""Back-off: at once, then a wait that grows and is bounded; one line for each change, not for each ending."""

import signal
from collections.abc import Iterator

import pytest

from dashboard.rules.restarts import (
    LONGEST_WAIT_S,
    STEADY_S,
    Course,
    after_ending,
    how_ended,
    is_news,
    is_up_again,
    wait_s,
    what_follows,
)


def endings(*hows: str, ran_s: float = 1) -> Iterator[tuple[Course, bool]]:
    course = Course()
    for how in hows:
        before, course = course, after_ending(course, how=how, ran_s=ran_s)
        yield course, is_news(before, course)


def test_wait_grows_to_its_bound() -> None:
    waits = [course.wait_s for course, _ in endings(*["ended with status 1"] * 8)]
    assert waits == [0, 1, 2, 4, 8, LONGEST_WAIT_S, LONGEST_WAIT_S, LONGEST_WAIT_S]
    assert wait_s(10**9) == LONGEST_WAIT_S


def test_part_that_was_up_starts_again_at_once_each_time() -> None:
    assert [(course.endings, course.wait_s) for course, _ in endings("a", "a", "a", ran_s=STEADY_S)] == [(1, 0)] * 3


def test_part_that_keeps_failing_is_told_of_until_nothing_changes() -> None:
    news = [told for _, told in endings(*["ended with status 1"] * 100)]
    assert news == [True] * 6 + [False] * 94


def test_ending_of_another_kind_is_told() -> None:
    same = ["ended with status 1"] * 10
    assert [told for _, told in endings(*same, "was ended by SIGKILL", "was ended by SIGKILL")][-2:] == [True, False]


def test_first_ending_of_a_part_that_was_up_is_told_each_time() -> None:
    assert [told for _, told in endings("a", "a", "a", ran_s=STEADY_S)] == [True] * 3


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended with status 0"),
        (3, "ended with status 3"),
        (-signal.SIGKILL, "was ended by SIGKILL"),
        (-signal.SIGABRT, "was ended by SIGABRT"),
        (-(signal.SIGRTMIN + 3), f"was ended by signal {signal.SIGRTMIN + 3}"),
    ],
)
def test_how_a_process_ended_is_said_by_name(code: int, words: str) -> None:
    assert how_ended(code) == words


def test_what_follows_is_said() -> None:
    assert [what_follows(Course(endings=endings, wait_s=wait_s(endings))) for endings in (1, 2, 9)] == [
        "It starts again now.",
        "It starts again in 1 s.",
        "It starts again every 15 s. The next line about it says what has changed.",
    ]


@pytest.mark.parametrize(
    ("endings", "ran_s", "up_again"), [(0, 99, False), (1, 99, False), (2, 59, False), (2, 60, True), (30, 60, True)]
)
def test_part_is_up_again_when_it_kept_failing_and_then_stayed(endings: int, ran_s: float, up_again: bool) -> None:
    assert is_up_again(Course(endings=endings), ran_s=ran_s) is up_again
