"""An endpoint's status and streak over time, from the history that the poller keeps.

The time is cut into buckets, and a bucket is as bad as its worst moment. Of a bucket no more rows are read than
LOOKED_AT, through the index snapshot_of_endpoint, so the work does not grow with the history.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from dashboard.rules.endpoints import Severity

LOOKED_AT = 200
"""So many of a bucket's newest rows are looked at."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `at` until `until` an endpoint was of this severity, with at most so many failures in a row.

    None stands for a time of which nothing is on record.
    """

    at: datetime
    until: datetime
    severity: Severity | None
    failures: int | None


# What was so when a bucket began is the newest row before it; what happened in it are its own rows.
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
    """Return what the endpoint was in so many buckets of `width` before `until`; those that say the same are one."""
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
