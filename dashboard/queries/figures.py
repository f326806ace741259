"""The figures of the last 24 hours, of many endpoints or installs in one query.

It reads at most LOOKED_AT deliveries altogether, the newest of each endpoint, so the cost does not grow with the log.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import F, OuterRef, Subquery

from dashboard.models import Delivery, Endpoint
from dashboard.models.endpoints import EndpointQuerySet
from dashboard.queries.attempt_counts import TRIED
from dashboard.queries.install_endpoints import LAST_ATTEMPT, InstallEndpoint
from dashboard.rules.figures import PARTS, TIMED, WINDOW, Figures, Tried, known, window
from dashboard.rules.receiver_urls import leads_to, log_began

LOOKED_AT = 20_000
"""Most deliveries to look at, of all endpoints together."""
LEAST = 20
"""Fewest deliveries of an endpoint to look at, however many endpoints there are."""
SORTED = 500
"""Most endpoints to sort by their last attempts."""
NEWEST = 1000
"""Newest deliveries to look at if there are more endpoints than that."""
_TIMED = [cause.value for cause in TIMED]

# One row for each key and hour, one with the times of each key, and one with its last attempt of all. Installs are
# shown without times, which cost as much as all the rest.
_HOURS = """
    SELECT key, date_bin(%(width)s, at, %(since)s) AS hour, count(*) FILTER (WHERE ok), count(*) FILTER (WHERE NOT ok),
        NULL::integer[], min(at), max(known_from), NULL::boolean
    FROM tried GROUP BY key, hour
"""
_TIMES = """
    SELECT key, NULL, NULL, NULL, percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY latency_ms), NULL, NULL, NULL
    FROM tried WHERE cause = ANY(%(timed)s) GROUP BY key
"""
_LAST = f"""
    SELECT asked.key, NULL, NULL, NULL, NULL, last.at, NULL, last.ok
    FROM unnest(%(keys)s::bigint[], %(endpoints)s::bigint[]) AS asked (key, endpoint)
    CROSS JOIN LATERAL ({LAST_ATTEMPT.format(endpoint="asked.endpoint")}) AS last
"""  # noqa: S608 - the same
_SQL = f"WITH {TRIED} {_HOURS} UNION ALL {_TIMES} UNION ALL {_LAST}"
_SQL_OF_HOURS = f"WITH {TRIED} {_HOURS}"


class _Log(NamedTuple):
    """An endpoint that has a log, and since when it is whole, as far as is known."""

    pk: int
    since: datetime | None


@dataclass(slots=True)
class _Found:
    """What the database says of one key: its hours, the first attempt, and from when on all are counted."""

    hours: dict[datetime, Tried] = field(default_factory=dict)
    times: Sequence[int | None] = (None, None)
    first_at: datetime | None = None
    known_from: datetime | None = None
    last_at: datetime | None = None
    last_ok: bool = False

    def add_last(self, at: datetime | None, ok: bool | None) -> None:
        """Note the last attempt of one more endpoint."""
        if at is not None and (self.last_at is None or at > self.last_at):
            self.last_at, self.last_ok = at, bool(ok)


def of_endpoints(endpoints: Sequence[Endpoint], *, now: datetime) -> dict[int, Figures]:
    """Return the figures of endpoints that have a log, by primary key; of the others there are none."""
    logs = {one.pk: [_Log(one.pk, one.logged_since)] for one in endpoints if one.is_logged}
    since, until = window(now=now)
    found: dict[int, _Found] = defaultdict(_Found)
    _count(found, [(pk, pk) for pk in logs], sql=_SQL, since=since, until=until)
    return _figures(logs, found, since=since)


def of_installs(endpoints: Iterable[InstallEndpoint], *, now: datetime) -> dict[int, Figures]:
    """Return the figures of installs, by primary key, summed up over those of these endpoints that have a log.

    They are without times.
    """
    since, until = window(now=now)
    logs: dict[int, list[_Log]] = defaultdict(list)
    found: dict[int, _Found] = defaultdict(_Found)
    tried = []
    for one in endpoints:
        is_received = one.receiver_key is not None and leads_to(url=one.url, key=one.receiver_key)
        if not (is_received or one.is_observed):
            continue
        began = log_began(
            is_received=is_received,
            routed_at=one.routed_at,
            created_at=one.created_at,
            observed_at=one.observed_at,
        )
        logs[one.install_id].append(_Log(one.pk, began))
        found[one.install_id].add_last(one.last_at, one.last_ok)
        # Most endpoints of a page were not tried for a day: with their last attempt, nothing is left to count of them.
        if one.last_at is not None and one.last_at >= since:
            tried.append((one.install_id, one.pk))
    _count(found, tried, sql=_SQL_OF_HOURS, since=since, until=until)
    return _figures(logs, found, since=since)


def lately_active(endpoints: EndpointQuerySet, *, count: int, most: int) -> list[Endpoint]:
    """Return up to `most` of these `count` registered endpoints, those whose deliveries were attempted last first.

    If there are many, only those of the newest deliveries of all are looked at: there may be fewer then.
    """
    if count <= SORTED:
        newest = Delivery.objects.filter(endpoint=OuterRef("pk")).order_by("-last_attempt_at")
        last_at = Subquery(newest.values("last_attempt_at")[:1])
        return list(endpoints.annotate(last_at=last_at).order_by(F("last_at").desc(nulls_last=True), "pk")[:most])
    newest_ids = Delivery.objects.newest_first().values_list("endpoint_id", flat=True)[:NEWEST]
    ids = list(dict.fromkeys(newest_ids))
    seen = set(endpoints.filter(pk__in=ids).values_list("pk", flat=True))
    found = endpoints.in_bulk([pk for pk in ids if pk in seen][:most])
    return [found[pk] for pk in ids if pk in found]


def _count(
    found: dict[int, _Found], pairs: Sequence[tuple[int, int]], *, sql: str, since: datetime, until: datetime
) -> None:
    """Add what the log has of these endpoints, each with the key that it counts for."""
    if not pairs:
        return
    arguments: dict[str, Any] = {
        "keys": [key for key, _pk in pairs],
        "endpoints": [pk for _key, pk in pairs],
        "since": since,
        "until": until,
        "width": WINDOW / PARTS,
        "most": max(LOOKED_AT // len(pairs), LEAST),
        "timed": _TIMED,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        rows = cursor.fetchall()
    for key, hour, taken, failed, times, at, known_from, ok in rows:
        one = found[key]
        if hour is not None:
            one.hours[hour] = Tried(taken, failed)
            one.first_at = at if one.first_at is None else min(one.first_at, at)
            one.known_from = known_from if one.known_from is None else max(one.known_from, known_from)
        elif times is not None:
            one.times = times
        else:
            one.add_last(at, ok)


def _figures(logs: Mapping[int, Sequence[_Log]], found: Mapping[int, _Found], *, since: datetime) -> dict[int, Figures]:
    starts = [since + number * (WINDOW / PARTS) for number in range(PARTS)]
    return {key: _one(of_key, found[key], starts) for key, of_key in logs.items()}


def _one(logs: Sequence[_Log], found: _Found, starts: Sequence[datetime]) -> Figures:
    since = starts[0]
    known_from = found.known_from or since
    is_cut = known_from > since
    begins = max(known_from, min(one.since or since for one in logs))
    if found.first_at is not None and not is_cut:
        begins = min(begins, found.first_at)
    p50_ms, p95_ms = found.times
    return Figures(
        taken=sum(one.taken for one in found.hours.values()),
        failed=sum(one.failed for one in found.hours.values()),
        p50_ms=p50_ms,
        p95_ms=p95_ms,
        since=begins if begins > since else None,
        is_cut=is_cut,
        last_at=found.last_at,
        last_ok=found.last_ok,
        parts=known(_by_hour(found, starts), since=since, log_since=begins),
    )


def _by_hour(found: _Found, starts: Sequence[datetime]) -> list[Tried | None]:
    return [found.hours.get(start) for start in starts] if found.hours else [None] * PARTS
