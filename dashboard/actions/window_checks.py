"""Marking a time of which events may be missing as checked by a person, and undoing that. OpenTrain is never called."""

import uuid
from datetime import UTC, datetime

from django.db import transaction

from dashboard.actions import audit
from dashboard.actions.installs.snapshots import hold
from dashboard.logs import redact
from dashboard.models import AuditEntry, Endpoint, User, WindowCheck
from dashboard.queries.lost_window import stop_at
from dashboard.rules.durations import exactly
from dashboard.rules.outside_texts import on_one_line
from dashboard.rules.time_zones import read_in
from dashboard.rules.window_checks import NOTE_CHARS

CHECK, SHOW_AGAIN = "check missing window", "show missing window again"
"""Names of these actions in the audit."""


class Changed(Exception):
    """The time is not as the person saw it: the history shows another one."""


class CheckedBefore(Exception):
    """Someone has checked exactly this time. `row` is their check."""

    def __init__(self, row: WindowCheck) -> None:
        super().__init__(f"checked by {row.checked_by_name}")
        self.row = row


def mark_checked(
    *, actor: User, endpoint: Endpoint, since: datetime, until: datetime, note: str, now: datetime, operation: uuid.UUID
) -> None:
    """Take note that a person checked what may be missing from this time.

    Raises: Changed; CheckedBefore; audit.NotedBefore, each with nothing changed.
    """
    with transaction.atomic():
        hold(install_id=endpoint.install_id)
        if AuditEntry.objects.filter(operation=operation).exists():
            raise audit.NotedBefore
        earlier = WindowCheck.objects.filter(endpoint=endpoint, since=since, until=until).first()
        if earlier is not None:
            raise CheckedBefore(earlier)
        is_there = Endpoint.objects.registered().filter(pk=endpoint.pk).exists()
        stop = stop_at(endpoint, since=since, until=until) if is_there else None
        if stop is None:
            raise Changed
        kept = on_one_line(redact(note), most=NOTE_CHARS)  # people may paste a secret with what they were told
        words = (
            f"Marked as checked: events {_span(since, until, is_begun_known=stop.is_begun_known)}. "
            f"The inbox does not show them, and nothing is proven. {f'Note: “{kept}”' if kept else 'Without a note.'}"
        )
        audit.note(actor=actor, action=CHECK, words=words, endpoint=endpoint, operation=operation)
        WindowCheck.objects.create(
            endpoint=endpoint,
            since=since,
            until=until,
            checked_at=now,
            checked_by=actor,
            checked_by_name=actor.get_username(),
            note=kept,
        )


def show_again(*, actor: User, endpoint: Endpoint, since: datetime, until: datetime, operation: uuid.UUID) -> bool:
    """Take the check of this time back. Return False if there is none, with nothing changed.

    Raises: audit.NotedBefore, with nothing changed.
    """
    with transaction.atomic():
        hold(install_id=endpoint.install_id)
        if AuditEntry.objects.filter(operation=operation).exists():
            raise audit.NotedBefore
        row = WindowCheck.objects.filter(endpoint=endpoint, since=since, until=until).first()
        if row is None:
            return False
        words = f"No longer marked as checked: events {_span(since, until)}. {row.checked_by_name} had checked them."
        audit.note(actor=actor, action=SHOW_AGAIN, words=words, endpoint=endpoint, operation=operation)
        row.delete()
    return True


@read_in(UTC)  # kept with the audit
def _span(since: datetime, until: datetime, *, is_begun_known: bool = True) -> str:
    return f"between {exactly(since)} and {exactly(until)}" if is_begun_known else f"before {exactly(until)}"
