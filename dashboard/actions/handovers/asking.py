"""Requests to send missing events to a handler: a row for each, and a job that sends them (sending.py)."""

import contextlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from procrastinate import exceptions
from procrastinate.contrib.django import app

from dashboard.actions import audit
from dashboard.actions.runs.commands import QUEUE
from dashboard.db.advisory_lock import wait_in_transaction
from dashboard.models import AuditEntry, Endpoint, Handover, User
from dashboard.queries.handovers import Case
from dashboard.rules import reconstruction
from dashboard.rules.reconstruction import LinkFields

HAND_OVER = "hand over event"
"""Name of this action in the audit."""
SEND = "send-handovers"
"""Name of the job that sends what waits for an endpoint (dashboard/tasks.py)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An event to send, for one link of its contract."""

    case: Case
    link: LinkFields


def ask(
    *, actor: User, endpoint: Endpoint, wanted: Sequence[Wanted], operation: uuid.UUID, is_batch: bool, now: datetime
) -> list[Handover]:
    """Queue the events, and return their rows in the order in which they are sent.

    A form that is sent twice queues nothing the second time. Nor is an event queued that waits already, by any person's
    form: its row is returned instead.
    """
    rows = [_row(actor, one, operation=operation, is_batch=is_batch, now=now) for one in wanted]
    with transaction.atomic():
        wait_in_transaction(name="redeliver.ask-handover", number=endpoint.pk)
        asked = Handover.objects.filter(operation__in=[row.operation for row in rows]).defer("body")
        before = {row.delivery_id: row for row in (*asked, *Handover.objects.waiting().filter(endpoint=endpoint))}
        new = [row for row in rows if row.delivery_id not in before]
        Handover.objects.bulk_create(new)
        AuditEntry.objects.bulk_create(_entry(actor, row, endpoint=endpoint) for row in new)
        wake(endpoint_id=endpoint.pk)
    return [before.get(row.delivery_id, row) for row in rows]


def wake(*, endpoint_id: int) -> None:
    """Queue the job that sends what waits for the endpoint, unless one is queued."""
    with contextlib.suppress(exceptions.AlreadyEnqueued), transaction.atomic():
        job = app.configure_task(SEND, queue=QUEUE, queueing_lock=f"{SEND}-{endpoint_id}")
        job.defer(endpoint_id=endpoint_id)


def endpoints_waiting() -> list[int]:
    """Return the keys of the endpoints for which events wait."""
    return list(Handover.objects.waiting().order_by().values_list("endpoint", flat=True).distinct())


def _row(actor: User, one: Wanted, *, operation: uuid.UUID, is_batch: bool, now: datetime) -> Handover:
    contract, endpoint, event = one.case.contract, one.case.endpoint, one.case.event
    delivery_id = reconstruction.delivery_id(
        event=event,
        contract_id=contract.opentrain_id,
        link_id=one.link.id,
        install_id=contract.install.opentrain_id,
        endpoint_id=endpoint.opentrain_id or "",
    )
    return Handover(
        install=contract.install,
        contract=contract,
        endpoint=endpoint,
        contract_opentrain_id=contract.opentrain_id,
        event_type=event.value,
        link_id=one.link.id,
        delivery_id=delivery_id,
        operation=uuid.uuid5(operation, delivery_id) if is_batch else operation,
        batch=operation if is_batch else None,
        actor=actor,
        actor_name=actor.get_username(),
        asked_at=now,
    )


def _entry(actor: User, row: Handover, *, endpoint: Endpoint) -> AuditEntry:
    entry = audit.entry(
        operation=row.operation,
        phase=AuditEntry.Phase.REQUESTED,
        action=HAND_OVER,
        actor=actor,
        install=row.install,
        endpoint=endpoint,
    )
    entry.delivery_id = row.delivery_id
    entry.words = f"{row.event_type} of contract {row.contract_opentrain_id}."
    return entry
