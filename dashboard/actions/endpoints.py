"""Registering and re-enabling a webhook endpoint, and redelivering its deliveries.

endpoint_changes.py has the changes and the deletion. `clock` is read after OpenTrain responds, because a call takes a
while.
"""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from django.db import transaction

from dashboard.actions.deliveries import record as deliveries
from dashboard.actions.installs.snapshots import hold, record_change, record_endpoint
from dashboard.actions.installs.titles import tell_apart
from dashboard.actions.operation import Once, Operation, last_done, perform
from dashboard.actions.outcome import Outcome, OutcomeKind, outcome_as_read
from dashboard.models import Delivery, Endpoint, Install, Run, User
from dashboard.models.endpoints import ACTIVE, DISABLED, new_receiver_key, receiver_url
from dashboard.rules.answers import (
    Reading,
    Shape,
    Taken,
    are_requeued,
    read_enabled,
    read_registered,
    read_requeued,
    read_requeued_one,
)
from dashboard.rules.durations import clock as clock_words
from dashboard.services import opentrain
from dashboard.vault import Secret

ENABLE, PAUSE = "re-enable endpoint", "pause endpoint"
"""Names of these actions in the audit."""
IN_A_RUN = "redeliver in a run"
ALL_IN_A_RUN = "redeliver all failed in a run"
BY_RUNS = (IN_A_RUN, ALL_IN_A_RUN)
"""Audit actions of redeliveries that runs request. The endpoint's page shows the run instead."""


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
    name: str = "",
) -> tuple[Outcome, Endpoint | None, Secret | None]:
    """Register an endpoint: at `url`, or through our receiver, which forwards to `handler_url` (may be empty).

    Only this call returns the secret. It is stored, encrypted, only if our receiver needs it to verify signatures. A
    secret without an endpoint: OpenTrain gave it, but the outcome is unknown.
    """
    endpoint = prepare(
        install=install, url=url, handler_url=handler_url, through_redeliver=through_redeliver, now=clock(), name=name
    )
    asked = Operation(actor=actor, action="register endpoint", install=install, endpoint=endpoint, id=operation)
    outcome, secret = register_prepared(operation=asked, endpoint=endpoint, event_types=event_types, clock=clock)
    is_made = secret is not None and endpoint.opentrain_id is not None
    return outcome, (endpoint if is_made else None), secret


def prepare(
    *, install: Install, url: str, handler_url: str, through_redeliver: bool, now: datetime, name: str = ""
) -> Endpoint:
    """Commit the row before the call to OpenTrain, because a delivery may arrive before the response."""
    endpoint = Endpoint(install=install, name=name, url=url, registering_since=now)
    if through_redeliver:
        endpoint.receiver_key, endpoint.handler_url = new_receiver_key(), handler_url
        endpoint.url = receiver_url(receiver_key=endpoint.receiver_key)
    with transaction.atomic():
        hold(install_id=install.pk)
        endpoint.save()
        tell_apart(install_id=install.pk)
    endpoint.refresh_from_db(fields=["told_apart_by"])
    return endpoint


def register_prepared(
    *, operation: Operation, endpoint: Endpoint, event_types: list[str], clock: Callable[[], datetime]
) -> tuple[Outcome, Secret | None]:
    """Create a prepared endpoint at OpenTrain. Its row is deleted if that fails, and kept if the outcome is unknown.

    The secret is returned whenever OpenTrain gave one, because it gives it only once.
    """
    created: list[opentrain.CreatedEndpoint] = []

    def record(answer: opentrain.CreatedEndpoint) -> Outcome:
        created.append(answer)
        made = answer.endpoint
        reading = read_registered(
            asked=Shape(endpoint.url, event_types), answered=Shape(made.url, made.event_types), status=made.status
        )
        known = _adopt(endpoint=endpoint, answer=answer, at=clock())
        if known is not None:
            return Outcome(kind=OutcomeKind.UNKNOWN, words=_known_words(known), quoted=answer.message)
        return outcome_as_read(reading, quoted=answer.message)

    outcome = perform(
        operation=operation,
        call=lambda: opentrain.create_endpoint(token=endpoint.install.token, url=endpoint.url, event_types=event_types),
        record=record,
    )
    if not created and outcome.kind is not OutcomeKind.UNKNOWN:
        forget(endpoint)
    elif created and not outcome.ok:
        if endpoint.is_received:  # if recording failed, the next list finds the row by its URL
            Endpoint.objects.filter(pk=endpoint.pk, secret=None).update(secret=created[0].secret)
        endpoint.refresh_from_db()
    return outcome, (created[0].secret if created else None)


def forget(endpoint: Endpoint) -> None:
    """Delete the row of an endpoint that OpenTrain did not create, unless it has confirmed it by now."""
    with transaction.atomic():
        hold(install_id=endpoint.install_id)
        Endpoint.objects.filter(pk=endpoint.pk, opentrain_id=None).delete()
        tell_apart(install_id=endpoint.install_id)


def enable(
    *,
    actor: User,
    endpoint: Endpoint,
    clock: Callable[[], datetime],
    operation: uuid.UUID,
    redelivers: bool = False,
) -> Outcome:
    """Set the endpoint to ACTIVE, which resets consecutive failures to 0. Source: partner-api, "Operations", PATCH.

    `redelivers`: a recovery calls it. It requests the failed deliveries next, so the outcome does not ask people to. It
    has read the endpoint's state just before, and a request that its killed worker left open does not hold it up.
    """
    now = clock()

    def record(answer: opentrain.WebhookEndpoint) -> Outcome:
        record_change(endpoint=endpoint, answer=answer, at=clock())
        endpoint.refresh_from_db()
        reading = read_enabled(status=answer.status, consecutive_failures=answer.consecutive_failures)
        if reading.taken is Taken.YES and not redelivers:
            reading = replace(reading, words=reading.words + _left_failed(endpoint))
        return outcome_as_read(reading, offer_enable=answer.status == DISABLED)

    return perform(
        operation=_on(endpoint, actor=actor, action=ENABLE, operation=operation),
        call=lambda: opentrain.update_endpoint(token=endpoint.install.token, endpoint_id=_id(endpoint), status=ACTIVE),
        record=record,
        once=None if redelivers else Once(now, already=lambda: _already_enabled(endpoint, now)),
    )


def _already_enabled(endpoint: Endpoint, now: datetime) -> str:
    """Say who re-enabled the endpoint, if nobody paused it and no delivery failed since, as far as is known."""
    known = Endpoint.objects.filter(pk=endpoint.pk, status=ACTIVE, consecutive_failures=0).exists()
    last = last_done(endpoint=endpoint, actions=(ENABLE, PAUSE)) if known else None
    if last is None or last.action != ENABLE:
        return ""
    return f"Nothing changed: {last.actor_name} re-enabled this endpoint at {clock_words(then=last.at, now=now)}."


def redeliver_failed(
    *,
    actor: User,
    endpoint: Endpoint,
    clock: Callable[[], datetime],
    operation: uuid.UUID,
    run: Run | None = None,
    asked_at: datetime | None = None,
) -> Outcome:
    """Ask OpenTrain to redeliver every FAILED delivery of the endpoint, maybe for a run. `asked_at` defaults to now.

    Deliveries are marked only if OpenTrain's number covers all that were failed here at the request.
    """
    asked_at = asked_at or clock()
    failed_then = deliveries.failed_now(endpoint=endpoint)

    def record(answer: opentrain.Redelivery) -> Outcome:
        _record_status(endpoint=endpoint, answer=answer, asked_at=asked_at, at=clock())
        known = deliveries.mark_requeued(
            endpoint=endpoint, failed_then=failed_then, requeued=answer.requeued, at=asked_at
        )
        reading = read_requeued(requeued=answer.requeued, known=known, is_logged=endpoint.is_logged)
        return _requeued(endpoint, answer, reading)

    return perform(
        operation=_on(
            endpoint,
            actor=actor,
            action="redeliver all failed" if run is None else ALL_IN_A_RUN,
            operation=operation,
            run=run,
        ),
        call=lambda: opentrain.redeliver(token=endpoint.install.token, endpoint_id=_id(endpoint)),
        record=record,
    )


def redeliver_one(
    *,
    actor: User,
    delivery: Delivery,
    clock: Callable[[], datetime],
    operation: uuid.UUID,
    run: Run | None = None,
    asked_at: datetime | None = None,
) -> Outcome:
    """Ask OpenTrain to redeliver this delivery, in any state, maybe for a run. `asked_at` defaults to now."""
    endpoint, asked_at = delivery.endpoint, asked_at or clock()

    def record(answer: opentrain.Redelivery) -> Outcome:
        _record_status(endpoint=endpoint, answer=answer, asked_at=asked_at, at=clock())
        if are_requeued(requeued=answer.requeued, known=1):
            deliveries.mark_requested(delivery=delivery, at=asked_at)
        return _requeued(endpoint, answer, read_requeued_one(requeued=answer.requeued))

    return perform(
        operation=_on(
            endpoint,
            actor=actor,
            action="redeliver" if run is None else IN_A_RUN,
            operation=operation,
            delivery_id=delivery.opentrain_id,
            run=run,
        ),
        call=lambda: opentrain.redeliver(
            token=endpoint.install.token, endpoint_id=_id(endpoint), delivery_id=delivery.opentrain_id
        ),
        record=record,
    )


def _adopt(*, endpoint: Endpoint, answer: opentrain.CreatedEndpoint, at: datetime) -> Endpoint | None:
    """Give the prepared row its ID and secret. If another row of the install has that ID, return that row instead.

    Then the registration ends. Its receiver URL keeps working, with the secret, because OpenTrain may deliver there.
    """
    secret = answer.secret if endpoint.is_received else None
    with transaction.atomic():
        hold(install_id=endpoint.install_id)
        same = Endpoint.objects.filter(install=endpoint.install, opentrain_id=answer.endpoint.id)
        same = same.exclude(pk=endpoint.pk).defer("secret")
        # A list that came first found the row by its URL. Of two rows with one URL it may have taken the wrong one.
        same.filter(registering_since__isnull=False).update(opentrain_id=None)
        known = same.first()
        if known is None:
            record_change(endpoint=endpoint, answer=answer.endpoint, at=at)
        ended = {"deleted_at": at} if known is not None else {}
        Endpoint.objects.filter(pk=endpoint.pk).update(secret=secret, registering_since=None, **ended)
        if known is not None:
            tell_apart(install_id=endpoint.install_id)
        endpoint.refresh_from_db()
    return known


def _known_words(known: Endpoint) -> str:
    return (
        f"OpenTrain answered with the ID of an endpoint that Redeliver already has ({known.title}). It is unknown "
        "whether OpenTrain created a new endpoint or changed that one. Check this install's endpoints at OpenTrain "
        "before you register again."
    )


def _left_failed(endpoint: Endpoint) -> str:
    """Say that failed deliveries are not sent again automatically; empty if none is failed here."""
    failed = endpoint.deliveries.failed().count()
    if not failed:
        return ""
    if failed == 1:
        return " The failed delivery is not sent again automatically. Redeliver it."
    return f" The {failed} failed deliveries are not sent again automatically. Redeliver them."


def _record_status(*, endpoint: Endpoint, answer: opentrain.Redelivery, asked_at: datetime, at: datetime) -> None:
    """Record the endpoint from the response, before its deliveries are marked: the endpoint is locked first.

    If the response is the first to tell of an auto-disable, that did not give up what was requested just now.
    """
    endpoint.status = record_endpoint(install=endpoint.install, remote=answer.endpoint, at=at, learned_at=asked_at)


def _requeued(endpoint: Endpoint, answer: opentrain.Redelivery, reading: Reading) -> Outcome:
    return outcome_as_read(
        reading,
        quoted=answer.message,
        requeued=answer.requeued,
        offer_enable=endpoint.status == DISABLED,
    )


def _on(
    endpoint: Endpoint,
    *,
    actor: User,
    action: str,
    operation: uuid.UUID,
    delivery_id: str = "",
    run: Run | None = None,
) -> Operation:
    return Operation(
        actor=actor,
        action=action,
        install=endpoint.install,
        endpoint=endpoint,
        delivery_id=delivery_id,
        run=run,
        id=operation,
    )


def _id(endpoint: Endpoint) -> str:
    """Return OpenTrain's ID. It is never empty here, because pages show no buttons during registration."""
    return endpoint.opentrain_id or ""
