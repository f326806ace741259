"""The poller: fetches every install's endpoints in turn, so that problems are detected without a page view.

Design decisions:
- A worker takes an install by moving its `poll_after` ahead, `FOR UPDATE SKIP LOCKED`: any number of workers share the
  installs, none is polled twice, and a killed worker's installs are due again after LEASE. Nothing else is resumed.
- Threads only make calls; they have no database connection. One thread, the caller's, takes installs and records
  results, so a poll needs one connection whatever its concurrency.
- POLL_CONCURRENCY calls run at a time, not counting calls that already take far longer than usual: a hanging call gives
  up its slot. Free slots are filled before results are recorded. Installs that failed last time use FAILING_SLOTS of
  their own.
- The next installs are taken only when there is a free slot, so memory does not grow with the number of installs.
"""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue

from django.conf import settings
from django.db import transaction
from django.db.models import BinaryField, F, Q
from django.db.models.functions import Cast

from dashboard.actions.installs import sync as installs
from dashboard.actions.installs.fetch import FetchResult, visit
from dashboard.models import Install
from dashboard.vault import decrypt

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=2)
"""How long a taken install belongs to its worker. A fetch makes three calls at most, which time out after 15 s each;
one of them, for the list, may take 30 s more."""
SLOW_FROM = 2
"""Multiple of the usual duration from which a call counts as hanging."""
SLOW_AFTER_LEAST_S, SLOW_AFTER_MOST_S = 0.15, 2.0
USUAL_S = 0.3
"""Initial estimate of a call's duration, in seconds; each response of a poll adjusts it."""
NEWEST_WEIGH = 0.1
HANGING_SLOTS = 64
"""Hanging calls that may run besides the others before new ones must wait."""
FAILING_SLOTS = 4
TAKEN = 32
"""Installs taken per query."""
LOOK_EVERY_S = 0.05
"""Interval for checking whether a call has become slow while no response arrives, in seconds."""


@dataclass(frozen=True, slots=True)
class Polled:
    """Counts of installs polled, and of those whose poll failed."""

    installs: int = 0
    failed: int = 0


@dataclass(slots=True)
class _Line:
    """Installs taken but not yet polled, and whether more of their kind are due."""

    failing: bool
    waiting: deque[Install] = field(default_factory=deque)
    more: bool = True

    def next(self, *, now: datetime) -> Install | None:
        """Return the next install to poll; None if none is due."""
        if not self.waiting and self.more:
            self.waiting.extend(take(now=now, failing=self.failing))
            self.more = len(self.waiting) == TAKEN
        return self.waiting.popleft() if self.waiting else None


@dataclass(slots=True)
class _Run:
    """One poll: waiting installs, and running calls, each with its start time and whether its install is failing."""

    pool: ThreadPoolExecutor
    clock: Callable[[], datetime]
    ends: float
    well: _Line = field(default_factory=lambda: _Line(failing=False))
    failing: _Line = field(default_factory=lambda: _Line(failing=True))
    answers: "SimpleQueue[Future[FetchResult]]" = field(default_factory=SimpleQueue)
    under_way: dict[Future[FetchResult], tuple[float, bool]] = field(default_factory=dict)
    answered: deque[Future[FetchResult]] = field(default_factory=deque)
    usual_s: float = USUAL_S
    asked: int = 0
    failed: int = 0


def poll(*, clock: Callable[[], datetime], budget: timedelta) -> Polled:
    """Poll every install that is due, for at most `budget`, and record each result as it arrives.

    Returns when all results are recorded: at most one fetch's time after the budget. Raises: django.db.Error; installs
    that were taken and not recorded are due again after LEASE.
    """
    most = settings.POLL_CONCURRENCY + HANGING_SLOTS + FAILING_SLOTS
    with ThreadPoolExecutor(most, thread_name_prefix="poll") as pool:
        run = _Run(pool=pool, clock=clock, ends=time.monotonic() + budget.total_seconds())
        _start(run)
        while run.under_way or run.answered:
            _collect(run)
            _start(run)
            _record_next(run)
    return Polled(run.asked, run.failed)


def take(*, now: datetime, failing: bool) -> list[Install]:
    """Take the next installs that are due, longest wait first. `sealed` is the encrypted token."""
    due = Install.objects.filter(Q(poll_after__isnull=True) | Q(poll_after__lte=now))
    due = due.filter(failures__gt=0) if failing else due.filter(failures=0)
    first = due.order_by(F("poll_after").asc(nulls_first=True), "pk").select_for_update(skip_locked=True)
    with transaction.atomic():
        taken = list(first.defer("token").annotate(sealed=Cast("token", BinaryField()))[:TAKEN])
        Install.objects.filter(pk__in=[install.pk for install in taken]).update(poll_after=now + LEASE)
    return taken


def _start(run: _Run) -> None:
    """Start calls in the free slots."""
    failing = sum(known for _began, known in run.under_way.values())
    for line, room in ((run.well, _room(run)), (run.failing, FAILING_SLOTS - failing)):
        for _ in range(room):
            install = line.next(now=run.clock()) if time.monotonic() < run.ends else None
            if install is None:
                break
            future = run.pool.submit(_ask, install, run.clock())
            run.under_way[future] = time.monotonic(), line.failing
            future.add_done_callback(run.answers.put)
            run.asked += 1


def _room(run: _Run) -> int:
    """Return how many more healthy installs may be polled now."""
    if len(run.answered) >= settings.POLL_CONCURRENCY:
        return 0  # results that have arrived are recorded first
    began = [at for at, failing in run.under_way.values() if not failing]
    slow_after_s = min(max(run.usual_s * SLOW_FROM, SLOW_AFTER_LEAST_S), SLOW_AFTER_MOST_S)
    prompt = sum(at > time.monotonic() - slow_after_s for at in began)
    return min(settings.POLL_CONCURRENCY - prompt, settings.POLL_CONCURRENCY + HANGING_SLOTS - len(began))


def _ask(install: Install, at: datetime) -> FetchResult:
    sealed: bytes = install.sealed  # type: ignore[attr-defined]  # annotated by `take`
    return visit(install=install, at=at, read_token=lambda: decrypt(bytes(sealed)))


def _collect(run: _Run) -> None:
    """Collect the results that have arrived; if none waits to be recorded, wait briefly for one."""
    wait_s = 0.0 if run.answered else LOOK_EVERY_S
    with contextlib.suppress(Empty):
        while True:
            future = run.answers.get(block=wait_s > 0, timeout=wait_s or None)
            began, failing = run.under_way.pop(future)
            took_s = min(time.monotonic() - began, SLOW_AFTER_MOST_S)
            if not failing and not _has_failed(future):
                run.usual_s += (took_s - run.usual_s) * NEWEST_WEIGH
            run.answered.append(future)
            wait_s = 0.0


def _has_failed(future: Future[FetchResult]) -> bool:
    return future.exception() is not None or future.result().error is not None


def _record_next(run: _Run) -> None:
    if run.answered and not _is_recorded(run.answered.popleft()):
        run.failed += 1


def _is_recorded(future: Future[FetchResult]) -> bool:
    """Record a result; return whether the poll succeeded. A problem of one install does not affect the others."""
    if future.exception() is not None:
        logger.error("an install could not be polled", exc_info=future.exception())
        return False
    answer = future.result()
    outcome = installs.record(answer)
    if outcome is not None:
        logger.warning("install %s was not refreshed: %s", answer.install.pk, outcome.words)
    return outcome is None
