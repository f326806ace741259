"""Allowing Redeliver to send missing events to an endpoint's handler, and taking that back. It is off at first.

The handler is the partner's, so a partner admin allows it. All who manage endpoints may stop it.
"""

import uuid

from django.db import transaction

from dashboard.actions import audit
from dashboard.models import Endpoint, User

ALLOW, STOP = "allow handing over", "stop handing over"
"""Names of these actions in the audit."""


def allow(*, actor: User, endpoint: Endpoint, operation: uuid.UUID) -> None:
    """Allow people to send missing events to the handler. Raises: audit.NotedBefore, with nothing changed."""
    words = "Redeliver may send missing events to the handler, each time someone confirms it."
    _set(actor=actor, endpoint=endpoint, operation=operation, hands_over=True, action=ALLOW, words=words)


def stop(*, actor: User, endpoint: Endpoint, operation: uuid.UUID) -> None:
    """Allow it no longer. What waits is not sent. Raises: audit.NotedBefore, with nothing changed."""
    words = "Redeliver sends no missing events to the handler any more."
    _set(actor=actor, endpoint=endpoint, operation=operation, hands_over=False, action=STOP, words=words)


def _set(*, actor: User, endpoint: Endpoint, operation: uuid.UUID, hands_over: bool, action: str, words: str) -> None:
    with transaction.atomic():
        row = Endpoint.objects.select_for_update(no_key=True).defer("secret").get(pk=endpoint.pk)
        if row.hands_over is hands_over:
            return
        audit.note(actor=actor, action=action, words=words, endpoint=row, operation=operation)
        Endpoint.objects.filter(pk=row.pk).update(hands_over=hands_over)
