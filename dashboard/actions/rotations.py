"""Rotation of an endpoint's secret: create a new endpoint, prove that it receives, then delete the old one.

Each step records its state in the rotation's row. If the process dies during a step, the rotation continues from its
row and from OpenTrain's list.
"""

import contextlib
import uuid
from collections.abc import Callable
from datetime import datetime

from django.db import IntegrityError, transaction

from dashboard.actions import audit, endpoint_changes, endpoints
from dashboard.actions.installs.titles import tell_apart
from dashboard.actions.operation import Operation, perform
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.models import Delivery, Endpoint, Install, Rotation, User
from dashboard.vault import Secret

MAY_BE_UNREAD = (
    "Nothing changed. OpenTrain's list has an entry that Redeliver cannot read, and it may be the new endpoint: "
    "check the list at OpenTrain."
)


def start(
    *, actor: User, old: Endpoint, clock: Callable[[], datetime], operation: uuid.UUID
) -> tuple[Outcome, Rotation, Secret] | Outcome:
    """Create a new endpoint like the old one with a new secret, which only this call returns.

    Returns only the outcome, without a secret, if the old endpoint's address or event types were cut, if a rotation is
    already in progress, if OpenTrain rejects the call (then nothing remains of it), or if its response is lost (then
    the rotation stays at its first step, and `abort` removes it). It also stays there if OpenTrain gave a
    secret, but the outcome is unknown.
    """
    why_not = _why_not(old)
    if why_not:
        return Outcome(kind=OutcomeKind.REFUSED, words=f"Nothing changed. {why_not}")
    now = clock()
    rotation = _begin(actor=actor, old=old, now=now)
    if rotation is None:
        return Outcome(
            kind=OutcomeKind.REFUSED, words="A rotation of this secret is already in progress. Continue it instead."
        )
    outcome, secret = endpoints.register_prepared(
        operation=_on(old, actor, "rotate secret: create the new endpoint", operation),
        endpoint=rotation.new,
        event_types=list(old.event_types),
        clock=clock,
    )
    if secret is not None and rotation.new.opentrain_id is not None:
        _move(rotation, Rotation.Step.PROVE, created_at=now)
    return outcome if secret is None else (outcome, rotation, secret)


def proof(*, rotation: Rotation) -> Delivery | None:
    """Return the first verified delivery to the new endpoint that its handler accepted; None if there is none."""
    arrived = rotation.new.deliveries.filter(last_ok=True).defer("body")
    return arrived.order_by("first_received_at", "id").first()


def go_on(*, actor: User, rotation: Rotation, unproven: bool, operation: uuid.UUID) -> Outcome:
    """End the wait for proof. With `unproven`, a user decides to continue without it, and the audit records that."""
    found = proof(rotation=rotation)
    if found is None and not unproven:
        words = "Nothing changed: no delivery to the new endpoint has succeeded yet."
        return Outcome(kind=OutcomeKind.REFUSED, words=words)

    def record(_nothing: None) -> Outcome:
        proved_at = None if found is None else found.last_attempt_at
        _move(rotation, Rotation.Step.DELETE, unproven=found is None, proved_at=proved_at)
        words = "The new endpoint receives deliveries." if found else "Continuing without proof of a delivery."
        return Outcome(kind=OutcomeKind.DONE, words=f"{words} Next, delete the old endpoint.")

    action = "rotate secret: go on" if found else "rotate secret: go on without proof"
    return perform(operation=_on(rotation.old, actor, action, operation), call=lambda: None, record=record)


def finish(*, actor: User, rotation: Rotation, clock: Callable[[], datetime], operation: uuid.UUID) -> Outcome:
    """Delete the old endpoint. It may be deleted already."""
    now = clock()
    if rotation.old.deleted_at is not None:
        outcome = _end_alone(
            actor, rotation, "finish", "The old endpoint is already deleted. The new one replaces it.", operation
        )
    else:
        outcome = endpoint_changes.delete(actor=actor, endpoint=rotation.old, clock=clock, operation=operation)
    if outcome.ok:
        _move(rotation, Rotation.Step.DONE, ended_at=now, ended_by_name=actor.get_username())
    return outcome


def abort(*, actor: User, rotation: Rotation, clock: Callable[[], datetime], operation: uuid.UUID) -> Outcome:
    """Delete the new endpoint and keep the old one.

    The caller must have refreshed OpenTrain's list: a new endpoint that is not in it and whose creation was never
    confirmed was not created, unless an entry of the list could not be read. Then nothing changes. If OpenTrain
    answered with the ID of another endpoint, nothing is deleted there.
    """
    new, now = rotation.new, clock()
    is_unread = Install.objects.filter(pk=new.install_id).exclude(unread_entries="").exists()
    if new.opentrain_id is None and is_unread and not rotation.is_mistaken:
        return Outcome(kind=OutcomeKind.REFUSED, words=MAY_BE_UNREAD)
    if new.opentrain_id is None:
        outcome = _forget(actor=actor, rotation=rotation, operation=operation)
    elif new.deleted_at is not None:
        outcome = _end_alone(
            actor, rotation, "give up", "The new endpoint is already deleted. The old one stays in use.", operation
        )
    else:
        outcome = endpoint_changes.delete(actor=actor, endpoint=new, clock=clock, operation=operation)
    if outcome.ok:
        _move(rotation, Rotation.Step.ABORTED, ended_at=now, ended_by_name=actor.get_username())
    return outcome


def _why_not(old: Endpoint) -> str:
    """Return why no endpoint like the old one can be created; empty if it can."""
    if not old.is_received and not old.has_whole_url:
        unknown = "address of this endpoint"
    elif old.cut_event_types:
        unknown = f"name of the event type “{old.cut_event_types[0]}”"
    else:
        return ""
    return f"Redeliver does not know the whole {unknown}, so it cannot register it again."


def _begin(*, actor: User, old: Endpoint, now: datetime) -> Rotation | None:
    """Commit the rotation with the new endpoint's row; return None if one is already in progress."""
    try:
        with transaction.atomic():
            new = endpoints.prepare(
                install=old.install,
                url=old.url,
                handler_url=_handler_of(old),
                through_redeliver=old.reaches_receiver,
                now=now,
                name=old.name,
            )
            rotation = Rotation.objects.create(
                old=old, new=new, started_by=actor, started_by_name=actor.get_username(), started_at=now
            )
            tell_apart(install_id=old.install_id)
            for one in (old, new):
                one.refresh_from_db(fields=["told_apart_by"])
            return rotation
    except IntegrityError:
        return None


def _handler_of(old: Endpoint) -> str:
    """Return the handler of the endpoint, or of the one whose receiver address it uses."""
    if not old.claimed_key:
        return old.handler_url
    owner = Endpoint.objects.filter(receiver_key=old.claimed_key, install=old.install_id)
    return owner.values_list("handler_url", flat=True).first() or ""


def _forget(*, actor: User, rotation: Rotation, operation: uuid.UUID) -> Outcome:
    def record(_nothing: None) -> Outcome:
        # This also deletes its rotation. If OpenTrain confirms the endpoint in this moment, it stays and is shown.
        endpoints.forget(rotation.new)
        words = "OpenTrain does not list the new endpoint, so it was not created. The old one stays in use."
        if rotation.is_mistaken:
            words = (
                "Rotation cancelled. OpenTrain answered it with the ID of an endpoint that Redeliver already has, so "
                "nothing was deleted. Check this install's endpoints at OpenTrain."
            )
        return Outcome(kind=OutcomeKind.DONE, words=words)

    asked = _on(rotation.old, actor, "rotate secret: give up", operation)
    return perform(operation=asked, call=lambda: None, record=record)


def _end_alone(actor: User, rotation: Rotation, what: str, words: str, operation: uuid.UUID) -> Outcome:
    """Record the end of a rotation that needs no further call to OpenTrain."""
    with contextlib.suppress(audit.NotedBefore):
        audit.note(
            actor=actor, action=f"rotate secret: {what}", words=words, endpoint=rotation.old, operation=operation
        )
    return Outcome(kind=OutcomeKind.DONE, words=words)


def _move(rotation: Rotation, step: Rotation.Step, **columns: object) -> None:
    """Go to a step, unless another request has ended the rotation since."""
    Rotation.objects.under_way().filter(pk=rotation.pk).update(step=step, **columns)


def _on(old: Endpoint, actor: User, action: str, operation: uuid.UUID) -> Operation:
    return Operation(actor=actor, action=action, install=old.install, endpoint=old, id=operation)
