"""What is written to the delivery log: attempts as they come, refusals, and what a person asked OpenTrain for."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Case, Q, QuerySet, Value, When

from dashboard.actions.deliveries import attempts, matching
from dashboard.config.schedule import schedule
from dashboard.models import Attempt, Delivery, Endpoint, RefusedAttempt
from dashboard.rules.attempts import AttemptResult, Event, Headers
from dashboard.rules.deliveries import Standing, overdue_after
from dashboard.rules.schedule import OPENTRAIN_WAITS

REFUSED_KEPT = 200
"""Refused attempts kept of an endpoint, the newest: whoever knows its URL cannot fill the disk."""
UNDER_WAY = OPENTRAIN_WAITS + timedelta(seconds=5)
"""How long after OpenTrain disabled an endpoint an attempt may still reach us that it had begun before: as long as it
waits for an answer, and clocks that differ."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that was not taken. It has no field for a body: what was not verified is never kept."""

    received_at: datetime
    reason: str
    explanation: str
    answered_status: int
    claimed_delivery_id: str
    claimed_event_type: str
    request_headers: Headers
    body_size: int
    body_sha256: str


def record_attempt(*, endpoint: Endpoint, event: Event, result: AttemptResult) -> Attempt:
    """Record one verified attempt and bring its delivery up to date: all of it or nothing.

    A delivery that comes for the first time is the receiver's daily bread, and is one statement. Attempts of one
    delivery that come at once wait for each other, are numbered 1 to n, and none is lost.

    Raises: django.db.Error, with nothing recorded.
    """
    while True:
        recorded = attempts.insert_first(endpoint=endpoint, event=event, result=result)
        # Of several first attempts at once, one inserted; the others waited for its commit there, and find its row.
        recorded = recorded or _record_next(endpoint=endpoint, event=event, result=result)
        if recorded is not None:
            return recorded


def record_refusal(*, endpoint: Endpoint, refusal: Refusal) -> None:
    """Record a refused request, and forget all but the newest REFUSED_KEPT of its endpoint.

    Raises: django.db.Error, with nothing recorded.
    """
    with transaction.atomic():
        RefusedAttempt.objects.create(
            endpoint=endpoint,
            received_at=refusal.received_at,
            reason=refusal.reason,
            explanation=refusal.explanation,
            answered_status=refusal.answered_status,
            claimed_delivery_id=refusal.claimed_delivery_id,
            claimed_event_type=refusal.claimed_event_type,
            request_headers=refusal.request_headers,
            body_size=refusal.body_size,
            body_sha256=refusal.body_sha256,
        )
        newest_first = endpoint.refused_attempts.order_by("-received_at", "-id")
        endpoint.refused_attempts.filter(pk__in=newest_first.values("pk")[REFUSED_KEPT:]).delete()


def abandon_undelivered(*, endpoint: Endpoint, at: datetime) -> int:
    """Mark what OpenTrain gave up when it disabled the endpoint by itself, and return how many that are.

    `at` is its `disabledAt`. What was attempted or requested since then is not concerned, so that calling it again with
    the same snapshot changes nothing. A redelivery that was waiting then is given up with the others.
    Source: partner-api, "Deliveries": all its PENDING deliveries become FAILED.
    """
    waiting = endpoint.deliveries.filter(standing__in=[Standing.RETRYING, Standing.REQUESTED_AGAIN])
    waiting = waiting.filter(Q(requested_at__isnull=True) | Q(requested_at__lte=at))
    waiting = waiting.filter(last_attempt_at__lte=at + UNDER_WAY)
    with transaction.atomic():
        count = waiting.filter(last_ok=False, abandoned_at__isnull=True).update(
            abandoned_at=at, requested_at=None, standing=Standing.FAILED, due_by=None
        )
        before = Case(When(last_ok=True, then=Value(Standing.DELIVERED)), default=Value(Standing.FAILED))
        waiting.update(requested_at=None, standing=before, due_by=None)
    return count


def mark_requested(*, endpoint: Endpoint, delivery: Delivery | None = None, at: datetime) -> int:
    """Mark deliveries that OpenTrain was asked to send again, and return how many that are.

    All failed ones of the endpoint, or the one named, whatever its state. `at` is from before OpenTrain was asked:
    what has been attempted since then may be that very redelivery, and is not waited for again.
    """
    asked: QuerySet[Delivery] = (
        endpoint.deliveries.failed() if delivery is None else endpoint.deliveries.filter(pk=delivery.pk)
    )
    expected = overdue_after(due=at, schedule=schedule())
    asked = asked.filter(last_attempt_at__lt=at)
    return asked.update(requested_at=at, standing=Standing.REQUESTED_AGAIN, due_by=expected)


def _record_next(*, endpoint: Endpoint, event: Event, result: AttemptResult) -> Attempt | None:
    """Record one more attempt, or confirm one that the handler has reported; None when there is no such delivery.

    Retention can take a delivery in the very moment between this and the try before it.
    """
    with transaction.atomic():
        delivery = attempts.locked(endpoint=endpoint, ids=[event.delivery_id]).get(event.delivery_id)
        if delivery is None:
            return None
        observed = matching.observed_already(delivery=delivery, at=result.received_at)
        if observed is None:
            attempt = attempts.advance(delivery=delivery, event=event, result=result)
        else:
            attempt = attempts.confirm(delivery=delivery, observed=observed, event=event, result=result)
        attempts.save_advanced(deliveries=[delivery])
        attempt.save(force_insert=observed is None, force_update=observed is not None)
    return attempt
