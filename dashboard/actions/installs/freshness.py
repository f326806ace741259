"""How new is what a page shows: ask OpenTrain, but not once for every poll of every open page."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.actions.installs import sync
from dashboard.models import AuditEntry, Install
from dashboard.rules.installs import Trouble

FRESH_FOR = timedelta(seconds=2)
"""A snapshot that is younger is shown without asking again; a page that polls does so every 3 s."""
PAUSE_AFTER_FAILURE = timedelta(seconds=10)
"""So long OpenTrain is left alone after a call that failed, and the page does not wait for the next one."""


@dataclass(frozen=True, slots=True)
class Staleness:
    """Why what is shown is not fresh, in words, and since when it is so."""

    words: str
    request_id: str = ""


def freshen(*, install: Install, now: datetime) -> Staleness | None:
    """Bring the install's endpoints up to date; say why when that did not succeed, None when they are."""
    if not install.can_manage:
        return None  # the page says so already, and OpenTrain would only say it again
    if install.last_error_at is not None and now - install.last_error_at < PAUSE_AFTER_FAILURE:
        return Staleness(words=install.last_error)
    if install.last_error_code == Trouble.RATE_LIMITED and install.poll_after is not None and install.poll_after > now:
        return Staleness(words=install.last_error)  # OpenTrain said how long it wants to be left alone
    if _is_fresh(install=install, now=now):
        return None
    outcome = sync.refresh(install=install, now=now)
    return None if outcome is None else Staleness(words=outcome.words, request_id=outcome.request_id)


def _is_fresh(*, install: Install, now: datetime) -> bool:
    """Tell whether the list of endpoints is young enough, and no operation on one has ended since it was asked for.

    What was heard when the install was connected did not hold such a list.
    """
    newest = install.endpoints.registered().order_by("snapshot_at").values_list("snapshot_at", flat=True).first()
    if newest is None or now - newest >= FRESH_FOR or now - install.checked_at >= FRESH_FOR:
        return False
    since = install.audit.filter(at__gt=install.checked_at, endpoint__isnull=False)
    return not since.exclude(phase=AuditEntry.Phase.REQUESTED).exists()
