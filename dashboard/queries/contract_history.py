"""What explains that an event is missing: an endpoint's and an install's state at a time, and when no receiver ran.

The number of queries does not depend on the number of endpoints. Rows of an endpoint's history that only repeat its
state are left out: there is one per hour.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection

from dashboard.models import InstallSnapshot, RefusedAttempt
from dashboard.models.endpoints import ACTIVE
from dashboard.rules.endpoints import Severity
from dashboard.rules.reconciliation import Event, Interval, Period

PRESENCE_LAG = timedelta(seconds=10)
"""How long a receiver may have run after it last said that it does. It says so every 5 s."""

_PERIODS = """
    SELECT endpoint_id, at, not_before, status, is_paused, event_types, is_received FROM (
        SELECT *, ROW(status, is_paused, event_types, is_received) IS DISTINCT FROM lag(
            ROW(status, is_paused, event_types, is_received)
        ) OVER (PARTITION BY endpoint_id ORDER BY at, id) AS is_changed
        FROM (
            SELECT row.*, severity = %(paused)s AS is_paused
            FROM unnest(%(ids)s::bigint[], %(since)s::timestamptz[]) AS wanted (id, since)
            CROSS JOIN LATERAL (
                (SELECT * FROM dashboard_endpointsnapshot
                 WHERE endpoint_id = wanted.id AND at <= wanted.since ORDER BY at DESC, id DESC LIMIT 1)
                UNION ALL
                SELECT * FROM dashboard_endpointsnapshot WHERE endpoint_id = wanted.id AND at > wanted.since
            ) AS row
        ) AS looked_at
    ) AS compared WHERE is_changed ORDER BY endpoint_id, at, id
"""
_PRESENCE = """
    (SELECT began_at, last_at FROM dashboard_receiverpresence
     WHERE last_at <= %(since)s ORDER BY last_at DESC LIMIT 1)
    UNION ALL
    SELECT began_at, last_at FROM dashboard_receiverpresence WHERE last_at > %(since)s
    ORDER BY began_at
"""


@dataclass(frozen=True, slots=True)
class History:
    """What is known: by endpoint, by install, and of all receivers. What is not known is left out."""

    periods: Mapping[int, tuple[Period, ...]] = field(default_factory=dict)
    refused_at: Mapping[int, tuple[tuple[Event, datetime], ...]] = field(default_factory=dict)
    not_active: Mapping[int, tuple[Interval, ...]] = field(default_factory=dict)
    receiver_away: tuple[Interval, ...] = ()


def history(*, since: Mapping[int, datetime], installs: Collection[int]) -> History:
    """Return the history of installs, and of endpoints, each since a time."""
    if not since:
        return History()
    earliest = min(since.values())
    return History(
        periods=periods(since),
        refused_at=_refused_at(since.keys(), since=earliest),
        not_active=_not_active(installs),
        receiver_away=_receiver_away(since=earliest),
    )


def periods(since: Mapping[int, datetime]) -> dict[int, tuple[Period, ...]]:
    """Return the history of endpoints, each from its state at a time on, in one query."""
    if not since:
        return {}
    found = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_PERIODS, {"ids": list(since), "since": list(since.values()), "paused": Severity.PAUSED.value})
        for endpoint_id, at, not_before, status, is_paused, event_types, is_received in cursor.fetchall():
            types = None if event_types is None else frozenset(event_types)
            found[endpoint_id].append(Period(at, not_before, status == ACTIVE, is_paused, types, is_received))
    return {pk: tuple(of_one) for pk, of_one in found.items()}


def _refused_at(endpoints: Collection[int], *, since: datetime) -> dict[int, tuple[tuple[Event, datetime], ...]]:
    """Return the times of refused requests that claimed to be of an event. At most 200 of an endpoint are kept."""
    found = defaultdict(list)
    refused = RefusedAttempt.objects.filter(
        endpoint__in=endpoints, received_at__gte=since, claimed_event_type__in=[event.value for event in Event]
    )
    rows = refused.order_by("received_at", "pk").values_list("endpoint_id", "claimed_event_type", "received_at")
    for endpoint_id, event_type, at in rows:
        found[endpoint_id].append((Event(event_type), at))
    return {pk: tuple(times) for pk, times in found.items()}


def _not_active(installs: Collection[int]) -> dict[int, tuple[Interval, ...]]:
    """Return the times in which OpenTrain said another status, each until it was last seen so."""
    rows: dict[int, list[InstallSnapshot]] = defaultdict(list)
    for row in InstallSnapshot.objects.filter(install__in=installs).order_by("at", "pk"):
        rows[row.install_id].append(row)
    found: dict[int, tuple[Interval, ...]] = {}
    for pk, history_of_one in rows.items():
        pairs = zip(history_of_one, [*history_of_one[1:], None], strict=True)
        found[pk] = tuple(
            Interval(row.at, _ended(row, then), row.not_before) for row, then in pairs if row.status != ACTIVE
        )
    return found


def _ended(row: InstallSnapshot, then: InstallSnapshot | None) -> datetime | None:
    if then is None:
        return None
    return then.at if then.status != ACTIVE else max(row.at, then.not_before or row.at)


def _receiver_away(*, since: datetime) -> tuple[Interval, ...]:
    """Return the times between processes of receivers. Before the first one, and after the last, it is not known."""
    with connection.cursor() as cursor:
        cursor.execute(_PRESENCE, {"since": since})
        rows = cursor.fetchall()
    found, heard = [], None
    for began_at, last_at in rows:
        if heard is not None and heard + PRESENCE_LAG < began_at:
            found.append(Interval(heard + PRESENCE_LAG, began_at))
        heard = last_at if heard is None else max(heard, last_at)
    return tuple(found)
