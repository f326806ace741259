"""Runs one operation on OpenTrain: an audit row before the call, one after it, and no open transaction in between."""

import logging
import uuid
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, OuterRef

from dashboard.actions import audit
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.config.masking import masking
from dashboard.db.advisory_lock import wait_in_transaction
from dashboard.logs import redact
from dashboard.models import AuditEntry, Endpoint, Install, Run, User
from dashboard.models.audit import NEWEST_FIRST
from dashboard.queries.operations import GIVEN_UP
from dashboard.services.opentrain import OpenTrainError, OutcomeUnknown, RateLimited, Rejected
from dashboard.vault import Unreadable

logger = logging.getLogger(__name__)

Returned = TypeVar("Returned")
SLOW_DOWN_S = 60
"""Wait after a 429 without Retry-After, in seconds."""
UNRECORDED = (
    "An error in Redeliver prevented it from recording OpenTrain's answer, so the outcome is unknown here. Redeliver's "
    "log has details. Check what OpenTrain shows before you request this again."
)


@dataclass(frozen=True, slots=True)
class Operation:
    """The actor, the action and the object of an operation, as both audit rows record them.

    Without an actor, it is the command line. `id` comes from the submitted form, so a form that is submitted twice is
    one operation. What a `run` requests is folded into the entry of the run's start.
    """

    actor: User | None
    action: str
    install: Install | None = None
    endpoint: Endpoint | None = None
    delivery_id: str = ""
    run: Run | None = None
    id: uuid.UUID = field(default_factory=uuid.uuid4)


@dataclass(frozen=True, slots=True)
class Once:
    """Makes several confirmations of one thing, by any tab or user, one operation on the endpoint.

    `already` says that nothing changed, and why, if the operation would change nothing; empty otherwise. Only one
    operation of the action is under way on the endpoint at a time.
    """

    now: datetime
    already: Callable[[], str]


def perform(
    *,
    operation: Operation,
    call: Callable[[], Returned],
    record: Callable[[Returned], Outcome],
    once: Once | None = None,
) -> Outcome:
    """Call OpenTrain once, record the response, and return the outcome.

    `call` makes the call, outside any transaction. `record` stores the response in the same transaction as the closing
    audit row, and returns the outcome. With `once`, a pointless operation makes no call and has no audit row.

    An unexpected error in either is logged, and closes the operation as one of unknown outcome: OpenTrain may have done
    what was requested.

    Nothing is requested for an install that is disconnected: its token is gone.

    Raises: django.db.Error, if the closing row cannot be written either.
    """
    if operation.install is not None and operation.install.is_disconnected:
        words = (
            f"Nothing was requested: {operation.install.name} is disconnected from Redeliver. Connect it again first."
        )
        return Outcome(kind=OutcomeKind.REFUSED, words=words, unrequested=True)
    pointless = _open_once(operation, once) if once is not None else None
    if pointless is not None:
        return pointless
    if once is None and not _open(operation):
        return earlier_outcome(operation=operation)
    try:
        try:
            answer = call()
        except (OpenTrainError, Unreadable) as error:
            outcome = failed(error)
            _close(operation, outcome)
            return outcome
        with transaction.atomic():
            outcome = _without_secrets(record(answer))
            _close(operation, outcome)
    except Exception:
        logger.exception("%s: OpenTrain's answer was not recorded (operation %s)", operation.action, operation.id)
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        outcome = Outcome(kind=OutcomeKind.UNKNOWN, words=UNRECORDED)
        _close(operation, outcome)
    return outcome


def _without_secrets(outcome: Outcome) -> Outcome:
    """Return the outcome as the audit keeps it too: its words may quote a URL."""
    return replace(outcome, words=masking().text(outcome.words), quoted=masking().text(outcome.quoted))


def failed(error: OpenTrainError | Unreadable) -> Outcome:
    """Return the outcome of a call that failed or could not be made."""
    if isinstance(error, Unreadable):
        words = (
            "This install's token cannot be read with the keys in FIELD_KEYS, so OpenTrain was not called. "
            "Restore the missing key, or replace the token."
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
        words=masking().text(str(error)),
        code=getattr(error, "code", ""),
        request_id=error.request_id or "",
        slow_down_s=_slow_down_s(error),
    )


def _slow_down_s(error: OpenTrainError) -> int | None:
    if not isinstance(error, RateLimited):
        return None
    return SLOW_DOWN_S if error.retry_after_s is None else error.retry_after_s


def outcome_of(entry: AuditEntry) -> Outcome:
    """Return the outcome that a closing audit row records."""
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
    """Return the outcome of the operation's first submission by the same form."""
    same = AuditEntry.objects.filter(operation=operation.id, actor=operation.actor).select_related("endpoint")
    same = same.defer("endpoint__secret")
    ended = same.exclude(phase=AuditEntry.Phase.REQUESTED).first()
    if ended is not None:
        return replace(outcome_of(ended), told_before=True)
    return Outcome(
        kind=OutcomeKind.UNKNOWN,
        words="This was already requested, and OpenTrain has not responded yet. It was not requested twice. "
        "The activity below shows the result when it arrives.",
    )


def _open_once(operation: Operation, once: Once) -> Outcome | None:
    """Commit the row that records the request; return the outcome instead if the operation is pointless.

    The lock makes two requests of the same moment see each other. It is not held during the call.
    """
    same = AuditEntry.objects.filter(operation=operation.id)
    number = operation.endpoint.pk if operation.endpoint is not None else 0
    with transaction.atomic():
        wait_in_transaction(name=f"redeliver.{operation.action}", number=number)
        if same.exists():
            return earlier_outcome(operation=operation)
        other = _under_way(operation, now=once.now)
        if other is not None:
            words = (
                f"{other.actor_name} requested this a moment ago, and OpenTrain has not responded yet. "
                "Nothing was requested again. The activity below shows the result when it arrives."
            )
            return Outcome(kind=OutcomeKind.UNKNOWN, words=words, unrequested=True)
        already = once.already()
        if already:
            return Outcome(kind=OutcomeKind.DONE, words=already, unrequested=True)
        _entry(operation, AuditEntry.Phase.REQUESTED).save(force_insert=True)
    return None


def _under_way(operation: Operation, *, now: datetime) -> AuditEntry | None:
    """Return another request of the same action on the endpoint that has no answer yet and may still get one."""
    answers = AuditEntry.objects.filter(operation=OuterRef("operation")).exclude(phase=AuditEntry.Phase.REQUESTED)
    asked = AuditEntry.objects.filter(endpoint=operation.endpoint, at__gt=now - GIVEN_UP)
    asked = asked.filter(action=operation.action, phase=AuditEntry.Phase.REQUESTED)
    return asked.exclude(Exists(answers)).order_by("-at").first()


def last_done(*, endpoint: Endpoint, actions: Sequence[str]) -> AuditEntry | None:
    """Return the newest of these actions on the endpoint that OpenTrain has confirmed."""
    done = AuditEntry.objects.filter(endpoint=endpoint, action__in=actions, phase=AuditEntry.Phase.DONE)
    return done.order_by(NEWEST_FIRST).first()


def _open(operation: Operation) -> bool:
    """Commit the row that records the request; return False if this operation was already requested.

    It is one statement with autocommit: a transaction would add two round trips to the database, and the user waits for
    them. Inside a caller's transaction it uses a savepoint, so a conflict does not abort that transaction.
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
    if operation.run is not None:
        # Its start has no such entry if a release before this one started it.
        others = AuditEntry.objects.filter(run=operation.run, folded=False).exclude(action=operation.action)
        row.run, row.folded = operation.run, others.exists()
    return row
