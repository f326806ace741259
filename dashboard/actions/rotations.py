"""Rotate an endpoint's secret: a new endpoint beside the old one, proof that it receives, then the old one goes.

Each step leaves the rotation's row telling where it stands. A step whose process dies is found again by its row and by
what OpenTrain lists.
"""

import contextlib
import uuid
from collections.abc import Callable
from datetime import datetime

from django.db import IntegrityError, transaction

from dashboard.actions import audit, endpoint_changes, endpoints
from dashboard.actions.operation import Operation, perform
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.models import Delivery, Endpoint, Rotation, User
from dashboard.vault import Secret


def start(
    *, actor: User, old: Endpoint, clock: Callable[[], datetime], operation: uuid.UUID
) -> tuple[Outcome, Rotation, Secret] | Outcome:
    """Have a new endpoint made that is like the old one but for its secret, which is in this answer only.

    Without a secret it is the outcome alone: one is under way already, OpenTrain refused (then nothing of it is left),
    or its answer never came (then the rotation stands at its first step, and `abort` clears it away).
    """
    now = clock()
    rotation = _begin(actor=actor, old=old, now=now)
    if rotation is None:
        return Outcome(kind=OutcomeKind.REFUSED, words="A rotation of this secret is under way already: go on with it.")
    outcome, secret = endpoints.register_prepared(
        operation=_on(old, actor, "rotate secret: create the new endpoint", operation),
        endpoint=rotation.new,
        event_types=list(old.event_types),
        clock=clock,
    )
    if secret is None:
        return outcome
    _move(rotation, Rotation.Step.PROVE, created_at=now)
    return outcome, rotation, secret


def proof(*, rotation: Rotation) -> Delivery | None:
    """Return the first delivery that came to the new endpoint, was verified, and that the handler took."""
    arrived = rotation.new.deliveries.filter(last_ok=True).defer("body")
    return arrived.order_by("first_received_at", "id").first()


def go_on(*, actor: User, rotation: Rotation, unproven: bool, operation: uuid.UUID) -> Outcome:
    """Leave the waiting for proof: with it, or without it by somebody's own decision, which is in the audit."""
    found = proof(rotation=rotation)
    if found is None and not unproven:
        words = "No delivery has reached the new endpoint and succeeded yet, so nothing was done."
        return Outcome(kind=OutcomeKind.REFUSED, words=words)

    def record(_nothing: None) -> Outcome:
        proved_at = None if found is None else found.last_attempt_at
        _move(rotation, Rotation.Step.DELETE, unproven=found is None, proved_at=proved_at)
        words = "The new endpoint receives." if found else "Going on without proof that the new endpoint receives."
        return Outcome(kind=OutcomeKind.DONE, words=f"{words} Next: delete the old one.")

    action = "rotate secret: go on" if found else "rotate secret: go on without proof"
    return perform(operation=_on(rotation.old, actor, action, operation), call=lambda: None, record=record)


def finish(*, actor: User, rotation: Rotation, clock: Callable[[], datetime], operation: uuid.UUID) -> Outcome:
    """Delete the old endpoint; one that is gone already is what was wanted."""
    now = clock()
    if rotation.old.deleted_at is not None:
        outcome = _end_alone(
            actor, rotation, "finish", "The old endpoint was deleted. The new one has taken its place.", operation
        )
    else:
        outcome = endpoint_changes.delete(actor=actor, endpoint=rotation.old, clock=clock, operation=operation)
    if outcome.ok:
        _move(rotation, Rotation.Step.DONE, ended_at=now, ended_by_name=actor.get_username())
    return outcome


def abort(*, actor: User, rotation: Rotation, clock: Callable[[], datetime], operation: uuid.UUID) -> Outcome:
    """Delete the new endpoint; the old one goes on as if nothing had been.

    The caller has read OpenTrain's list anew: one that is not in it, and of whose making nothing was heard, was not
    made.
    """
    new, now = rotation.new, clock()
    if new.opentrain_id is None:
        outcome = _forget(actor=actor, rotation=rotation, operation=operation)
    elif new.deleted_at is not None:
        outcome = _end_alone(
            actor, rotation, "give up", "The new endpoint is gone already. The old one goes on.", operation
        )
    else:
        outcome = endpoint_changes.delete(actor=actor, endpoint=new, clock=clock, operation=operation)
    if outcome.ok:
        _move(rotation, Rotation.Step.ABORTED, ended_at=now, ended_by_name=actor.get_username())
    return outcome


def _begin(*, actor: User, old: Endpoint, now: datetime) -> Rotation | None:
    """Commit the rotation with the new endpoint's row; None when one is under way."""
    try:
        with transaction.atomic():
            new = endpoints.prepare(
                install=old.install,
                url=old.url,
                handler_url=old.handler_url,
                through_redeliver=old.is_received,
                now=now,
            )
            return Rotation.objects.create(
                old=old, new=new, started_by=actor, started_by_name=actor.get_username(), started_at=now
            )
    except IntegrityError:
        return None


def _forget(*, actor: User, rotation: Rotation, operation: uuid.UUID) -> Outcome:
    def record(_nothing: None) -> Outcome:
        # Its rotation goes with it. Should OpenTrain have heard of it in this moment, it stays and is seen.
        Endpoint.objects.filter(pk=rotation.new_id, opentrain_id=None).delete()
        words = "OpenTrain does not list the new endpoint: it was not made. The old one goes on as before."
        return Outcome(kind=OutcomeKind.DONE, words=words)

    asked = _on(rotation.old, actor, "rotate secret: give up", operation)
    return perform(operation=asked, call=lambda: None, record=record)


def _end_alone(actor: User, rotation: Rotation, what: str, words: str, operation: uuid.UUID) -> Outcome:
    """End a rotation that has nothing left to ask OpenTrain for."""
    with contextlib.suppress(audit.NotedBefore):
        audit.note(
            actor=actor, action=f"rotate secret: {what}", words=words, endpoint=rotation.old, operation=operation
        )
    return Outcome(kind=OutcomeKind.DONE, words=words)


def _move(rotation: Rotation, step: Rotation.Step, **columns: object) -> None:
    """Go to a step, unless somebody else has ended the rotation meanwhile."""
    Rotation.objects.under_way().filter(pk=rotation.pk).update(step=step, **columns)


def _on(old: Endpoint, actor: User, action: str, operation: uuid.UUID) -> Operation:
    return Operation(actor=actor, action=action, install=old.install, endpoint=old, id=operation)
