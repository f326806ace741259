"""An endpoint's attempts over time by outcome: what was tried then, whatever became of the delivery since.

Both this and queries/figures.py read attempts by the index delivery_attempted_of_endpoint: every delivery with an
attempt since a time has its last one since then. Most have one attempt, which their own row tells.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypedDict

from django.db import connection

COUNTED = 20_000
"""Most deliveries of which to count the attempts, those attempted last: a page must not wait for more."""

# `known_from` is never before `since`, but the planner does not know that: with `known_from` alone, it expects a third
# of all deliveries, and reads the whole log instead of the index.
_LATELY = "last_attempt_at >= %(since)s AND last_attempt_at < %(until)s"
TRIED = f"""
    asked AS (
        SELECT key, endpoint, coalesce((
            SELECT last_attempt_at FROM dashboard_delivery
            WHERE endpoint_id = given.endpoint AND {_LATELY}
            ORDER BY last_attempt_at DESC OFFSET %(most)s - 1 LIMIT 1
        ), %(since)s) AS known_from
        FROM unnest(%(keys)s::bigint[], %(endpoints)s::bigint[]) AS given (key, endpoint)
    ), tried AS (
        SELECT key, known_from, last_attempt_at AS at, last_ok AS ok, last_cause AS cause, last_latency_ms AS latency_ms
        FROM asked JOIN dashboard_delivery AS delivery
            ON endpoint_id = endpoint AND last_attempt_at >= known_from AND {_LATELY}
        WHERE attempt_count <= 1
        UNION ALL
        SELECT key, known_from, attempt.received_at, attempt.ok, attempt.cause, attempt.latency_ms
        FROM asked JOIN dashboard_delivery AS delivery
            ON endpoint_id = endpoint AND last_attempt_at >= known_from AND {_LATELY}
        JOIN dashboard_attempt AS attempt ON attempt.delivery_id = delivery.id
        WHERE attempt_count > 1 AND attempt.received_at >= known_from AND attempt.received_at < %(until)s
    )
"""  # noqa: S608 - no values
"""The attempts since a time, of endpoints under keys. `known_from` is later than that if there are too many."""

_SQL = f"""
    WITH {TRIED}
    SELECT date_bin(%(width)s, at, %(since)s) AS bucket, max(known_from),
        count(*) FILTER (WHERE ok), count(*) FILTER (WHERE NOT ok)
    FROM tried GROUP BY bucket ORDER BY bucket
"""  # noqa: S608 - no values
_RECORDED = """
    SELECT least(
        (SELECT first_received_at FROM dashboard_delivery WHERE endpoint_id = %(endpoint)s
            ORDER BY first_received_at LIMIT 1),
        (SELECT at FROM dashboard_endpointsnapshot WHERE endpoint_id = %(endpoint)s ORDER BY at LIMIT 1)
    ), (SELECT last_attempt_at FROM dashboard_delivery WHERE endpoint_id = %(endpoint)s
            ORDER BY last_attempt_at DESC LIMIT 1)
"""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The numbers of attempts from `at` on, for one bucket's width: taken by the handler, or failed. None: not known"""

    at: datetime
    taken: int | None
    failed: int | None


@dataclass(frozen=True, slots=True)
class Counts:
    """Consecutive buckets, oldest first. `complete` is False if only COUNTED deliveries are looked at."""

    buckets: tuple[Bucket, ...]
    complete: bool

    def total(self, *, of: str) -> int:
        return sum(getattr(bucket, of) or 0 for bucket in self.buckets)


def count_over_time(
    *, endpoint_id: int, until: datetime, width: timedelta, buckets: int, log_since: datetime | None = None
) -> Counts:
    """Count an endpoint's attempts in `buckets` buckets of `width`; the last one ends at `until`.

    The counts of buckets that ended before the log began, and of those that are not counted whole, are None.
    """
    since = until - width * buckets
    arguments: dict[str, Any] = {
        "keys": [endpoint_id],
        "endpoints": [endpoint_id],
        "since": since,
        "until": until,
        "width": width,
        "most": COUNTED,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SQL, arguments)
        rows = cursor.fetchall()
    found = {at: (taken, failed) for at, _known_from, taken, failed in rows}
    known_from = max((known for _at, known, *_numbers in rows), default=since)
    starts = [since + width * index for index in range(buckets)]
    is_known = {at: at >= known_from and (log_since is None or at in found or at + width > log_since) for at in starts}
    counted = (Bucket(at, *(found.get(at, (0, 0)) if is_known[at] else (None, None))) for at in starts)
    return Counts(tuple(counted), complete=known_from == since)


class Recorded(TypedDict):
    """When the first delivery or status of an endpoint was recorded, and when a delivery was attempted last."""

    oldest: datetime | None
    newest: datetime | None


def recorded(*, endpoint_id: int) -> Recorded:
    with connection.cursor() as cursor:
        cursor.execute(_RECORDED, {"endpoint": endpoint_id})
        oldest, newest = cursor.fetchone() or (None, None)
    return {"oldest": oldest, "newest": newest}
