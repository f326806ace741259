"""One operation on OpenTrain: an audit row before the call, one after it, and no transaction open in between."""

import uuid
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TypeVar

from django.db import IntegrityError, connection, transaction

from dashboard.actions import audit
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.logs import redact
from dashboard.models import AuditEntry, Endpoint, Install, User
from dashboard.services.opentrain import OpenTrainError, OutcomeUnknown, RateLimited, Rejected
from dashboard.vault import Unreadable

Returned = TypeVar("Returned")
SLOW_DOWN_S = 60
"""How long a 429 that does not say asks us to wait."""


@dataclass(frozen=True, slots=True)
class Operation:
    """Who does what on which object: what both audit rows say.

    `id` comes from the form that asked for it, so that the same form sent twice is one operation.
    """

    actor: User
    action: str
    install: Install | None = None
    endpoint: Endpoint | None = None
    delivery_id: str = ""
    id: uuid.UUID = field(default_factory=uuid.uuid4)


def perform(*, operation: Operation, call: Callable[[], Returned], record: Callable[[Returned], Outcome]) -> Outcome:
    """Call OpenTrain once, record what it answered, and say what became of it.

    `call` makes the one call and runs outside any transaction. `record` stores the answer, in the same transaction as
    the closing audit row, and says in words what it was.
    """
    if not _open(operation):
        return earlier_outcome(operation=operation)
    try:
        answer = call()
    except (OpenTrainError, Unreadable) as error:
        outcome = failed(error)
        _close(operation, outcome)
        return outcome
    with transaction.atomic():
        outcome = record(answer)
        _close(operation, outcome)
    return outcome


def failed(error: OpenTrainError | Unreadable) -> Outcome:
    """Return the outcome of a call that did not succeed, or could not even be made."""
    if isinstance(error, Unreadable):
        words = (
            "This install's token cannot be read with the keys in FIELD_KEYS, so OpenTrain was not asked. "
            "Put the missing key back, or replace the token."
        )
        return Outcome(kind=OutcomeKind.UNAVAILABLE, words=words)
    if isinstance(error, OutcomeUnknown):
        kind = OutcomeKind.UNKNOWN
    elif isinstance(error, Rejected):
        kind = OutcomeKind.REFUSED
    else:
        kind = OutcomeKind.UNAVAILABLE
    return Outcome(
        kind=kind,
        words=str(error),
        code=getattr(error, "code", ""),
        request_id=error.request_id or "",
        slow_down_s=_slow_down_s(error),
    )


def _slow_down_s(error: OpenTrainError) -> int | None:
    if not isinstance(error, RateLimited):
        return None
    return SLOW_DOWN_S if error.retry_after_s is None else error.retry_after_s


def outcome_of(entry: AuditEntry) -> Outcome:
    """Return the outcome that a closing audit row tells of."""
    return Outcome(
        kind=OutcomeKind(entry.phase),
        words=entry.words,
        quoted=entry.quoted,
        code=entry.code,
        request_id=entry.request_id,
        requeued=entry.requeued,
        offer_enable=entry.endpoint is not None and entry.endpoint.status == "DISABLED",
    )


def earlier_outcome(*, operation: Operation) -> Outcome:
    """Return what became of the operation when it was asked for before, by the same form."""
    same = AuditEntry.objects.filter(operation=operation.id, actor=operation.actor).select_related("endpoint")
    same = same.defer("endpoint__secret")
    ended = same.exclude(phase=AuditEntry.Phase.REQUESTED).first()
    if ended is not None:
        return replace(outcome_of(ended), told_before=True)
    return Outcome(
        kind=OutcomeKind.UNKNOWN,
        words="This was already asked for, and OpenTrain has not answered yet. Nothing was asked twice. "
        "The activity below shows the answer when it is in.",
    )


def _open(operation: Operation) -> bool:
    """Commit the row that says it was requested; False when this very operation was requested before.

    It is one statement, which commits by itself: a transaction around it would be two more waits for the database, and
    somebody waits for those. Inside of a caller's transaction it takes a savepoint, so that a refusal ends nothing.
    """
    try:
        with transaction.atomic() if connection.in_atomic_block else nullcontext():
            _entry(operation, AuditEntry.Phase.REQUESTED).save(force_insert=True)
    except IntegrityError:
        return False
    return True


def _close(operation: Operation, outcome: Outcome) -> None:
    row = _entry(operation, AuditEntry.Phase(outcome.kind.value), install=outcome.install)
    row.words, row.quoted = redact(outcome.words), redact(outcome.quoted)
    row.code, row.request_id = outcome.code, outcome.request_id
    row.requeued, row.while_stopped = outcome.requeued, outcome.offer_enable
    row.save(force_insert=True)


def _entry(operation: Operation, phase: AuditEntry.Phase, *, install: Install | None = None) -> AuditEntry:
    row = audit.entry(
        operation=operation.id,
        phase=phase,
        action=operation.action,
        actor=operation.actor,
        install=operation.install or install,
        endpoint=operation.endpoint,
    )
    row.delivery_id = operation.delivery_id
    return row
