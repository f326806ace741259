"""How new is what people see. A page shows what is known, with its age, and requests a refresh; a button asks itself.

A page never waits for OpenTrain. A worker makes the call (dashboard/tasks.py), one at a time for an install, and the
page's next poll shows what it brought.
"""

import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from procrastinate import exceptions
from procrastinate.contrib.django import app

from dashboard.actions.installs import sync
from dashboard.actions.runs.commands import QUEUE
from dashboard.db.advisory_lock import alone
from dashboard.models import AuditEntry, Install
from dashboard.queries import health_checks
from dashboard.rules.installs import Trouble

REFRESH = "refresh-install"
"""The job that refreshes an install (dashboard/tasks.py)."""
PRIORITY = -1
"""Below the other jobs: a run that waits for a worker goes first."""
FRESH_FOR = timedelta(seconds=2)
"""A younger list is shown without another call; a page polls every 3 s."""
PAUSE_AFTER_FAILURE = timedelta(seconds=10)
"""How long OpenTrain is left alone after a call that failed."""
REQUEST_AGAIN_AFTER = timedelta(seconds=10)
"""A refresh that has brought nothing for this long is requested again: its worker may have been killed."""
MENTIONED_AFTER = timedelta(seconds=5)
"""Older than this, the page says that it is being refreshed; between two polls it would only flicker."""
POLLS_MISSED = 3
"""The page says that it is late when the poller should have come by this often."""

LEFT_ALONE = (Trouble.RATE_LIMITED, Trouble.TOKEN_REFUSED)
"""OpenTrain has said no, and would say it again: the pause that the poller keeps is kept by pages too."""
NO_WORKER = "Nothing is refreshed: the background worker is not running. Ask your administrator to start it."
LATE = "This has not been refreshed for longer than usual. A refresh is queued."


@dataclass(frozen=True, slots=True)
class Staleness:
    """Why what is shown is not fresh, in words."""

    words: str
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Freshness:
    """What a page says beside its age: what is wrong, if anything is, and whether a refresh is under way."""

    stale: Staleness | None = None
    refreshing: bool = False


def look(*, install: Install, now: datetime) -> Freshness:
    """Say how fresh the install's endpoints are, and request a refresh where one is due. OpenTrain is not called."""
    if not install.can_manage:
        return Freshness()  # the page says so already, and OpenTrain would only say it again
    if _is_left_alone(install, now=now):
        return Freshness(Staleness(words=install.last_error))
    if _is_fresh(install, now=now):
        return Freshness()
    _request(install, now=now)
    return _awaited(age=None if install.synced_at is None else now - install.synced_at, install=install, now=now)


def freshen(*, install: Install, now: datetime) -> Staleness | None:
    """Bring the install's endpoints up to date now, for a button; say why when that did not succeed.

    It may take as long as OpenTrain is given to answer.
    """
    if not install.can_manage:
        return None
    if _is_left_alone(install, now=now):
        return Staleness(words=install.last_error)
    if _is_fresh(install, now=now):
        return None
    outcome = sync.refresh(install=install, now=now)
    return None if outcome is None else Staleness(words=outcome.words, request_id=outcome.request_id)


def refresh(*, install_id: int, now: datetime) -> None:
    """Do a refresh that was requested, unless another worker is at it or it is no longer due.

    Raises: django.db.Error.
    """
    with alone(name="redeliver.refresh", number=install_id) as mine:
        install = Install.objects.defer("token").filter(pk=install_id).first() if mine else None
        if install is None:
            return
        if install.can_manage and not _is_left_alone(install, now=now) and not _is_fresh(install, now=now):
            sync.refresh(install=install, now=now)
        else:
            Install.objects.filter(pk=install_id).update(refresh_requested_at=None)


def lock_of(*, install_id: int) -> str:
    """Return the name by which at most one refresh of an install waits."""
    return f"{REFRESH}-{install_id}"


def _awaited(*, age: timedelta | None, install: Install, now: datetime) -> Freshness:
    """Say what there is to say while a refresh is under way; `age` is None where there is nothing to be old."""
    if age is not None and age < MENTIONED_AFTER:
        return Freshness()
    if not health_checks.has_worker(now=now):
        return Freshness(Staleness(words=NO_WORKER))
    if install.last_error:
        return Freshness(Staleness(words=install.last_error), refreshing=True)
    if age is not None and age > timedelta(seconds=settings.POLL_EVERY_S) * POLLS_MISSED:
        return Freshness(Staleness(words=LATE), refreshing=True)
    return Freshness(refreshing=True)


def _request(install: Install, *, now: datetime) -> None:
    """Queue a refresh. Of any number of tabs one does so: who finds the row as it was read."""
    before = install.refresh_requested_at
    if before is not None and abs(now - before) < REQUEST_AGAIN_AFTER:
        return
    with transaction.atomic():
        # A row that is being written has news coming, and the page does not wait for it.
        unlocked = Install.objects.select_for_update(skip_locked=True, no_key=True)
        mine = unlocked.filter(pk=install.pk, refresh_requested_at=before).values("pk")
        if not Install.objects.filter(pk__in=mine).update(refresh_requested_at=now):
            return
        with contextlib.suppress(exceptions.AlreadyEnqueued), transaction.atomic():
            job = app.configure_task(
                REFRESH, queue=QUEUE, queueing_lock=lock_of(install_id=install.pk), priority=PRIORITY
            )
            job.defer(install_id=install.pk)


def _is_left_alone(install: Install, *, now: datetime) -> bool:
    """Tell whether OpenTrain has just failed, or has said how long it wants to be left alone."""
    if install.last_error_at is not None and now - install.last_error_at < PAUSE_AFTER_FAILURE:
        return True
    return install.last_error_code in LEFT_ALONE and install.poll_after is not None and install.poll_after > now


def _is_fresh(install: Install, *, now: datetime) -> bool:
    """Tell whether the list of endpoints is young enough, and no operation on one has ended since it was requested."""
    if install.listed_at is None or now - install.listed_at >= FRESH_FOR:
        return False
    since = install.audit.filter(at__gt=install.listed_at, endpoint__isnull=False)
    return not since.exclude(phase=AuditEntry.Phase.REQUESTED).exists()
