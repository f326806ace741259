"""The sweep: reads every install's project links and contracts in turn, so that an event that never came is noticed.

It goes its rounds as actions/installs/rounds.py does, with half as many calls at a time as the poller: nobody waits for
it. A worker takes an install by moving its `due_at` ahead, `FOR UPDATE SKIP LOCKED`. So one install is read by one
worker at a time, and those of a killed worker are due again after LEASE.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from django.conf import settings
from django.db import transaction
from django.db.models import BinaryField, F, Q
from django.db.models.functions import Cast

from dashboard.actions.installs import rounds
from dashboard.actions.installs.rounds import Done, Pace, Work
from dashboard.actions.reconciliation import reads
from dashboard.actions.reconciliation.judge import judge
from dashboard.actions.reconciliation.reads import MOST_BUDGETS, Reading, Subject
from dashboard.actions.reconciliation.record import record
from dashboard.models import Contract, Endpoint, Install, ProjectLink, Reconciliation
from dashboard.rules.reach import ACTIVE
from dashboard.vault import Secret, decrypt

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=5)
"""How long a taken install belongs to its worker. It may wait for a slot while others are read; a reading takes
`reads.LONGEST_S` and its last call."""
HANGING_SLOTS = 16
"""Hanging calls that may run besides the others before new ones must wait."""
FAILING_SLOTS = 2
BUDGET_EVENTS = ("milestone.funded", "milestone.budget_low", "milestone.budget_depleted")
"""Events that follow from a contract's budget. Source: partner-api, "Links, contracts and budgets"."""


class Judge(Protocol):
    """Compares what is stored of an install with its log."""

    def __call__(self, *, install_id: int, now: datetime) -> None: ...


def sweep(*, clock: Callable[[], datetime], budget: timedelta, judge: Judge = judge) -> Done:
    """Read every install that is due, as `rounds.go_round` does, and judge it as soon as it is recorded."""

    def ask(subject: Subject, pace: Pace) -> Reading:
        return reads.read(subject, clock=clock, on_call=pace.next_call)

    def is_recorded(reading: Reading) -> bool:
        words = record(reading)
        if words:
            logger.warning("install %s: its contracts were not read: %s", reading.install.pk, words)
        return _is_judged(reading, judge=judge, now=clock()) and not words

    concurrency = max(settings.POLL_CONCURRENCY // 2, 1)
    work = Work(
        name="sweep",
        take=lambda failing: take(now=clock(), failing=failing, most=concurrency),
        ask=ask,
        record=is_recorded,
        taken=concurrency,
        concurrency=concurrency,
        hanging_slots=HANGING_SLOTS,
        failing_slots=FAILING_SLOTS,
    )
    _enter_new_installs(now=clock())
    return rounds.go_round(work, budget=budget)


def _is_judged(reading: Reading, *, judge: Judge, now: datetime) -> bool:
    """Judge an install; return whether that worked. A mistake in one does not keep the others from being read."""
    try:
        judge(install_id=reading.install.pk, now=now)
    except Exception:
        logger.exception("install %s: its contracts could not be judged", reading.install.pk)
        return False
    return True


def take(*, now: datetime, failing: bool, most: int) -> list[Subject]:
    """Take the next installs that are due, longest wait first, with what reading them depends on."""
    due = Reconciliation.objects.filter(Q(due_at__isnull=True) | Q(due_at__lte=now))
    due = due.exclude(install__in=Install.objects.filter(disconnected_at__isnull=False).values("pk"))
    due = due.filter(failures__gt=0) if failing else due.filter(failures=0)
    first = due.order_by(F("due_at").asc(nulls_first=True), "pk").select_for_update(skip_locked=True)
    with transaction.atomic():
        taken = list(first.values_list("pk", flat=True)[:most])
        Reconciliation.objects.filter(pk__in=taken).update(due_at=now + LEASE)
    return _subjects(taken)


def _enter_new_installs(*, now: datetime) -> None:
    new = Install.objects.connected().filter(reconciliation__isnull=True).values_list("pk", flat=True)
    Reconciliation.objects.bulk_create((Reconciliation(install_id=pk, due_at=now) for pk in new), ignore_conflicts=True)


def _subjects(install_ids: Sequence[int]) -> list[Subject]:
    if not install_ids:
        return []
    installs = Install.objects.defer("token").annotate(sealed=Cast("token", BinaryField())).in_bulk(install_ids)
    known: dict[int, list[str]] = defaultdict(list)
    turns: dict[int, dict[str, datetime]] = defaultdict(dict)
    here = Contract.objects.filter(install__in=install_ids, gone_at=None)
    for install_id, contract_id in here.values_list("install", "opentrain_id"):
        known[install_id].append(contract_id)
    read = ProjectLink.objects.filter(install__in=install_ids, contracts_read_at__isnull=False)
    for link in read.only("install_id", "opentrain_id", "contracts_read_at"):
        if link.contracts_read_at is not None:
            turns[link.install_id][link.opentrain_id] = link.contracts_read_at
    budgets = _budgets_of(install_ids)
    return [
        Subject(
            installs[pk],
            read_token=partial(_token, installs[pk]),
            turns=turns[pk],
            known=frozenset(known[pk]),
            budgets=budgets.get(pk, ()),
        )
        for pk in install_ids
    ]


def _token(install: Install) -> Secret:
    sealed: bytes = install.sealed  # type: ignore[attr-defined]  # annotated by `_subjects`
    return decrypt(bytes(sealed))


def _budgets_of(install_ids: Sequence[int]) -> dict[int, list[str]]:
    """Return the active contracts whose budgets were read longest ago, of installs that get events about budgets."""
    told = Endpoint.objects.registered().filter(install__in=install_ids, event_types__overlap=BUDGET_EVENTS)
    logged = told.exclude(receiver_key=None, observation_key_sha256=None).defer("secret")
    return {install_id: _budgets_due(install_id) for install_id in {one.install_id for one in logged if one.is_logged}}


def _budgets_due(install_id: int) -> list[str]:
    active = Contract.objects.filter(install=install_id, status=ACTIVE, gone_at=None)
    oldest = active.order_by(F("budget_read_at").asc(nulls_first=True), "pk")
    return list(oldest.values_list("opentrain_id", flat=True)[:MOST_BUDGETS])
