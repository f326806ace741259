"""Rounds: as many at a time as allowed, hanging calls aside, and one problem does not stop the others.

The poller's and the sweep's tests cover them with OpenTrain.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest

from dashboard.actions.installs import rounds
from dashboard.actions.installs.rounds import Done, Pace, Work

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Answer:
    number: int
    error: Exception | None = None


def go(
    ask: Callable[[int, Pace], Answer],
    *,
    well: Sequence[int],
    failing: Sequence[int] = (),
    record: Callable[[Answer], bool] = lambda answer: answer.error is None,
    concurrency: int = 2,
    hanging: int = 4,
) -> Done:
    left = {False: list(well), True: list(failing)}

    def take(is_failing: bool) -> list[int]:
        taken, left[is_failing] = left[is_failing][:3], left[is_failing][3:]
        return taken

    work = Work(
        name="test",
        take=take,
        ask=ask,
        record=record,
        taken=3,
        concurrency=concurrency,
        hanging_slots=hanging,
        failing_slots=1,
    )
    return rounds.go_round(work, budget=MINUTE)


def test_everything_is_asked_about_once() -> None:
    recorded = []
    done = go(
        lambda number, _pace: Answer(number, ValueError() if number == 4 else None),
        well=range(10),
        failing=range(10, 14),
        record=lambda answer: recorded.append(answer.number) or answer.error is None,
    )
    assert (done, sorted(recorded)) == (Done(installs=14, failed=1), list(range(14)))


def test_mistake_in_a_call_is_logged_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    def ask(number: int, _pace: Pace) -> Answer:
        if number == 1:
            raise RuntimeError("a mistake of ours")
        return Answer(number)

    assert go(ask, well=range(4)) == Done(installs=4, failed=1)
    assert "test: an install could not be read" in caplog.text


def test_answers_are_recorded_before_many_more_are_asked_for() -> None:
    """Else the answers of all installs would wait in memory where recording takes longer than asking."""
    asked, waiting = [], []

    def ask(number: int, _pace: Pace) -> Answer:
        asked.append(number)
        return Answer(number)

    def record(_answer: Answer) -> bool:
        time.sleep(0.002)  # longer than asking
        waiting.append(len(asked) - len(waiting))
        return True

    assert go(ask, well=range(60), record=record) == Done(installs=60)
    assert max(waiting) <= 6


@pytest.mark.parametrize("says", [True, False])
def test_subject_with_many_calls_keeps_its_slot_while_each_of_them_is_quick(monkeypatch, says: bool) -> None:
    """One that says when each of its calls begins does not count as hanging, however many there are."""
    monkeypatch.setattr(rounds, "SLOW_AFTER_LEAST_S", 0.2)
    monkeypatch.setattr(rounds, "SLOW_AFTER_MOST_S", 0.2)
    monkeypatch.setattr(rounds, "LOOK_EVERY_S", 0.01)
    second, ended = threading.Event(), threading.Event()

    def ask(number: int, pace: Pace) -> Answer:
        if number == 1:
            second.set()
            return Answer(number)
        for _ in range(60):
            if says:
                pace.next_call()
            if second.wait(0.01):
                break
        ended.set()
        return Answer(number)

    go(ask, well=[0, 1], concurrency=1)
    assert ended.is_set()
