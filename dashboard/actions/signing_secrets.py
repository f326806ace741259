"""Entering the signing secret of an endpoint that OpenTrain delivers to the receiver, and whose secret Redeliver lacks.

OpenTrain shows a secret once, to whoever registers the endpoint. Redeliver lacks it if the endpoint was created outside
Redeliver at an address of the receiver, if the answer to a registration was lost, or if the endpoint was put behind the
receiver without it.
"""

import uuid
from collections.abc import Collection

from django.db import transaction

from dashboard.actions import audit
from dashboard.actions.installs.snapshots import hold
from dashboard.models import Endpoint, User
from dashboard.signatures import Verdict
from dashboard.vault import Secret

ENTER = "enter signing secret"
"""Name of this action in the audit."""


class NotPossible(Exception):
    """The secret cannot be used, and nothing changed. The message says why."""


def enter(*, actor: User, endpoint: Endpoint, secret: Secret, operation: uuid.UUID) -> None:
    """Store the secret, encrypted, to verify deliveries with.

    An endpoint that was created outside at the address of a deleted endpoint of the install takes over its receiver key
    and its handler. Only the next delivery shows whether the secret is right.

    Raises: NotPossible, audit.NotedBefore, with nothing changed.
    """
    with transaction.atomic():
        hold(install_id=endpoint.install_id)
        row = Endpoint.objects.select_for_update(no_key=True).defer("secret").get(pk=endpoint.pk)
        taken_over = None if row.receiver_key is not None else _owner(row)
        if taken_over is None and not can_be_entered(row):
            raise NotPossible("Redeliver verifies this endpoint's deliveries already. Nothing changed.")
        if taken_over is not None:
            key, taken_over.receiver_key = taken_over.receiver_key, None
            taken_over.save(update_fields=["receiver_key"])
            row.receiver_key, row.handler_url = key, taken_over.handler_url
        row.secret, row.registering_since = secret, None
        words = "A signing secret was entered. Redeliver verifies this endpoint's deliveries with it."
        if row.proof != Endpoint.Proof.PROVEN:
            row.proof = Endpoint.Proof.WAITING
            words = "A signing secret was entered. The next delivery shows whether it is right."
        row.save(update_fields=["receiver_key", "handler_url", "secret", "registering_since", "proof"])
        audit.note(actor=actor, action=ENTER, words=words, endpoint=row, operation=operation)


def mark_proven(*, endpoints: Collection[int]) -> None:
    """Note that a delivery of each of these endpoints has verified. What does not is refused from now on."""
    waiting = Endpoint.objects.filter(pk__in=endpoints, proof=Endpoint.Proof.WAITING)
    waiting.update(proof=Endpoint.Proof.PROVEN)


def can_be_entered(endpoint: Endpoint) -> bool:
    """Return whether a received endpoint lacks a secret that is known to be right: it never verified a delivery."""
    if endpoint.deleted_at is not None or not endpoint.is_received:
        return False
    if endpoint.proof == Endpoint.Proof.PROVEN:
        return not endpoint.deliveries.exists()
    # A delivery may have verified a moment ago, before the receiver has noted that the secret is proven.
    verified = endpoint.deliveries.filter(last_signature=Verdict.VERIFIED)
    since = endpoint.routed_at
    return not (verified if since is None else verified.filter(last_attempt_at__gte=since)).exists()


def _owner(endpoint: Endpoint) -> Endpoint:
    """Return the deleted endpoint whose address this one uses, locked. Raises: NotPossible."""
    if endpoint.deleted_at is not None or not endpoint.claimed_key:
        raise NotPossible("OpenTrain does not deliver this endpoint to Redeliver's receiver. Nothing changed.")
    rows = Endpoint.objects.select_for_update(no_key=True).defer("secret")
    owner = rows.filter(receiver_key=endpoint.claimed_key, install=endpoint.install_id).first()
    if owner is None:
        raise NotPossible("This receiver address belongs to no endpoint of the install. Nothing changed.")
    if owner.deleted_at is None:
        raise NotPossible("Another endpoint of the install uses this receiver address. Nothing changed.")
    return owner
