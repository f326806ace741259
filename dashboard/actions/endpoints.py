"""What is done to a webhook endpoint in the first place: register it, re-enable it, have it redeliver.

What changes or ends one is in endpoint_changes.py. `clock` is read when OpenTrain has answered, which takes a while.
"""

import uuid
from collections.abc import Callable
from datetime import datetime

from django.db import transaction

from dashboard.actions.deliveries import record as deliveries
from dashboard.actions.installs.sync import hold, record_endpoint
from dashboard.actions.operation import Operation, perform
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.models import Delivery, Endpoint, Install, User
from dashboard.models.endpoints import ACTIVE, DISABLED, door_url, new_receiver_key
from dashboard.services import opentrain
from dashboard.vault import Secret

ENABLE = "re-enable endpoint"
"""The audit's name for it."""
IN_A_RUN = "redeliver in a run"
ALL_IN_A_RUN = "redeliver all failed in a run"
BY_RUNS = (IN_A_RUN, ALL_IN_A_RUN)
"""The audit's names for the redeliveries that runs ask for; the endpoint's page tells of the run instead."""


def register(
    *,
    actor: User,
    install: Install,
    url: str,
    handler_url: str,
    through_redeliver: bool,
    event_types: list[str],
    clock: Callable[[], datetime],
    operation: uuid.UUID,
) -> tuple[Outcome, Endpoint | None, Secret | None]:
    """Register an endpoint: at `url`, or through our receiver with `handler_url` (which may be empty) behind it.

    The secret is in this answer only. It is kept, encrypted, where our receiver verifies with it, and not otherwise.
    """
    endpoint = prepare(
        install=install, url=url, handler_url=handler_url, through_redeliver=through_redeliver, now=clock()
    )
    asked = Operation(actor=actor, action="register endpoint", install=install, endpoint=endpoint, id=operation)
    outcome, secret = register_prepared(operation=asked, endpoint=endpoint, event_types=event_types, clock=clock)
    return outcome, (endpoint if secret is not None else None), secret


def prepare(*, install: Install, url: str, handler_url: str, through_redeliver: bool, now: datetime) -> Endpoint:
    """Commit the row before OpenTrain is asked: a delivery may arrive before its answer does."""
    if not through_redeliver:
        return Endpoint.objects.create(install=install, url=url, registering_since=now)
    key = new_receiver_key()
    return Endpoint.objects.create(
        install=install,
        url=door_url(receiver_key=key),
        receiver_key=key,
        handler_url=handler_url,
        registering_since=now,
    )


def register_prepared(
    *, operation: Operation, endpoint: Endpoint, event_types: list[str], clock: Callable[[], datetime]
) -> tuple[Outcome, Secret | None]:
    """Have OpenTrain make a prepared endpoint. Its row goes when it was not made, and stays when that is not known."""
    created: list[opentrain.CreatedEndpoint] = []

    def record(answer: opentrain.CreatedEndpoint) -> Outcome:
        created.append(answer)
        _adopt(endpoint=endpoint, answer=answer, at=clock())
        return Outcome(kind=OutcomeKind.DONE, words="The endpoint is registered.", quoted=answer.message)

    outcome = perform(
        operation=operation,
        call=lambda: opentrain.create_endpoint(token=endpoint.install.token, url=endpoint.url, event_types=event_types),
        record=record,
    )
    if not created and outcome.kind is not OutcomeKind.UNKNOWN:
        endpoint.delete()
    return outcome, (created[0].secret if created else None)


def enable(*, actor: User, endpoint: Endpoint, clock: Callable[[], datetime], operation: uuid.UUID) -> Outcome:
    """Set the endpoint ACTIVE, with its streak at 0. Source: partner-api, "Operations", PATCH."""

    def record(answer: opentrain.WebhookEndpoint) -> Outcome:
        record_endpoint(install=endpoint.install, remote=answer, at=clock())
        endpoint.refresh_from_db()
        words = "Re-enabled: OpenTrain sends to this endpoint again, and its failures in a row are back at 0."
        failed = endpoint.deliveries.failed().count()
        if failed == 1:
            words += " The failed delivery is not sent again by itself: redeliver it."
        elif failed:
            words += f" The {failed} failed deliveries are not sent again by themselves: redeliver them."
        return Outcome(kind=OutcomeKind.DONE, words=words)

    return perform(
        operation=_on(endpoint, actor=actor, action=ENABLE, operation=operation),
        call=lambda: opentrain.update_endpoint(token=endpoint.install.token, endpoint_id=_id(endpoint), status=ACTIVE),
        record=record,
    )


def redeliver_failed(
    *,
    actor: User,
    endpoint: Endpoint,
    clock: Callable[[], datetime],
    operation: uuid.UUID,
    action: str = "redeliver all failed",
    asked_at: datetime | None = None,
) -> Outcome:
    """Ask OpenTrain to send every FAILED delivery of the endpoint again. `asked_at` is now, where none is given."""
    asked_at = asked_at or clock()

    def record(answer: opentrain.Redelivery) -> Outcome:
        outcome = _requeued(endpoint=endpoint, answer=answer, at=clock())
        deliveries.mark_requested(endpoint=endpoint, at=asked_at)
        return outcome

    return perform(
        operation=_on(endpoint, actor=actor, action=action, operation=operation),
        call=lambda: opentrain.redeliver(token=endpoint.install.token, endpoint_id=_id(endpoint)),
        record=record,
    )


def redeliver_one(
    *,
    actor: User,
    delivery: Delivery,
    clock: Callable[[], datetime],
    operation: uuid.UUID,
    action: str = "redeliver",
    asked_at: datetime | None = None,
) -> Outcome:
    """Ask OpenTrain to send this delivery again, whatever its state. `asked_at` is now, where none is given."""
    endpoint, asked_at = delivery.endpoint, asked_at or clock()

    def record(answer: opentrain.Redelivery) -> Outcome:
        outcome = _requeued(endpoint=endpoint, answer=answer, at=clock())
        deliveries.mark_requested(endpoint=endpoint, delivery=delivery, at=asked_at)
        return outcome

    return perform(
        operation=_on(endpoint, actor=actor, action=action, operation=operation, delivery_id=delivery.opentrain_id),
        call=lambda: opentrain.redeliver(
            token=endpoint.install.token, endpoint_id=_id(endpoint), delivery_id=delivery.opentrain_id
        ),
        record=record,
    )


def _adopt(*, endpoint: Endpoint, answer: opentrain.CreatedEndpoint, at: datetime) -> None:
    with transaction.atomic():
        hold(install_id=endpoint.install_id)
        endpoint.opentrain_id = answer.endpoint.id
        endpoint.secret = answer.secret if endpoint.is_received else None
        endpoint.registering_since = None
        endpoint.save(update_fields=["opentrain_id", "secret", "registering_since"])
        record_endpoint(install=endpoint.install, remote=answer.endpoint, at=at)
        endpoint.refresh_from_db()


def _requeued(*, endpoint: Endpoint, answer: opentrain.Redelivery, at: datetime) -> Outcome:
    """Keep what the answer says of the endpoint: before its deliveries are marked, for they are locked after it."""
    endpoint.status = record_endpoint(install=endpoint.install, remote=answer.endpoint, at=at)
    return Outcome(
        kind=OutcomeKind.DONE,
        words=f"{answer.requeued} requeued.",
        quoted=answer.message,
        requeued=answer.requeued,
        offer_enable=answer.endpoint.status == DISABLED,
    )


def _on(endpoint: Endpoint, *, actor: User, action: str, operation: uuid.UUID, delivery_id: str = "") -> Operation:
    return Operation(
        actor=actor, action=action, install=endpoint.install, endpoint=endpoint, delivery_id=delivery_id, id=operation
    )


def _id(endpoint: Endpoint) -> str:
    """Return OpenTrain's ID; an endpoint that is still being registered is on no page that has a button."""
    return endpoint.opentrain_id or ""
