"""Which deliveries are due, who holds them, and what became of each attempt: the engine's only way to its rows.

A claim is a lease. It is taken with SKIP LOCKED, so that runs on many hosts share the work without waiting for each
other; renewed just before the POST, where everything is checked again; and lapses by itself when its run has died.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from dashboard.partner_api import policy, vault
from dashboard.partner_api.conf import Knobs
from dashboard.partner_api.models import Attempt, Delivery, Endpoint
from dashboard.partner_api.policy import Outcome, Verdict

_CLAIM = """
WITH due AS (
    SELECT picked.id
      FROM partner_api_endpoint AS endpoint
     CROSS JOIN LATERAL (
           SELECT delivery.id, delivery.next_attempt_at
             FROM partner_api_delivery AS delivery
            WHERE delivery.endpoint_id = endpoint.id
              AND delivery.status = 'PENDING'
              AND delivery.next_attempt_at <= %(now)s
              AND (delivery.lease_until IS NULL OR delivery.lease_until <= %(now)s)
            ORDER BY delivery.next_attempt_at
            LIMIT least(%(per_endpoint)s, greatest(1, %(disable_after)s - endpoint.consecutive_failures))
              FOR NO KEY UPDATE SKIP LOCKED
           ) AS picked
     WHERE endpoint.status = 'ACTIVE'
       AND endpoint.id <> ALL (%(busy)s::text[])
     ORDER BY picked.next_attempt_at
     LIMIT %(limit)s
)
UPDATE partner_api_delivery AS delivery
   SET claimed_by = %(claim)s, lease_until = %(lease_until)s
  FROM due
 WHERE delivery.id = due.id
RETURNING delivery.id, delivery.endpoint_id
"""
# Each endpoint is asked for its own oldest: a mountain on one costs the others nothing. Near the limit it is asked for
# no more than the failures that are left, so that a dead receiver is posted to ten times and not fourteen.

_BEGIN = """
UPDATE partner_api_delivery AS delivery
   SET lease_until = %(lease_until)s
  FROM partner_api_endpoint AS endpoint, partner_api_event AS event
 WHERE delivery.id = %(delivery)s
   AND delivery.claimed_by = %(claim)s
   AND delivery.status = 'PENDING'
   AND endpoint.id = delivery.endpoint_id
   AND endpoint.status = 'ACTIVE'
   AND event.id = delivery.event_id
RETURNING delivery.round, endpoint.url, endpoint.secret_sealed, event.type, event.body
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A delivery that this run holds until its lease lapses."""

    id: uuid.UUID
    delivery_id: str
    endpoint_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """All that one attempt needs, as it is at the moment of sending."""

    claim: Claim
    round: int
    url: str
    secret: str
    event_type: str
    body: bytes

    def __repr__(self) -> str:
        return f"Posting(delivery_id={self.claim.delivery_id!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one attempt came to, and when."""

    posting: Posting
    outcome: Outcome
    started_at: datetime
    ended_at: datetime
    duration_ms: int


def claim(*, limit: int, busy: Sequence[str], now: datetime, knobs: Knobs) -> list[Claim]:
    """Claim up to `limit` due deliveries of ACTIVE endpoints, leaving out the endpoints in `busy`."""
    held_by = uuid.uuid4()
    values: dict[str, Any] = {
        "claim": held_by,
        "now": now,
        "lease_until": now + knobs.lease,
        "per_endpoint": knobs.max_per_endpoint,
        "disable_after": knobs.disable_after,
        "busy": list(busy),
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, values)
        return [Claim(id=held_by, delivery_id=row[0], endpoint_id=row[1]) for row in cursor.fetchall()]


def begin(*, claim: Claim, now: datetime, lease: timedelta) -> Posting | None:
    """Renew the lease and return what to post; None when it is not to be posted any more.

    That is so when the endpoint was paused, disabled or deleted, or the claim lapsed and is another run's now.

    Raises: vault.Unreadable.
    """
    values: dict[str, Any] = {"delivery": claim.delivery_id, "claim": claim.id, "lease_until": now + lease}
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN, values)
        row = cursor.fetchone()
    if row is None:
        release(claim=claim)
        return None
    number, url, sealed, event_type, body = row
    return Posting(
        claim=claim, round=number, url=url, secret=vault.unseal(sealed), event_type=event_type, body=bytes(body)
    )


def release(*, claim: Claim) -> None:
    """Give an unused claim back, so that nobody has to wait for its lease."""
    held = Delivery.objects.filter(pk=claim.delivery_id, claimed_by=claim.id)
    held.update(claimed_by=None, lease_until=None)


@transaction.atomic
def record(*, result: Result, knobs: Knobs) -> None:
    """Write the attempt down and do what `policy` says.

    The endpoint's row is locked first, so that its streak is exact however many attempts end at once. A delivery that
    was deleted meanwhile takes its attempt with it.
    """
    claim = result.posting.claim
    endpoint = Endpoint.objects.select_for_update(no_key=True).filter(pk=claim.endpoint_id).first()
    delivery = Delivery.objects.select_for_update(no_key=True).filter(pk=claim.delivery_id).first()
    if endpoint is None or delivery is None:
        return
    _add_attempt(delivery, result=result)
    verdict = policy.judge(
        outcome=result.outcome,
        tries=delivery.tries,
        streak=endpoint.consecutive_failures,
        active=endpoint.active,
        rules=policy.Rules(retry_delays=knobs.retry_delays, disable_after=knobs.disable_after),
    )
    _settle(delivery, result=result, verdict=verdict)
    _count(endpoint, result=result, verdict=verdict, timeout=knobs.timeout)


def _add_attempt(delivery: Delivery, *, result: Result) -> None:
    delivery.attempts += 1
    if delivery.round == result.posting.round:
        delivery.tries += 1
    Attempt.objects.create(
        delivery=delivery,
        number=delivery.attempts,
        started_at=result.started_at,
        duration_ms=result.duration_ms,
        status_code=result.outcome.status,
        cause=result.outcome.cause or "",
        response_head=result.outcome.response_head,
    )


def _settle(delivery: Delivery, *, result: Result, verdict: Verdict) -> None:
    """Give the delivery its new status, unless it was requeued meanwhile: then its new round begins as asked for."""
    if delivery.round == result.posting.round:
        if verdict.delivered:
            delivery.status, delivery.next_attempt_at = Delivery.Status.DELIVERED, None
        elif delivery.status == Delivery.Status.PENDING:
            delivery.next_attempt_at = None if verdict.retry_in is None else result.ended_at + verdict.retry_in
            delivery.status = Delivery.Status.FAILED if verdict.retry_in is None else Delivery.Status.PENDING
    if delivery.claimed_by == result.posting.claim.id:
        delivery.claimed_by = delivery.lease_until = None
    delivery.save()


def _count(endpoint: Endpoint, *, result: Result, verdict: Verdict, timeout: timedelta) -> None:
    if verdict.streak == endpoint.consecutive_failures:
        return
    endpoint.consecutive_failures = verdict.streak
    if verdict.disable:
        endpoint.status, endpoint.disabled_at = Endpoint.Status.DISABLED, result.ended_at
        endpoint.disabled_reason = policy.disabled_reason(result.outcome, streak=verdict.streak, timeout=timeout)
        waiting = Delivery.objects.filter(endpoint=endpoint, status=Delivery.Status.PENDING)
        waiting.update(status=Delivery.Status.FAILED, next_attempt_at=None)
    endpoint.save()
