"""An endpoint's status and consecutive failures over time, from the history that the poller writes.

The database reads at most LOOKED_AT rows of the index snapshot_of_endpoint, and returns only those where the severity
changes: at most CHANGES, the newest. The time before them is told as unknown.
"""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from dashboard.models import Endpoint
from dashboard.rules.endpoints import Severity
from dashboard.rules.status_times import Seen, Stretch, stretches

LOOKED_AT = 10_000
"""Maximum number of rows to read, newest first."""
CHANGES = 200
"""Maximum number of changes to return, newest first."""
POLLS_MISSED = 3
"""Polls in a row without a look at the endpoint, after which nothing is claimed of the time between two looks."""

# The newest row before the range gives its status at the start; the rows in it give the changes.
_SQL = """
    WITH inside AS (
        SELECT id, at, not_before, severity, consecutive_failures FROM dashboard_endpointsnapshot
        WHERE endpoint_id = %(endpoint)s AND at > %(since)s AND at < %(until)s ORDER BY at DESC LIMIT %(looked_at)s
    ), told AS (
        SELECT * FROM inside
        UNION ALL
        (SELECT id, at, not_before, severity, consecutive_failures FROM dashboard_endpointsnapshot
         WHERE endpoint_id = %(endpoint)s AND at <= %(since)s AND (SELECT count(*) FROM inside) < %(looked_at)s
         ORDER BY at DESC LIMIT 1)
    ), compared AS (
        SELECT *, severity IS DISTINCT FROM lag(severity) OVER w OR at - not_before > %(gap)s AS is_change
        FROM told WINDOW w AS (ORDER BY at, id)
    ), numbered AS (
        SELECT *, count(*) FILTER (WHERE is_change) OVER (ORDER BY at, id) AS number FROM compared
    )
    SELECT min(at), (array_agg(not_before ORDER BY at, id))[1], severity, max(consecutive_failures)
    FROM numbered GROUP BY number, severity ORDER BY number DESC LIMIT %(changes)s
"""


def gap() -> timedelta:
    """Return how far apart two looks at an endpoint may be for the status between them to be known."""
    return timedelta(seconds=settings.POLL_EVERY_S) * POLLS_MISSED


def status_over_time(*, endpoint: Endpoint, since: datetime, until: datetime) -> tuple[Stretch, ...]:
    """Return the endpoint's status from `since` to `until`, exactly as stored, oldest first."""
    arguments: dict[str, Any] = {
        "since": since,
        "until": until,
        "endpoint": endpoint.pk,
        "looked_at": LOOKED_AT,
        "changes": CHANGES,
        "gap": gap(),
    }
    with connection.cursor() as cursor:
        cursor.execute(_SQL, arguments)
        rows = cursor.fetchall()
    seen = [Seen(at, not_before, Severity(severity), most) for at, not_before, severity, most in reversed(rows)]
    return stretches(seen, since=since, until=until, seen_at=endpoint.snapshot_at, gap=gap())
