"""Deliveries over time by outcome, read from one short index range."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from dashboard.rules.deliveries import Standing

CHART_COUNT_LIMIT = 50_000
"""Maximum number of deliveries to count, newest first: a page must not wait for more."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The numbers of deliveries first received from `at` on, for one bucket's width; None if not counted."""

    at: datetime
    delivered: int | None
    waiting: int | None
    failed: int | None


@dataclass(frozen=True, slots=True)
class Counts:
    """Consecutive buckets, oldest first. `complete` is False if only CHART_COUNT_LIMIT are counted."""

    buckets: tuple[Bucket, ...]
    complete: bool

    def total(self, *, of: str) -> int:
        return sum(getattr(bucket, of) or 0 for bucket in self.buckets)


# Reads the newest in the order of the index delivery_newest_of_endpoint, so no more rows are read than are counted.
_SQL = """
    WITH newest AS (
        SELECT first_received_at AS at, standing
        FROM dashboard_delivery
        WHERE endpoint_id = %s AND first_received_at >= %s AND first_received_at < %s
        ORDER BY first_received_at DESC, id DESC
        LIMIT %s
    )
    SELECT date_bin(make_interval(secs => %s), at, %s) AS bucket,
           count(*) FILTER (WHERE standing = %s),
           count(*) FILTER (WHERE standing NOT IN (%s, %s)),
           count(*) FILTER (WHERE standing = %s)
    FROM newest GROUP BY bucket ORDER BY bucket
"""


def count_over_time(*, endpoint_id: int, until: datetime, width: timedelta, buckets: int) -> Counts:
    """Count an endpoint's deliveries in `buckets` buckets of `width`; the last one ends at `until`.

    If there are CHART_COUNT_LIMIT or more, the counts of buckets that were not reached or not completed are None.
    """
    since = until - width * buckets
    delivered, failed = Standing.DELIVERED.value, Standing.FAILED.value
    with connection.cursor() as cursor:
        cursor.execute(
            _SQL,
            [
                endpoint_id,
                since,
                until,
                CHART_COUNT_LIMIT,
                width.total_seconds(),
                since,
                delivered,
                delivered,
                failed,
                failed,
            ],
        )
        found = {at: numbers for at, *numbers in cursor.fetchall()}
    complete = sum(map(sum, found.values())) < CHART_COUNT_LIMIT
    known_from = since if complete else min(found) + width
    starts = (since + width * index for index in range(buckets))
    rows = (Bucket(at, *(found.get(at, (0, 0, 0)) if at >= known_from else (None, None, None))) for at in starts)
    return Counts(tuple(rows), complete)
