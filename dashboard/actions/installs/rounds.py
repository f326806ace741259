"""A round: asks OpenTrain about every install that is due, in turn, and records each answer as it comes.

Design decisions:
- Threads only make calls; they have no database connection. One thread, the caller's, takes installs and records
  results, so a round needs one connection whatever its concurrency.
- `concurrency` installs are asked at a time, not counting calls that already take far longer than usual: a hanging call
  gives up its slot. Free slots are filled before results are recorded. Installs that failed last time use slots of
  their own.
- The next installs are taken only when there is a free slot, so memory does not grow with the number of installs.
"""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from queue import Empty, SimpleQueue
from typing import Generic, Protocol, TypeVar

logger = logging.getLogger(__name__)

SLOW_FROM = 2
"""Multiple of the usual duration from which a call counts as hanging."""
SLOW_AFTER_LEAST_S, SLOW_AFTER_MOST_S = 0.15, 2.0
USUAL_S = 0.3
"""Initial estimate of a call's duration, in seconds; each response of a round adjusts it."""
NEWEST_WEIGH = 0.1
LOOK_EVERY_S = 0.05
"""Interval for checking whether a call has become slow while no response arrives, in seconds."""

Subject = TypeVar("Subject")
"""What is asked about: an install, and what the call needs to know of it."""


class Answer(Protocol):
    """What came of a subject. `error` is set if it failed."""

    @property
    def error(self) -> Exception | None: ...


Answered = TypeVar("Answered", bound=Answer)


@dataclass(slots=True)
class Pace:
    """When the current call about a subject began. Whoever makes several calls says when each begins."""

    failing: bool
    began: float = field(default_factory=time.monotonic)

    def next_call(self) -> None:
        self.began = time.monotonic()


@dataclass(frozen=True, slots=True)
class Work(Generic[Subject, Answered]):
    """What a round does.

    `take` returns at most `taken` due subjects, the longest waiting first, of those that failed last time or of the
    others. `ask` runs in a thread without a database. `record` returns whether the answer is a good one.
    `hanging_slots` is how many hanging calls may run besides the others before new ones must wait.
    """

    name: str
    take: Callable[[bool], Sequence[Subject]]
    ask: Callable[[Subject, Pace], Answered]
    record: Callable[[Answered], bool]
    taken: int
    concurrency: int
    hanging_slots: int
    failing_slots: int


@dataclass(frozen=True, slots=True)
class Done:
    """Counts of installs asked about, and of those that failed."""

    installs: int = 0
    failed: int = 0


@dataclass(slots=True)
class _Line(Generic[Subject, Answered]):
    """Subjects taken but not yet asked about, and whether more of their kind are due."""

    work: Work[Subject, Answered]
    failing: bool
    waiting: deque[Subject] = field(default_factory=deque)
    more: bool = True

    def next(self) -> Subject | None:
        """Return the next subject; None if none is due."""
        if not self.waiting and self.more:
            self.waiting.extend(self.work.take(self.failing))
            self.more = len(self.waiting) == self.work.taken
        return self.waiting.popleft() if self.waiting else None


@dataclass(slots=True)
class _Run(Generic[Subject, Answered]):
    """One round: waiting subjects, and running calls, each with its pace."""

    work: Work[Subject, Answered]
    pool: ThreadPoolExecutor
    ends: float
    well: _Line[Subject, Answered]
    failing: _Line[Subject, Answered]
    answers: "SimpleQueue[Future[Answered]]" = field(default_factory=SimpleQueue)
    under_way: dict[Future[Answered], Pace] = field(default_factory=dict)
    answered: deque[Future[Answered]] = field(default_factory=deque)
    usual_s: float = USUAL_S
    asked: int = 0
    failed: int = 0


def go_round(work: Work[Subject, Answered], *, budget: timedelta) -> Done:
    """Ask about everything that is due, for at most `budget`, and record each answer as it arrives.

    Returns when all answers are recorded: at most one subject's time after the budget. Raises: django.db.Error; what
    was taken and not recorded is due again after its lease.
    """
    most = work.concurrency + work.hanging_slots + work.failing_slots
    with ThreadPoolExecutor(most, thread_name_prefix=work.name) as pool:
        run = _Run(
            work=work,
            pool=pool,
            ends=time.monotonic() + budget.total_seconds(),
            well=_Line(work, failing=False),
            failing=_Line(work, failing=True),
        )
        _start(run)
        while run.under_way or run.answered:
            _collect(run)
            _start(run)
            _record_next(run)
    return Done(run.asked, run.failed)


def _start(run: _Run[Subject, Answered]) -> None:
    """Start calls in the free slots."""
    failing = sum(pace.failing for pace in run.under_way.values())
    for line, room in ((run.well, _room(run)), (run.failing, run.work.failing_slots - failing)):
        for _ in range(room):
            subject = line.next() if time.monotonic() < run.ends else None
            if subject is None:
                break
            pace = Pace(line.failing)
            future = run.pool.submit(run.work.ask, subject, pace)
            run.under_way[future] = pace
            future.add_done_callback(run.answers.put)
            run.asked += 1


def _room(run: _Run[Subject, Answered]) -> int:
    """Return how many more healthy installs may be asked about now."""
    if len(run.answered) >= run.work.concurrency:
        return 0  # results that have arrived are recorded first
    began = [pace.began for pace in run.under_way.values() if not pace.failing]
    slow_after_s = min(max(run.usual_s * SLOW_FROM, SLOW_AFTER_LEAST_S), SLOW_AFTER_MOST_S)
    prompt = sum(at > time.monotonic() - slow_after_s for at in began)
    return min(run.work.concurrency - prompt, run.work.concurrency + run.work.hanging_slots - len(began))


def _collect(run: _Run[Subject, Answered]) -> None:
    """Collect the answers that have arrived; if none waits to be recorded, wait briefly for one."""
    wait_s = 0.0 if run.answered else LOOK_EVERY_S
    with contextlib.suppress(Empty):
        while True:
            future = run.answers.get(block=wait_s > 0, timeout=wait_s or None)
            pace = run.under_way.pop(future)
            took_s = min(time.monotonic() - pace.began, SLOW_AFTER_MOST_S)
            if not pace.failing and not _has_failed(future):
                run.usual_s += (took_s - run.usual_s) * NEWEST_WEIGH
            run.answered.append(future)
            wait_s = 0.0


def _has_failed(future: Future[Answered]) -> bool:
    return future.exception() is not None or future.result().error is not None


def _record_next(run: _Run[Subject, Answered]) -> None:
    """Record an answer. A problem of one install does not affect the others."""
    if not run.answered:
        return
    future = run.answered.popleft()
    if future.exception() is not None:
        logger.error("%s: an install could not be read", run.work.name, exc_info=future.exception())
        run.failed += 1
    elif not run.work.record(future.result()):
        run.failed += 1
