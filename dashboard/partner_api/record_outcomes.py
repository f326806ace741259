"""Recording the outcomes of a batch of attempts: rows are locked, `policy` judges each attempt in turn, and a few
statements store the result.

Endpoints are locked before deliveries, and both in the order of their IDs, as everywhere that writes them, so that two
writers never deadlock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from django.db.backends.utils import CursorWrapper

from dashboard.partner_api import claims, policy
from dashboard.partner_api.claims import Claim, ClaimResult
from dashboard.partner_api.conf import Knobs
from dashboard.partner_api.policy import Verdict

_LOCK_ENDPOINTS = """
SELECT id, status = 'ACTIVE', consecutive_failures
  FROM partner_api_endpoint
 WHERE id = ANY (%(ids)s::text[])
 ORDER BY id
   FOR NO KEY UPDATE
"""

_LOCK_DELIVERIES = """
SELECT id, endpoint_id, status, round, tries, attempts, next_attempt_at, claimed_by, lease_until
  FROM partner_api_delivery
 WHERE id = ANY (%(ids)s::text[])
 ORDER BY id
   FOR NO KEY UPDATE
"""

_SAVE_DELIVERIES = """
UPDATE partner_api_delivery AS delivery
   SET status = new.status, tries = new.tries, attempts = new.attempts, next_attempt_at = new.next_attempt_at,
       claimed_by = new.claimed_by, lease_until = new.lease_until
  FROM unnest(%(id)s::text[], %(status)s::text[], %(tries)s::int[], %(attempts)s::int[],
              %(next_attempt_at)s::timestamptz[], %(claimed_by)s::uuid[], %(lease_until)s::timestamptz[])
       AS new (id, status, tries, attempts, next_attempt_at, claimed_by, lease_until)
 WHERE delivery.id = new.id
"""

_ADD_ATTEMPTS = """
INSERT INTO partner_api_attempt
       (delivery_id, number, started_at, duration_ms, status_code, cause, detail, response_head)
SELECT *
  FROM unnest(%(delivery)s::text[], %(number)s::int[], %(started_at)s::timestamptz[], %(duration_ms)s::int[],
              %(status_code)s::smallint[], %(cause)s::text[], %(detail)s::text[],
              %(response_head)s::bytea[])
"""

_SAVE_ENDPOINTS = """
UPDATE partner_api_endpoint AS endpoint
   SET consecutive_failures = new.streak,
       status = CASE WHEN new.reason IS NULL THEN endpoint.status ELSE 'DISABLED' END,
       disabled_at = coalesce(new.disabled_at, endpoint.disabled_at),
       disabled_reason = coalesce(new.reason, endpoint.disabled_reason)
  FROM unnest(%(id)s::text[], %(streak)s::int[], %(disabled_at)s::timestamptz[], %(reason)s::text[])
       AS new (id, streak, disabled_at, reason)
 WHERE endpoint.id = new.id
"""

_FAIL_THE_WAITING = """
UPDATE partner_api_delivery
   SET status = 'FAILED', next_attempt_at = NULL
 WHERE endpoint_id = ANY (%(ids)s::text[])
   AND status = 'PENDING'
"""


@dataclass(slots=True)
class _Endpoint:
    id: str
    active: bool
    streak: int
    changed: bool = False
    disabled_at: datetime | None = None
    reason: str | None = None


@dataclass(slots=True)
class _Delivery:
    id: str
    endpoint_id: str
    status: str
    round: int
    tries: int
    attempts: int
    next_attempt_at: datetime | None
    claimed_by: UUID | None
    lease_until: datetime | None

    def settle(self, result: ClaimResult, verdict: Verdict) -> None:
        """Set the new status, unless the delivery was requeued during the attempt: then its new round begins."""
        if self.round == result.claim.round:
            if verdict.delivered:
                self.status, self.next_attempt_at = "DELIVERED", None
            elif self.status == "PENDING":
                self.next_attempt_at = None if verdict.retry_in is None else result.ended_at + verdict.retry_in
                self.status = "FAILED" if verdict.retry_in is None else "PENDING"
        if self.is_held_by(result.claim):
            self.claimed_by = self.lease_until = None

    def is_held_by(self, claim: Claim) -> bool:
        """Whether the claim still stands: no other run has taken the delivery since."""
        return self.claimed_by == claim.id


@dataclass(slots=True)
class _Batch:
    """The rows of a batch while it is judged, and the attempts to add."""

    endpoints: dict[str, _Endpoint]
    deliveries: dict[str, _Delivery]
    attempts: list[tuple[int, ClaimResult]]

    @classmethod
    def lock(cls, cursor: CursorWrapper, results: Sequence[ClaimResult]) -> Self:
        endpoints = _fetch(cursor, _LOCK_ENDPOINTS, ids={result.claim.endpoint_id for result in results})
        deliveries = _fetch(cursor, _LOCK_DELIVERIES, ids={result.claim.delivery_id for result in results})
        return cls(
            endpoints={row[0]: _Endpoint(*row) for row in endpoints},
            deliveries={row[0]: _Delivery(*row) for row in deliveries},
            attempts=[],
        )

    def judge(self, result: ClaimResult, *, knobs: Knobs) -> None:
        """Apply the verdict of `policy` on one result. The attempt of a delivery that has been deleted is dropped."""
        delivery = self.deliveries.get(result.claim.delivery_id)
        endpoint = self.endpoints.get(result.claim.endpoint_id)
        if endpoint is None or delivery is None:
            return
        delivery.attempts += 1
        if delivery.round == result.claim.round:
            delivery.tries += 1
        self.attempts.append((delivery.attempts, result))
        verdict = policy.judge(
            outcome=result.outcome,
            tries=delivery.tries,
            streak=endpoint.streak,
            active=endpoint.active,
            rules=policy.Rules(retry_delays=knobs.retry_delays, disable_after=knobs.disable_after),
        )
        delivery.settle(result, verdict)
        self._count(endpoint, result, verdict, knobs=knobs)

    def _count(self, endpoint: _Endpoint, result: ClaimResult, verdict: Verdict, *, knobs: Knobs) -> None:
        endpoint.changed |= verdict.streak != endpoint.streak
        endpoint.streak = verdict.streak
        if verdict.disable:
            endpoint.active, endpoint.disabled_at = False, result.ended_at
            endpoint.reason = policy.disabled_reason(result.outcome, streak=verdict.streak, timeout=knobs.timeout)

    def save(self, cursor: CursorWrapper) -> None:
        deliveries, changed = self.deliveries.values(), [row for row in self.endpoints.values() if row.changed]
        _execute(cursor, _SAVE_DELIVERIES, rows=deliveries, names=_DELIVERY_COLUMNS)
        _execute(
            cursor, _ADD_ATTEMPTS, rows=[_Attempt.of(*numbered) for numbered in self.attempts], names=_ATTEMPT_COLUMNS
        )
        _execute(cursor, _SAVE_ENDPOINTS, rows=changed, names=("id", "streak", "disabled_at", "reason"))
        disabled = [endpoint.id for endpoint in changed if endpoint.reason is not None]
        if disabled:  # last, to include deliveries of this batch that wait for their next attempt
            cursor.execute(_FAIL_THE_WAITING, {"ids": disabled})


_DELIVERY_COLUMNS = ("id", "status", "tries", "attempts", "next_attempt_at", "claimed_by", "lease_until")
_ATTEMPT_COLUMNS = (
    "delivery",
    "number",
    "started_at",
    "duration_ms",
    "status_code",
    "cause",
    "detail",
    "response_head",
)


@dataclass(frozen=True, slots=True)
class _Attempt:
    delivery: str
    number: int
    started_at: datetime
    duration_ms: int
    status_code: int | None
    cause: str
    detail: str
    response_head: bytes

    @classmethod
    def of(cls, number: int, result: ClaimResult) -> Self:
        outcome = result.outcome
        return cls(
            delivery=result.claim.delivery_id,
            number=number,
            started_at=result.started_at,
            duration_ms=result.duration_ms,
            status_code=outcome.status,
            cause=outcome.cause or "",
            detail=outcome.detail.replace("\0", ""),
            response_head=outcome.response_head,
        )


def record(*, results: Sequence[ClaimResult], knobs: Knobs, unsure: bool = False) -> None:
    """Record attempts, in the order in which they ended, and apply the verdicts of `policy`.

    The endpoints' rows are locked first, so that each count of consecutive failures is exact even if many attempts end
    at once. `unsure`: an earlier try to record (some of) these results lost its connection and may have been committed.
    Then only results whose claim still exists are recorded; recording ends a claim, so nothing is counted twice.
    """
    with claims.by_index() as cursor:
        batch = _Batch.lock(cursor, results)
        for result in sorted(results, key=lambda result: result.ended_at):
            held = batch.deliveries.get(result.claim.delivery_id)
            if held is not None and (held.is_held_by(result.claim) or not unsure):
                batch.judge(result, knobs=knobs)
        batch.save(cursor)


def _fetch(cursor: CursorWrapper, statement: str, *, ids: Iterable[str]) -> list[tuple[Any, ...]]:
    cursor.execute(statement, {"ids": list(ids)})
    return list(cursor.fetchall())


def _execute(cursor: CursorWrapper, statement: str, *, rows: Iterable[object], names: Sequence[str]) -> None:
    """Run a statement whose parameters are arrays, one for each attribute of `rows`."""
    listed = list(rows)
    if listed:
        cursor.execute(statement, {name: [getattr(row, name) for row in listed] for name in names})
