"""Freshness of the data that pages show. A page shows the known data with its age and requests a refresh.

A page never waits for OpenTrain: a worker makes the call (dashboard/tasks.py), one at a time per install, and the
page's next poll shows the result. A button refreshes directly.
"""

import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from procrastinate import exceptions
from procrastinate.contrib.django import app

from dashboard.actions.handovers.asking import HAND_OVER
from dashboard.actions.installs import sync
from dashboard.actions.runs.commands import QUEUE
from dashboard.db.advisory_lock import alone
from dashboard.models import AuditEntry, Install
from dashboard.queries import health_checks
from dashboard.rules.installs import Trouble, disconnected

REFRESH = "refresh-install"
"""The job that refreshes an install (dashboard/tasks.py)."""
PRIORITY = -1
"""Lower than other jobs, so that a run waiting for a worker goes first."""
FRESH_FOR = timedelta(seconds=2)
"""Age up to which a list is shown without another call; a page polls every 3 s."""
FRESH_ENDPOINTS = 500
"""Endpoints up to which this age applies. A longer list takes longer to read, so it is shown for proportionally longer,
until the next regular poll at most."""
PAUSE_AFTER_FAILURE = timedelta(seconds=10)
"""Pause in calls to OpenTrain after a call failed, whether it was a read or a write."""
REQUEST_AGAIN_AFTER = timedelta(seconds=10)
"""Time after which a refresh without a result is requested again, because its worker may have been killed."""
MENTIONED_AFTER = timedelta(seconds=5)
"""Age from which a page shows that it is being refreshed; earlier, the message would only flicker."""
POLLS_MISSED = 3
"""Missed polls after which a page says that its data is late."""

UNANSWERED = (AuditEntry.Phase.UNKNOWN, AuditEntry.Phase.UNAVAILABLE)
"""Outcomes of a write that OpenTrain did not answer, or not with an answer of its own."""
LEFT_ALONE = (Trouble.RATE_LIMITED, Trouble.TOKEN_REFUSED)
"""Errors that another call would only repeat, so pages observe the poller's pause too."""
JUST_FAILED = f"A request to OpenTrain failed a moment ago. Try again in {PAUSE_AFTER_FAILURE.seconds} s."
NO_WORKER = "Nothing is refreshed: the background worker is not running. Ask your administrator to start it."
LATE = "This has not been refreshed for longer than usual. A refresh is queued."


@dataclass(frozen=True, slots=True)
class Staleness:
    """Why the shown data is not fresh, in words."""

    words: str
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Freshness:
    """The problem, if any, and the refresh in progress that a page shows beside the data's age."""

    stale: Staleness | None = None
    refreshing: bool = False


def look(*, install: Install, now: datetime) -> Freshness:
    """Return the freshness of the install's endpoints, and request a refresh if one is due. Does not call OpenTrain."""
    if install.is_disconnected:
        return Freshness(Staleness(words=disconnected_words(install, now=now)))
    if not install.can_manage:
        return Freshness()  # the page already says so, and another call would not help
    if _is_left_alone(install, now=now):
        return Freshness(Staleness(words=install.last_error))
    if _is_fresh(install, now=now, age=_shown_for(install)) or _has_write_failed(install, now=now):
        return Freshness()
    _request(install, now=now)
    return _awaited(age=None if install.synced_at is None else now - install.synced_at, install=install, now=now)


def disconnected_words(install: Install, *, now: datetime) -> str:
    """Say who disconnected an install, and when; empty if it is connected."""
    if install.disconnected_at is None:
        return ""
    return disconnected(by=install.disconnected_by_name, at=install.disconnected_at, now=now)


def freshen(*, install: Install, now: datetime) -> Staleness | None:
    """Refresh the install's endpoints now, for a button; return the reason if that fails, None otherwise.

    It may take as long as the timeout of a call to OpenTrain.
    """
    if install.is_disconnected:
        return Staleness(words=disconnected_words(install, now=now))
    if not install.can_manage:
        return None
    if _is_left_alone(install, now=now):
        return Staleness(words=install.last_error)
    if _has_write_failed(install, now=now):
        return Staleness(words=JUST_FAILED)
    if _is_fresh(install, now=now, age=FRESH_FOR):
        return None
    outcome = sync.refresh(install=install, now=now)
    return None if outcome is None else Staleness(words=outcome.words, request_id=outcome.request_id)


def refresh(*, install_id: int, now: datetime) -> None:
    """Run a requested refresh, unless another worker runs it or it is no longer due.

    Raises: django.db.Error.
    """
    with alone(name="redeliver.refresh", number=install_id) as mine:
        install = Install.objects.defer("token").filter(pk=install_id).first() if mine else None
        if install is None:
            return
        is_due = not _is_fresh(install, now=now, age=FRESH_FOR)
        if install.can_manage and is_due and not _rests(install, now=now):
            sync.refresh(install=install, now=now)
        else:
            Install.objects.filter(pk=install_id).update(refresh_requested_at=None)


def lock_of(*, install_id: int) -> str:
    """Return the queueing lock that allows one queued refresh per install."""
    return f"{REFRESH}-{install_id}"


def _awaited(*, age: timedelta | None, install: Install, now: datetime) -> Freshness:
    """Return what a page shows while a refresh is in progress; `age` is None if there is no data yet."""
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
    """Queue a refresh. Of several tabs, only the one that finds the row unchanged queues it."""
    before = install.refresh_requested_at
    if before is not None and abs(now - before) < REQUEST_AGAIN_AFTER:
        return
    with transaction.atomic():
        # A locked row is being updated; the page does not wait for it.
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
    """Return whether a call has just failed, or OpenTrain requested a pause that is not over."""
    if install.last_error_at is not None and now - install.last_error_at < PAUSE_AFTER_FAILURE:
        return True
    return install.last_error_code in LEFT_ALONE and install.poll_after is not None and install.poll_after > now


def _has_write_failed(install: Install, *, now: datetime) -> bool:
    """Return whether OpenTrain has just left a write unanswered: a read would wait for as long, and learn nothing."""
    lately = install.audit.filter(at__gt=now - PAUSE_AFTER_FAILURE, at__lte=now)
    # What a handler does not take says nothing of OpenTrain.
    return lately.filter(phase__in=UNANSWERED).exclude(action=HAND_OVER).exists()


def _rests(install: Install, *, now: datetime) -> bool:
    """Return whether OpenTrain is not called for a page now, because of a failed read or of a failed write."""
    return _is_left_alone(install, now=now) or _has_write_failed(install, now=now)


def _shown_for(install: Install) -> timedelta:
    """Return up to which age a page shows the list without requesting another."""
    longer = max(install.endpoint_count / FRESH_ENDPOINTS, 1)
    return min(FRESH_FOR * longer, timedelta(seconds=max(settings.POLL_EVERY_S, FRESH_FOR.total_seconds())))


def _is_fresh(install: Install, *, now: datetime, age: timedelta) -> bool:
    """Return whether the list is younger than `age`, and no operation on an endpoint has ended since its request."""
    if install.listed_at is None or now - install.listed_at >= age:
        return False
    since = install.audit.filter(at__gt=install.listed_at, endpoint__isnull=False)
    return not since.exclude(phase=AuditEntry.Phase.REQUESTED).exists()
