"""Claims of due deliveries by delivery runs.

A claim is a lease. It is taken with SKIP LOCKED, so that runs on many hosts share the work without waiting for each
other, and it lapses automatically if its run dies. A few statements claim or release many deliveries.
"""

import contextlib
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from dashboard.partner_api.conf import Knobs
from dashboard.partner_api.fair_scheduler import Ask
from dashboard.partner_api.policy import Outcome

# A delivery can be claimed at `now` if its endpoint is ACTIVE, it is due, and no unlapsed claim holds it.
_ACTIVE = "endpoint.status = 'ACTIVE'"
_CLAIMABLE = """delivery.endpoint_id = endpoint.id
   AND delivery.status = 'PENDING'
   AND delivery.next_attempt_at <= %(now)s
   AND (delivery.lease_until IS NULL OR delivery.lease_until <= %(now)s)"""

_DUE = f"""
SELECT endpoint.id
  FROM partner_api_endpoint AS endpoint
 CROSS JOIN LATERAL (
       SELECT delivery.next_attempt_at
         FROM partner_api_delivery AS delivery
        WHERE {_CLAIMABLE}
        ORDER BY delivery.next_attempt_at
        LIMIT 1
       ) AS oldest
 WHERE {_ACTIVE}
 ORDER BY oldest.next_attempt_at, endpoint.id
"""  # noqa: S608 - composed of the conditions above
# One index look-up per endpoint, so an endpoint with a large backlog costs the others nothing.

_CLAIM = f"""
WITH asked AS (
    SELECT *
      FROM unnest(%(endpoints)s::text[], %(counts)s::int[], %(held)s::int[]) AS asked (endpoint_id, count, held)
), due AS (
    SELECT picked.id, endpoint.url, endpoint.secret_sealed
      FROM asked
      JOIN partner_api_endpoint AS endpoint ON endpoint.id = asked.endpoint_id
     CROSS JOIN LATERAL (
           SELECT delivery.id
             FROM partner_api_delivery AS delivery
            WHERE {_CLAIMABLE}
            ORDER BY delivery.next_attempt_at
            LIMIT greatest(
                0,
                least(asked.count, greatest(1, %(disable_after)s - endpoint.consecutive_failures) - asked.held)
            )
              FOR NO KEY UPDATE SKIP LOCKED
           ) AS picked
     WHERE {_ACTIVE}
)
UPDATE partner_api_delivery AS delivery
   SET claimed_by = %(claim)s, lease_until = %(lease_until)s
  FROM due, partner_api_event AS event
 WHERE delivery.id = due.id
   AND event.id = delivery.event_id
RETURNING delivery.id, delivery.endpoint_id, delivery.round, due.url, due.secret_sealed, event.type, event.body
"""  # noqa: S608 - composed of the conditions above
# An endpoint never has more claims than failures left before it is disabled, including the claims it already holds: a
# dead receiver gets ten POSTs, not fourteen.

_BY_INDEX = """
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true)
"""

_RELEASE = """
UPDATE partner_api_delivery AS delivery
   SET claimed_by = NULL, lease_until = NULL
  FROM unnest(%(deliveries)s::text[], %(claims)s::uuid[]) AS unused (delivery_id, claim)
 WHERE delivery.id = unused.delivery_id
   AND delivery.claimed_by = unused.claim
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A delivery that this run holds until its lease lapses, with the data for one attempt.

    `post_before` is a time of this process's monotonic clock, in seconds. After it the lease might lapse during the
    POST.
    """

    id: uuid.UUID
    delivery_id: str
    endpoint_id: str
    round: int
    url: str
    secret_sealed: str = field(repr=False)
    event_type: str
    body: bytes = field(repr=False)
    post_before: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimResult:
    """The outcome of one attempt, and its times."""

    claim: Claim
    outcome: Outcome
    started_at: datetime
    ended_at: datetime
    duration_ms: int


@contextlib.contextmanager
def by_index() -> Iterator[CursorWrapper]:
    """Open a transaction whose statements find rows by an index.

    PostgreSQL cannot know that an array selects a hundred rows and not a tenth of the table, and would read the whole
    table.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_BY_INDEX)
        yield cursor


def due_endpoints(*, now: datetime) -> list[str]:
    """Return the ACTIVE endpoints with a delivery to claim, the longest waiting first."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, {"now": now})
        return [row[0] for row in cursor.fetchall()]


def claim(*, asks: Sequence[Ask], now: datetime, knobs: Knobs) -> list[Claim]:
    """Claim due deliveries, oldest first, of endpoints that are ACTIVE now."""
    held_by = uuid.uuid4()
    post_before = time.monotonic() + (knobs.lease - knobs.timeout).total_seconds()
    values: dict[str, Any] = {
        "endpoints": [ask.endpoint_id for ask in asks],
        "counts": [ask.count for ask in asks],
        "held": [ask.held for ask in asks],
        "claim": held_by,
        "now": now,
        "lease_until": now + knobs.lease,
        "disable_after": knobs.disable_after,
    }
    with by_index() as cursor:
        cursor.execute(_CLAIM, values)
        rows = cursor.fetchall()
    return [
        Claim(
            id=held_by,
            delivery_id=delivery_id,
            endpoint_id=endpoint_id,
            round=number,
            url=url,
            secret_sealed=sealed,
            event_type=event_type,
            body=bytes(body),
            post_before=post_before,
        )
        for delivery_id, endpoint_id, number, url, sealed, event_type, body in rows
    ]


def release(*, claims: Sequence[Claim]) -> None:
    """Release unused claims, so that other runs need not wait until they lapse."""
    values: dict[str, Any] = {
        "deliveries": [claim.delivery_id for claim in claims],
        "claims": [claim.id for claim in claims],
    }
    with by_index() as cursor:
        cursor.execute(_RELEASE, values)


def disconnect() -> None:
    """Close a broken connection; the next statement opens a new one."""
    connection.close()
