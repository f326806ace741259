"""Whether one call may request all failed deliveries of an endpoint. OpenTrain then chooses their order, and which."""

from collections.abc import Collection
from datetime import datetime

from dashboard.actions.installs.moves import BYPASS, CHANGED_ELSEWHERE
from dashboard.models import AuditEntry, Endpoint, Run, RunItem
from dashboard.queries import receivers
from dashboard.queries.overtaken import overtaken_failed, overtaken_gone


def why_not(*, endpoint: Endpoint, now: datetime, chosen: Collection[int] = ()) -> str:
    """Return why one call could undo what a later event did, as a clause; empty if it could not, as far as is known.

    `chosen` are failed deliveries, by primary key, that a person chose although they are overtaken.
    """
    count = len(overtaken_failed(endpoint=endpoint).keys() - set(chosen)) + overtaken_gone(endpoint=endpoint)
    if count:
        are, them = ("1 failed delivery is", "it") if count == 1 else (f"{count} failed deliveries are", "them")
        return f"{are} overtaken by later events, and one call requests {them} too"
    return _gap(endpoint=endpoint, now=now)


def why_withheld(*, run: Run, now: datetime) -> str:
    """Return the same for a run. What it left out stays left out, so nothing may request it."""
    left_out = run.items.filter(state=RunItem.State.LEFT_OUT).count()
    if left_out and run.kind == Run.Kind.RECOVERY:
        were, them = ("1 delivery was", "it") if left_out == 1 else (f"{left_out} deliveries were", "them")
        return f"{were} left out, and one call requests {them} too"
    chosen = run.items.filter(is_overtaken=True, delivery__isnull=False).exclude(state=RunItem.State.LEFT_OUT)
    return why_not(endpoint=run.endpoint, now=now, chosen=chosen.values_list("delivery", flat=True))


def _gap(*, endpoint: Endpoint, now: datetime) -> str:
    """Return why the log may lack later events, as a clause; empty if it is known to have been in the path."""
    if not endpoint.is_received:
        return "OpenTrain does not deliver this endpoint through Redeliver, so its log may lack later events"
    if endpoint.routed_at is not None:
        return "the endpoint existed before it was put behind Redeliver, so its log may lack later events"
    if _was_out(endpoint):
        return "Redeliver was out of the endpoint's path for a time, so its log may lack later events"
    if receivers.lagging(now=now):
        return "receivers hold attempts that are not in the log yet, or do not report, so it may lack later events"
    return ""


def _was_out(endpoint: Endpoint) -> bool:
    if endpoint.history.filter(is_received=False).exists():
        return True
    moves = AuditEntry.objects.filter(endpoint=endpoint, action__in=(BYPASS, CHANGED_ELSEWHERE))
    return moves.filter(phase__in=(AuditEntry.Phase.DONE, AuditEntry.Phase.UNKNOWN)).exists()
