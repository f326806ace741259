"""An endpoint's status and consecutive failures over time, from the history that the poller writes.

Time is divided into buckets, and each bucket has the worst status in it. Each bucket reads at most LOOKED_AT rows from
the index snapshot_of_endpoint, so the cost does not grow with the history.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from dashboard.rules.endpoints import Severity

LOOKED_AT = 200
"""Maximum number of rows to read per bucket, newest first."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The severity of an endpoint from `at` until `until`, and its maximum of consecutive failures.

    Both are None for a time without records.
    """

    at: datetime
    until: datetime
    severity: Severity | None
    failures: int | None


# The newest row before a bucket gives its status at the start; the rows in it give the changes.
_SQL = """
    SELECT bucket.at, least(before.severity, inside.worst), greatest(before.consecutive_failures, inside.most)
    FROM generate_series(%(since)s::timestamptz, %(until)s - %(width)s::interval, %(width)s) AS bucket (at)
    LEFT JOIN LATERAL (
        SELECT severity, consecutive_failures FROM dashboard_endpointsnapshot
        WHERE endpoint_id = %(endpoint)s AND at <= bucket.at ORDER BY at DESC LIMIT 1
    ) AS before ON true
    LEFT JOIN LATERAL (
        SELECT min(severity) AS worst, max(consecutive_failures) AS most FROM (
            SELECT severity, consecutive_failures FROM dashboard_endpointsnapshot
            WHERE endpoint_id = %(endpoint)s AND at > bucket.at AND at < bucket.at + %(width)s
            ORDER BY at DESC LIMIT %(looked_at)s
        ) AS newest
    ) AS inside ON true
    WHERE bucket.at <= %(now)s ORDER BY bucket.at
"""


def status_over_time(
    *, endpoint_id: int, until: datetime, width: timedelta, buckets: int, now: datetime
) -> tuple[Stretch, ...]:
    """Return the endpoint's status in `buckets` buckets of `width` before `until`. Equal neighbours are merged."""
    arguments: dict[str, Any] = {
        "since": until - width * buckets,
        "until": until,
        "width": width,
        "endpoint": endpoint_id,
        "now": now,
        "looked_at": LOOKED_AT,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SQL, arguments)
        rows = cursor.fetchall()
    found: list[Stretch] = []
    for at, severity, failures in rows:
        kind, ends = None if severity is None else Severity(severity), min(at + width, now)
        if found and (found[-1].severity, found[-1].failures) == (kind, failures):
            found[-1] = Stretch(found[-1].at, ends, kind, failures)
        else:
            found.append(Stretch(at, ends, kind, failures))
    return tuple(found)
