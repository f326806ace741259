"""What is written to the delivery log: attempts as they come, refusals, and what a person asked OpenTrain for.

A delivery's row is locked for each attempt, so that attempts of one delivery that come at once are numbered 1 to n
and none is lost. The lock lasts for two small writes: the handler was asked before, with no transaction open.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Case, Q, QuerySet, Value, When

from dashboard.health import GRACE, Schedule, Standing
from dashboard.models import Attempt, Delivery, Endpoint, RefusedAttempt

REFUSED_KEPT = 200
"""Refused attempts kept of an endpoint, the newest: whoever knows its URL cannot fill the disk."""
UNDER_WAY = timedelta(seconds=15)
"""How long after OpenTrain disabled an endpoint an attempt may still reach us that it had begun before: its own 10 s,
and clocks that differ."""

Headers = list[list[str]]


@dataclass(frozen=True, slots=True)
class Event:
    """What the log keeps of an event, as the delivery said it; empty where it did not say."""

    delivery_id: str
    event_id: str
    event_type: str
    resource_id: str
    body: bytes = field(repr=False)
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """One attempt: when it came, what the handler answered (None without one), and what OpenTrain is answered."""

    received_at: datetime
    request_headers: Headers
    answered_status: int
    cause: str
    handler_url: str
    handler_status: int | None
    latency_ms: int
    response_headers: Headers
    response_head: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether OpenTrain takes it for a success. Source: partner-api, "Deliveries": any 2xx."""
        return 200 <= self.answered_status < 300  # noqa: PLR2004


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


def schedule() -> Schedule:
    """Return how OpenTrain goes about a failed delivery, as the settings say."""
    delays = tuple(timedelta(seconds=delay) for delay in settings.OPENTRAIN_RETRY_DELAYS_S)
    return Schedule(retry_delays=delays, run_interval=timedelta(seconds=settings.OPENTRAIN_RUN_INTERVAL_S))


def record_attempt(*, endpoint: Endpoint, event: Event, result: Result) -> Attempt:
    """Record one verified attempt and bring its delivery up to date, in one transaction.

    Raises: django.db.Error, with nothing recorded.
    """
    with transaction.atomic():
        delivery = _locked(endpoint=endpoint, event=event, result=result)
        _advance(delivery=delivery, result=result)
        delivery.save(update_fields=_ADVANCED)
        if delivery.body_gone_at is not None:  # retention took it, and here it is again
            delivery.body, delivery.body_gone_at = event.body, None
            delivery.save(update_fields=["body", "body_gone_at"])
        return Attempt.objects.create(
            delivery=delivery,
            number=delivery.attempt_count,
            received_at=result.received_at,
            request_headers=result.request_headers,
            answered_status=result.answered_status,
            ok=result.ok,
            cause=result.cause,
            handler_url=result.handler_url,
            handler_status=result.handler_status,
            latency_ms=result.latency_ms,
            response_headers=result.response_headers,
            response_head=result.response_head,
        )


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
    expected = at + schedule().run_interval + GRACE
    asked = asked.filter(last_attempt_at__lt=at)
    return asked.update(requested_at=at, standing=Standing.REQUESTED_AGAIN, due_by=expected)


_ADVANCED = (
    "last_attempt_at",
    "attempt_count",
    "attempts_in_round",
    "last_ok",
    "last_status",
    "last_cause",
    "last_latency_ms",
    "requested_at",
    "abandoned_at",
    "standing",
    "due_by",
)


def _locked(*, endpoint: Endpoint, event: Event, result: Result) -> Delivery:
    """Return the delivery's row, made if it was not there, locked until the transaction ends. Its body is not read."""
    rows = Delivery.objects.select_for_update().defer("body")
    wanted = rows.filter(endpoint=endpoint, opentrain_id=event.delivery_id)
    found = wanted.first()
    if found is not None:
        return found
    first = Delivery(
        endpoint=endpoint,
        opentrain_id=event.delivery_id,
        event_id=event.event_id,
        event_type=event.event_type,
        resource_id=event.resource_id,
        event_created_at=event.created_at,
        body=event.body,
        first_received_at=result.received_at,
        last_attempt_at=result.received_at,
        last_ok=result.ok,
        last_status=result.answered_status,
        last_cause=result.cause,
        last_latency_ms=result.latency_ms,
    )
    first.settle(schedule=schedule())
    # Of several first attempts at once, one inserts; the others wait for its commit here and find the row below.
    Delivery.objects.bulk_create([first], ignore_conflicts=True)
    return wanted.get()


def _advance(*, delivery: Delivery, result: Result) -> None:
    answers_request = delivery.requested_at is not None and result.received_at >= delivery.requested_at
    if answers_request or _round_is_over(delivery=delivery):
        delivery.attempts_in_round = 0
        delivery.abandoned_at = None
        # A request that is younger than this attempt is still waiting for its own.
        delivery.requested_at = None if answers_request else delivery.requested_at
    delivery.attempt_count += 1
    delivery.attempts_in_round += 1
    delivery.last_attempt_at = max(delivery.last_attempt_at, result.received_at)
    delivery.last_ok = result.ok
    delivery.last_status = result.answered_status
    delivery.last_cause = result.cause
    delivery.last_latency_ms = result.latency_ms
    delivery.settle(schedule=schedule())


def _round_is_over(*, delivery: Delivery) -> bool:
    """Whether OpenTrain had no reason of its own to try again: then somebody asked it to, perhaps elsewhere."""
    exhausted = delivery.attempts_in_round >= schedule().attempts
    return delivery.last_ok or delivery.abandoned_at is not None or exhausted
