"""Entering the signing secret of an endpoint that OpenTrain delivers to the receiver, and whose secret Redeliver lacks.

OpenTrain shows a secret once, to whoever registers the endpoint. Redeliver lacks it if the endpoint was created outside
Redeliver at an address of the receiver, if the answer to a registration was lost, or if the endpoint was put behind the
receiver without it.
"""

import uuid
from collections.abc import Mapping

from django.db import transaction

from dashboard.actions import audit
from dashboard.actions.installs.snapshots import hold
from dashboard.models import Endpoint, User
from dashboard.vault import Sealed, Secret

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
        # Of a routed one that is proven, the deliveries that proved it are not in the log yet.
        if row.proof != Endpoint.Proof.PROVEN or row.routed_at is not None:
            row.proof = Endpoint.Proof.WAITING
            words = "A signing secret was entered. The next delivery shows whether it is right."
        row.save(update_fields=["receiver_key", "handler_url", "secret", "registering_since", "proof"])
        audit.note(actor=actor, action=ENTER, words=words, endpoint=row, operation=operation)


def mark_proven(proven: Mapping[int, Sealed]) -> None:
    """Note that a delivery of each endpoint has verified with this secret. What does not is refused from now on.

    An endpoint whose secret has changed since is left out: the other one has proven nothing.
    """
    with transaction.atomic():
        for endpoint_id, secret in sorted(proven.items()):
            waiting = Endpoint.objects.filter(pk=endpoint_id, proof=Endpoint.Proof.WAITING, secret=secret.stored)
            waiting.update(proof=Endpoint.Proof.PROVEN)


def can_be_entered(endpoint: Endpoint) -> bool:
    """Return whether a received endpoint lacks a secret that is known to be right: it never verified a delivery.

    Its proof may be known a moment later than the delivery. A secret that is entered meanwhile harms nobody: nothing is
    refused before a delivery has verified with that one, and another can be entered.
    """
    if endpoint.deleted_at is not None or not endpoint.is_received:
        return False
    return endpoint.proof != Endpoint.Proof.PROVEN or not endpoint.deliveries.exists()


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
