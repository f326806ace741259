"""What the other endpoints of an install received in a time in which OpenTrain sent one of them nothing.

Their log is all that tells of events that are no contract's. The number of queries does not depend on the number of
windows. Of each window, at most SIBLINGS endpoints are looked at, and COUNTED deliveries of each.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from dashboard.models import Endpoint
from dashboard.rules.may_be_missing import Count, Received, Siblings
from dashboard.rules.receiver_urls import HOOKS

SIBLINGS = 10
"""Most other endpoints of an install that are looked at, the newest first."""
COUNTED = 500
"""Most deliveries that are counted of each, newest first; beyond that, only "at least" is known."""

# Without an endpoint, a row is of all of them together: an event that several received counts once.
_SQL = """
    SELECT wanted.key, counted.endpoint_id, counted.event_type, count(DISTINCT counted.event_id),
        count(DISTINCT counted.event_id) FILTER (WHERE NOT counted.is_here), bool_or(counted.more)
    FROM unnest(%(keys)s::bigint[], %(endpoints)s::bigint[], %(since)s::timestamptz[], %(until)s::timestamptz[])
        AS wanted (key, endpoint, since, until)
    JOIN dashboard_endpoint AS own ON own.id = wanted.endpoint
    CROSS JOIN LATERAL (
        SELECT id FROM dashboard_endpoint WHERE install_id = own.install_id AND id <> own.id
            AND (deleted_at IS NULL OR deleted_at >= wanted.since)
        ORDER BY id DESC LIMIT %(siblings)s
    ) AS sibling
    CROSS JOIN LATERAL (
        SELECT endpoint_id, event_type, event_id, count(*) OVER () > %(counted)s AS more, EXISTS (
            SELECT FROM dashboard_delivery AS mine
            WHERE mine.event_id = newest.event_id AND mine.event_id <> '' AND mine.endpoint_id = own.id
        ) AS is_here
        FROM (
            SELECT endpoint_id, event_type, event_id FROM dashboard_delivery
            WHERE endpoint_id = sibling.id AND first_received_at >= wanted.since AND first_received_at < wanted.until
                AND event_type = ANY(own.event_types)
            ORDER BY first_received_at DESC, id DESC LIMIT %(counted)s + 1
        ) AS newest
    ) AS counted
    GROUP BY GROUPING SETS ((wanted.key, counted.endpoint_id, counted.event_type), (wanted.key, counted.event_type))
    ORDER BY wanted.key, counted.endpoint_id NULLS FIRST, 4 DESC, counted.event_type
"""
# `stopped_seen_at` only tells that an endpoint was stopped in the window or after it.
_OTHERS = """
    SELECT wanted.key, count(*) FILTER (WHERE other.deleted_at IS NULL AND other.opentrain_id IS NOT NULL),
        greatest(
            count(*) FILTER (WHERE other.deleted_at IS NULL OR other.deleted_at >= wanted.since) - %(siblings)s, 0
        ),
        count(*) FILTER (
            WHERE (other.deleted_at IS NULL OR other.deleted_at >= wanted.since)
                AND other.stopped_seen_at >= wanted.since
        ),
        count(*) FILTER (
            WHERE (other.deleted_at IS NULL OR other.deleted_at >= wanted.since)
                AND other.opentrain_id IS NOT NULL AND other.observation_key_sha256 IS NULL
                AND coalesce(strpos(other.url, %(hooks)s || other.receiver_key), 0) = 0
                AND NOT EXISTS (
                    SELECT FROM dashboard_delivery WHERE endpoint_id = other.id
                        AND first_received_at >= wanted.since AND first_received_at < wanted.until
                )
        )
    FROM unnest(%(keys)s::bigint[], %(endpoints)s::bigint[], %(since)s::timestamptz[], %(until)s::timestamptz[])
        AS wanted (key, endpoint, since, until)
    JOIN dashboard_endpoint AS own ON own.id = wanted.endpoint
    JOIN dashboard_endpoint AS other ON other.install_id = own.install_id AND other.id <> own.id
    GROUP BY wanted.key
"""

_NUMBERS = ("endpoints", "left", "stopped", "unlogged")


@dataclass(frozen=True, slots=True)
class Window:
    """A time to look at, of the endpoint that was sent nothing in it. `key` is the caller's."""

    key: int
    endpoint: Endpoint
    since: datetime
    until: datetime


def siblings_of(windows: Sequence[Window]) -> dict[int, Siblings]:
    """Return, by key, what the install's other endpoints received of an endpoint's event types."""
    if not windows:
        return {}
    arguments: dict[str, Any] = {
        "keys": [one.key for one in windows],
        "endpoints": [one.endpoint.pk for one in windows],
        "since": [one.since for one in windows],
        "until": [one.until for one in windows],
        "siblings": SIBLINGS,
        "counted": COUNTED,
        "hooks": HOOKS,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SQL, arguments)
        rows = cursor.fetchall()
        cursor.execute(_OTHERS, arguments)
        others = {key: dict(zip(_NUMBERS, numbers, strict=True)) for key, *numbers in cursor.fetchall()}
    found: dict[int, dict[int | None, list[Count]]] = defaultdict(lambda: defaultdict(list))
    for key, endpoint, event_type, events, absent, more in rows:
        found[key][endpoint].append(Count(event_type, events, absent, more))
    return {
        one.key: Siblings(
            **others.get(one.key, {}),
            together=tuple(found[one.key].get(None, ())),
            received=tuple(
                Received(endpoint, tuple(counts)) for endpoint, counts in found[one.key].items() if endpoint is not None
            ),
        )
        for one in windows
    }
