"""The figures of the last 24 hours, of many endpoints or installs in one query.

It reads at most LOOKED_AT deliveries altogether, the newest of each endpoint, so the cost does not grow with the log.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import F, OuterRef, Subquery

from dashboard.models import Delivery, Endpoint, Install
from dashboard.models.endpoints import EndpointQuerySet
from dashboard.queries.attempt_counts import TRIED
from dashboard.rules.figures import PARTS, TIMED, WINDOW, Figures, Tried, known, window

LOOKED_AT = 20_000
"""Most deliveries to look at, of all endpoints together."""
LEAST = 20
"""Fewest deliveries of an endpoint to look at, however many endpoints there are."""
TOGETHER = 25
"""Most endpoints of an install to sum up. The figures of one with more are not known: its page has those of each."""
SORTED = 500
"""Most endpoints to sort by their last attempts."""
NEWEST = 1000
"""Newest deliveries to look at if there are more endpoints than that."""

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
_LAST = """
    (SELECT DISTINCT ON (asked.key) asked.key, NULL, NULL, NULL, NULL, last.at, NULL, last.ok
    FROM unnest(%(keys)s::bigint[], %(endpoints)s::bigint[]) AS asked (key, endpoint)
    CROSS JOIN LATERAL (
        SELECT last_attempt_at AS at, last_ok AS ok FROM dashboard_delivery
        WHERE endpoint_id = asked.endpoint ORDER BY last_attempt_at DESC LIMIT 1
    ) AS last ORDER BY asked.key, last.at DESC)
"""
_SQL = f"WITH {TRIED} {_HOURS} UNION ALL {_TIMES} UNION ALL {_LAST}"
_SQL_WITHOUT_TIMES = f"WITH {TRIED} {_HOURS} UNION ALL {_LAST}"


@dataclass(slots=True)
class _Found:
    """What the database says of one key: its hours, the first attempt, and from when on all are counted."""

    hours: dict[datetime, Tried] = field(default_factory=dict)
    times: Sequence[int | None] = (None, None)
    first_at: datetime | None = None
    known_from: datetime | None = None
    last_at: datetime | None = None
    last_ok: bool = False


def of_endpoints(endpoints: Sequence[Endpoint], *, now: datetime) -> dict[int, Figures]:
    """Return the figures of endpoints that have a log, by primary key; of the others there are none."""
    logged = [one for one in endpoints if one.is_logged]
    return _figures({one.pk: [one] for one in logged}, sql=_SQL, now=now)


def of_installs(installs: Iterable[Install], *, now: datetime) -> dict[int, Figures]:
    """Return the figures of installs, by primary key: of their endpoints that have a log, if there are few enough.

    They are without times.
    """
    few = [one.pk for one in installs if is_summed(one)]
    found = defaultdict(list)
    for one in Endpoint.objects.registered().filter(install__in=few).only(*_OF_LOG):
        if one.is_logged:
            found[one.install_id].append(one)
    return _figures(found, sql=_SQL_WITHOUT_TIMES, now=now)


def is_summed(install: Install) -> bool:
    """Return whether the figures of the install's endpoints are summed up."""
    return install.endpoint_count <= TOGETHER


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


_OF_LOG = ("install", "url", "receiver_key", "routed_at", "created_at", "observation_key_sha256", "observation_key_at")
"""Columns that say whether an endpoint has a log, and since when."""


def _figures(groups: Mapping[int, Sequence[Endpoint]], *, sql: str, now: datetime) -> dict[int, Figures]:
    if not groups:
        return {}
    pairs = [(key, one.pk) for key, endpoints in groups.items() for one in endpoints]
    since, until = window(now=now)
    arguments: dict[str, Any] = {
        "keys": [key for key, _pk in pairs],
        "endpoints": [pk for _key, pk in pairs],
        "since": since,
        "until": until,
        "width": WINDOW / PARTS,
        "most": max(LOOKED_AT // len(pairs), LEAST),
        "timed": [cause.value for cause in TIMED],
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        rows = cursor.fetchall()
    found: dict[int, _Found] = defaultdict(_Found)
    for key, hour, taken, failed, times, at, known_from, ok in rows:
        one = found[key]
        if hour is not None:
            one.hours[hour] = Tried(taken, failed)
            one.first_at = at if one.first_at is None else min(one.first_at, at)
            one.known_from = known_from if one.known_from is None else max(one.known_from, known_from)
        elif times is not None:
            one.times = times
        else:
            one.last_at, one.last_ok = at, ok
    return {key: _one(endpoints, found[key], since=since) for key, endpoints in groups.items()}


def _one(endpoints: Sequence[Endpoint], found: _Found, *, since: datetime) -> Figures:
    known_from = found.known_from or since
    is_cut = known_from > since
    begins = max(known_from, min(one.logged_since or since for one in endpoints))
    if found.first_at is not None and not is_cut:
        begins = min(begins, found.first_at)
    width = WINDOW / PARTS
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
        parts=known(
            [found.hours.get(since + number * width) for number in range(PARTS)], since=since, log_since=begins
        ),
    )
