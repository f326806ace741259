"""Disconnecting an install: Redeliver forgets its token, and calls OpenTrain for it no more. Its log stays."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from dashboard.actions import audit
from dashboard.actions.installs.snapshots import hold
from dashboard.models import Endpoint, Install, Reconciliation, User
from dashboard.queries.received import received
from dashboard.rules.installs import Trouble
from dashboard.vault import Secret

DISCONNECT = "disconnect install"
"""Name of this action in the audit."""
WORDS = (
    "Disconnected. Redeliver has erased its token and no longer calls OpenTrain for it. Its endpoints at OpenTrain "
    "stay as they are. Its log stays until retention deletes it."
)


class InTheWay(Exception):
    """Endpoints are received through Redeliver, so their deliveries would be turned away."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        super().__init__(f"{len(endpoints)} endpoints are received through Redeliver")
        self.endpoints = endpoints


def disconnect(*, actor: User, install: Install, now: datetime, operation: uuid.UUID) -> None:
    """Erase the install's token, and read and change nothing of it at OpenTrain any more. `sync.connect` undoes it.

    Nothing happens if it is disconnected already. Raises: InTheWay; audit.NotedBefore, with nothing changed.
    """
    with transaction.atomic():
        hold(install_id=install.pk)
        row = Install.objects.defer("token").get(pk=install.pk)
        if row.is_disconnected:
            return
        endpoints = received(install=row)
        if endpoints:
            raise InTheWay(endpoints)
        audit.note(actor=actor, action=DISCONNECT, words=WORDS, install=row, operation=operation)
        Install.objects.filter(pk=row.pk).update(
            disconnected_at=now,
            disconnected_by_name=actor.get_username(),
            token=Secret(""),
            token_id="",
            token_name="",
            token_scopes=[],
            last_error="",
            last_error_code=Trouble.NONE,
            last_error_at=None,
            trouble_since=None,
            unread_entries="",
            failures=0,
            poll_after=None,
            refresh_requested_at=None,
        )
        Reconciliation.objects.filter(install=row).update(due_at=None, error="")
