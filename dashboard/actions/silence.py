"""Detection of silent endpoints: deliveries arrived regularly and have stopped. `dashboard.rules.silence` has the rule.

Only endpoints without a recent delivery are examined, one time interval after the other. Each interval takes one index
lookup, so the work grows with the number of endpoints, not with their deliveries.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from dashboard.models import Silence
from dashboard.rules.silence import FORGOTTEN_AFTER, RHYTHMS, Rhythm, is_silent

_PAUSED_FOR_LONGER = """
    SELECT endpoint.id, newest.at
    FROM dashboard_endpoint AS endpoint
    CROSS JOIN LATERAL (
        SELECT first_received_at AS at FROM dashboard_delivery
        WHERE endpoint_id = endpoint.id ORDER BY first_received_at DESC LIMIT 1
    ) AS newest
    WHERE endpoint.status = 'ACTIVE' AND endpoint.opentrain_id IS NOT NULL AND endpoint.deleted_at IS NULL
        AND newest.at < %(before)s AND newest.at > %(after)s
"""
_KEPT = """
    SELECT paused.id, count(*)
    FROM unnest(%(ids)s::bigint[], %(last)s::timestamptz[]) AS paused (id, at)
    CROSS JOIN generate_series(1, %(times)s) AS number
    WHERE EXISTS (
        SELECT FROM dashboard_delivery AS delivery
        WHERE delivery.endpoint_id = paused.id
            AND delivery.first_received_at > paused.at - number * %(stretch)s
            AND delivery.first_received_at <= paused.at - (number - 1) * %(stretch)s
    )
    GROUP BY paused.id
"""


@dataclass(frozen=True, slots=True)
class _Paused:
    endpoint_id: int
    last_at: datetime


def notice(*, now: datetime) -> int:
    """Record the endpoints that are silent at `now`, and return their number."""
    found = _silent(now=now)
    with transaction.atomic():
        Silence.objects.exclude(endpoint__in=list(found)).delete()
        rows = [
            Silence(endpoint_id=pk, last_at=paused.last_at, rhythm=rhythm.name, noticed_at=now)
            for pk, (paused, rhythm) in found.items()
        ]
        Silence.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["endpoint"],
            update_fields=["last_at", "rhythm", "noticed_at"],
        )
    return len(found)


def _silent(*, now: datetime) -> dict[int, tuple[_Paused, Rhythm]]:
    """Return the silent endpoints, each with the shortest rhythm that it kept."""
    found: dict[int, tuple[_Paused, Rhythm]] = {}
    for rhythm in RHYTHMS:
        candidates = [one for one in _paused(rhythm=rhythm, now=now) if one.endpoint_id not in found]
        kept = _kept(rhythm=rhythm, candidates=candidates)
        for one in candidates:
            if is_silent(rhythm=rhythm, kept=kept.get(one.endpoint_id, 0), last_at=one.last_at, now=now):
                found[one.endpoint_id] = one, rhythm
    return found


def _paused(*, rhythm: Rhythm, now: datetime) -> list[_Paused]:
    with connection.cursor() as cursor:
        cursor.execute(_PAUSED_FOR_LONGER, {"before": now - rhythm.silent_after, "after": now - FORGOTTEN_AFTER})
        return [_Paused(*row) for row in cursor.fetchall()]


def _kept(*, rhythm: Rhythm, candidates: list[_Paused]) -> dict[int, int]:
    """Return the number of intervals in which each endpoint had a delivery."""
    arguments: dict[str, Any] = {
        "ids": [one.endpoint_id for one in candidates],
        "last": [one.last_at for one in candidates],
        "times": rhythm.times,
        "stretch": rhythm.stretch,
    }
    with connection.cursor() as cursor:
        cursor.execute(_KEPT, arguments)
        return dict(cursor.fetchall())
