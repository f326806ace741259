"""One operation on OpenTrain: an audit row before the call, one after it, and no transaction open in between."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from django.db import IntegrityError, transaction

from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.models import AuditEntry, Endpoint, Install, User
from dashboard.services.opentrain import OpenTrainError, OutcomeUnknown, RateLimited, Rejected
from dashboard.vault import Unreadable

Answer = TypeVar("Answer")
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


def perform(*, operation: Operation, call: Callable[[], Answer], record: Callable[[Answer], Outcome]) -> Outcome:
    """Call OpenTrain once, record what it answered, and say what became of it.

    `call` makes the one call and runs outside any transaction. `record` stores the answer, in the same transaction as
    the closing audit row, and says in words what it was.
    """
    opening = _open(operation)
    if opening is None:
        return earlier_outcome(operation=operation)
    try:
        answer = call()
    except (OpenTrainError, Unreadable) as error:
        outcome = failed(error)
        _close(opening, outcome)
        return outcome
    with transaction.atomic():
        outcome = record(answer)
        _close(opening, outcome)
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
    same = AuditEntry.objects.filter(operation=operation.id, actor=operation.actor)
    ended = same.exclude(phase=AuditEntry.Phase.REQUESTED).first()
    if ended is not None:
        return outcome_of(ended)
    return Outcome(
        kind=OutcomeKind.UNKNOWN,
        words="This was already asked for, and OpenTrain has not answered yet. Nothing was asked twice. "
        "The activity below shows the answer when it is in.",
    )


def _open(operation: Operation) -> AuditEntry | None:
    """Commit the row that says it was requested; None when this very operation was requested before."""
    try:
        with transaction.atomic():
            return AuditEntry.objects.create(
                operation=operation.id,
                phase=AuditEntry.Phase.REQUESTED,
                action=operation.action,
                actor=operation.actor,
                actor_name=operation.actor.get_username(),
                install=operation.install,
                endpoint=operation.endpoint,
                delivery_id=operation.delivery_id,
            )
    except IntegrityError:
        return None


def _close(opening: AuditEntry, outcome: Outcome) -> None:
    AuditEntry.objects.create(
        operation=opening.operation,
        phase=outcome.kind.value,
        action=opening.action,
        actor=opening.actor,
        actor_name=opening.actor_name,
        install=opening.install,
        endpoint=opening.endpoint,
        delivery_id=opening.delivery_id,
        words=outcome.words,
        quoted=outcome.quoted,
        code=outcome.code,
        request_id=outcome.request_id,
        requeued=outcome.requeued,
        while_stopped=outcome.offer_enable,
    )
