"""The poller: fetches every install's endpoints in turn, so that problems are detected without a page view.

It goes its rounds as rounds.py does. A worker takes an install by moving its `poll_after` ahead, `FOR UPDATE SKIP
LOCKED`: any number of workers share the installs, none is polled twice, and a killed worker's installs are due again
after LEASE. Nothing else is resumed.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import BinaryField, F, Q
from django.db.models.functions import Cast

from dashboard.actions.installs import rounds
from dashboard.actions.installs import sync as installs
from dashboard.actions.installs.fetch import FetchResult, visit
from dashboard.actions.installs.rounds import Done, Pace, Work
from dashboard.models import Install
from dashboard.vault import decrypt

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=2)
"""How long a taken install belongs to its worker. A fetch makes three calls at most, which time out after 15 s each;
one of them, for the list, may take 30 s more."""
HANGING_SLOTS = 64
"""Hanging calls that may run besides the others before new ones must wait."""
FAILING_SLOTS = 4
TAKEN = 32
"""Installs taken per query."""


def poll(*, clock: Callable[[], datetime], budget: timedelta) -> Done:
    """Poll every install that is due, as `rounds.go_round` does."""

    def ask(install: Install, _pace: Pace) -> FetchResult:
        sealed: bytes = install.sealed  # type: ignore[attr-defined]  # annotated by `take`
        return visit(install=install, at=clock(), read_token=lambda: decrypt(bytes(sealed)))

    work = Work(
        name="poll",
        take=lambda failing: take(now=clock(), failing=failing),
        ask=ask,
        record=_is_recorded,
        taken=TAKEN,
        concurrency=settings.POLL_CONCURRENCY,
        hanging_slots=HANGING_SLOTS,
        failing_slots=FAILING_SLOTS,
    )
    return rounds.go_round(work, budget=budget)


def take(*, now: datetime, failing: bool) -> list[Install]:
    """Take the next installs that are due, longest wait first. `sealed` is the encrypted token."""
    due = Install.objects.connected().filter(Q(poll_after__isnull=True) | Q(poll_after__lte=now))
    due = due.filter(failures__gt=0) if failing else due.filter(failures=0)
    first = due.order_by(F("poll_after").asc(nulls_first=True), "pk").select_for_update(skip_locked=True)
    with transaction.atomic():
        taken = list(first.defer("token").annotate(sealed=Cast("token", BinaryField()))[:TAKEN])
        Install.objects.filter(pk__in=[install.pk for install in taken]).update(poll_after=now + LEASE)
    return taken


def _is_recorded(answer: FetchResult) -> bool:
    outcome = installs.record(answer)
    if outcome is not None:
        logger.warning("install %s was not refreshed: %s", answer.install.pk, outcome.words)
    return outcome is None
