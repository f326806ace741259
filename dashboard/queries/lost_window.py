"""When OpenTrain sent an endpoint nothing, what contracts did then, and what became of these events.

The number of queries does not depend on the number of spans, up to TOGETHER. The cost grows with the contracts that
were read since a span began, up to LOOKED_AT, and with the rows of the endpoints' history in it.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.db import connection
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from dashboard.models import Contract, Endpoint, Evidence, Finding, Install, Run
from dashboard.models.endpoints import DISABLED
from dashboard.rules.endpoints import Severity
from dashboard.rules.lost_window import (
    Change,
    Found,
    Lost,
    Reads,
    Stop,
    found,
    may_have_happened,
    others_than_contracts,
)
from dashboard.rules.reconciliation import CLOCKS_APART, Consequence, ContractFacts, Event, Kind, Reason
from dashboard.rules.reconciliation_times import OLDEST
from dashboard.rules.run_endings import EndingFacts

LOOK_BACK = timedelta(days=1)
"""A run is looked at from when nothing was sent, if that was so within this time before it; else from this time on."""
TOGETHER = 50
"""Most spans of one query."""
LOOKED_AT = 2000
"""Most contracts that are looked at; if there are more, "more than" is all that is known."""

_FACTS = ("status", "created_at", "end_date", "first_seen_at", "active_seen_at", "ended_seen_at")

MOST_STOPS = 5
"""Most times of one span in which nothing was sent, the newest."""

# The history has a row for each change and one per hour, so each step backwards or forwards is short. Each step finds
# the last time before the one that the step before it has found.
_STOPS = """
    WITH RECURSIVE wanted AS (
        SELECT key, endpoint, until, (
            SELECT max(at) FROM dashboard_endpointsnapshot WHERE endpoint_id = endpoint AND at <= since
        ) AS since
        FROM unnest(%(keys)s::bigint[], %(endpoints)s::bigint[], %(since)s::timestamptz[], %(until)s::timestamptz[])
            AS wanted (key, endpoint, since, until)
    ), step AS (
        SELECT key, endpoint, since AS earliest, until AS before, 0 AS number,
            NULL::timestamptz AS since, NULL::timestamptz AS until, NULL::boolean AS is_paused,
            NULL::boolean AS is_begun_known
        FROM wanted
        UNION ALL
        SELECT step.key, step.endpoint, step.earliest, active.at, step.number + 1,
            coalesce(began.not_before, active.at, began.at), again.at, began.severity = %(paused)s,
            active.at IS NOT NULL
        FROM step
        CROSS JOIN LATERAL (
            SELECT at FROM dashboard_endpointsnapshot
            WHERE endpoint_id = step.endpoint AND status = %(disabled)s AND at <= step.before
                AND at >= coalesce(step.earliest, '-infinity')
            ORDER BY at DESC LIMIT 1
        ) AS last
        LEFT JOIN LATERAL (
            SELECT at FROM dashboard_endpointsnapshot
            WHERE endpoint_id = step.endpoint AND status <> %(disabled)s AND at < last.at ORDER BY at DESC LIMIT 1
        ) AS active ON true
        CROSS JOIN LATERAL (
            SELECT at, not_before, severity FROM dashboard_endpointsnapshot
            WHERE endpoint_id = step.endpoint AND at > coalesce(active.at, '-infinity') AND at <= last.at
            ORDER BY at LIMIT 1
        ) AS began
        LEFT JOIN LATERAL (
            SELECT at FROM dashboard_endpointsnapshot
            WHERE endpoint_id = step.endpoint AND status <> %(disabled)s AND at > last.at ORDER BY at LIMIT 1
        ) AS again ON true
        WHERE step.number < %(most)s AND step.before IS NOT NULL
    )
    SELECT step.key, EXISTS (
            SELECT FROM dashboard_endpointsnapshot WHERE endpoint_id = wanted.endpoint AND at <= wanted.until
        ), step.since, step.until, step.is_paused, step.is_begun_known
    FROM step JOIN wanted USING (key) ORDER BY step.number
"""


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time to look at, of one endpoint. `key` is the caller's."""

    key: int
    endpoint: Endpoint
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Stopped:
    """The last time in a span in which OpenTrain sent nothing, or None. `is_known`: the history has rows by then."""

    stop: Stop | None
    is_known: bool

    @property
    def is_history_known(self) -> bool:
        """Whether the history tells when nothing was sent, back to when that began."""
        return self.is_known and (self.stop is None or self.stop.is_begun_known)


def last_stops(spans: Sequence[Span]) -> dict[int, Stopped]:
    """Return, by key, the last time in each span in which OpenTrain sent nothing, from its beginning to its end."""
    return {key: Stopped(next(iter(found), None), is_known) for key, (found, is_known) in _stops(spans, most=1).items()}


def stops(spans: Sequence[Span]) -> dict[int, list[Stop]]:
    """Return, by key, the last MOST_STOPS times in each span in which OpenTrain sent nothing, newest first."""
    return {key: found for key, (found, _is_known) in _stops(spans, most=MOST_STOPS).items()}


def _stops(spans: Sequence[Span], *, most: int) -> dict[int, tuple[list[Stop], bool]]:
    """Return, by key, the stops of each span, newest first, and whether the history has rows by its end."""
    if not spans:
        return {}
    arguments: dict[str, Any] = {
        "keys": [one.key for one in spans],
        "endpoints": [one.endpoint.pk for one in spans],
        "since": [one.since for one in spans],
        "until": [one.until for one in spans],
        "disabled": DISABLED,
        "paused": Severity.PAUSED.value,
        "most": most,
    }
    with connection.cursor() as cursor:
        cursor.execute(_STOPS, arguments)
        rows = cursor.fetchall()
    found: dict[int, tuple[list[Stop], bool]] = {}
    for key, is_known, since, *columns in rows:
        of_key, _ = found.setdefault(key, ([], is_known))
        of_key.extend([Stop(since, *columns)] if since is not None else [])
    return found


def stop_of(endpoint: Endpoint, *, now: datetime) -> Stop | None:
    """Return since when OpenTrain sends a disabled or paused endpoint nothing; None for another endpoint."""
    if endpoint.status != DISABLED:
        return None
    stop = last_stops([Span(0, endpoint, now, now)])[0].stop
    if (stop is not None and stop.is_begun_known) or endpoint.disabled_at is None:
        return stop
    return Stop(endpoint.disabled_at - CLOCKS_APART, None, is_paused=endpoint.severity == Severity.PAUSED)


def stop_at(endpoint: Endpoint, *, since: datetime, until: datetime) -> Stop | None:
    """Return the time in which nothing was sent that the history shows with exactly these ends; None if none."""
    stop = last_stops([Span(0, endpoint, since, until)])[0].stop
    return stop if stop is not None and (stop.since, stop.until) == (since, until) else None


def spans_of(runs: Sequence[Run]) -> tuple[list[Span], dict[int, Stopped]]:
    """Return for each run that has ended what it is looked at for, by its primary key, and when nothing was sent."""
    asked = [Span(one.pk, one.endpoint, one.created_at - LOOK_BACK, one.ended_at) for one in runs if one.ended_at]
    stops = last_stops(asked)
    return [since_stopped(one, stops[one.key]) for one in asked], stops


def since_stopped(span: Span, stopped: Stopped) -> Span:
    """Return the span from when nothing was sent, if that was so in it; else as it is."""
    return span if stopped.stop is None else replace(span, since=stopped.stop.since)


def ending_facts(spans: Sequence[Span], stops: Mapping[int, Stopped]) -> dict[int, EndingFacts]:
    """Return, by key, what decides whether events are missing: of spans, and of when nothing was sent in each."""
    reads = reads_of({one.endpoint.install_id for one in spans})
    found: dict[int, Found] = {}
    for first in range(0, len(spans), TOGETHER):
        found |= found_in(spans[first : first + TOGETHER])
    return {
        one.key: EndingFacts(
            since=one.since,
            until=one.until,
            found=found[one.key],
            reads=reads[one.endpoint.install_id],
            is_subscribed=subscribes(one.endpoint),
            is_history_known=stops[one.key].is_history_known,
            has_others=stops[one.key].stop is not None and others_than_contracts(one.endpoint.event_types),
        )
        for one in spans
    }


def subscribes(endpoint: Endpoint) -> bool:
    """Return whether the endpoint subscribes to an event that follows from contracts."""
    return bool({event.value for event in Event}.intersection(endpoint.event_types))


def contracts_of(lost: Lost, *, install_id: int, now: datetime) -> frozenset[int]:
    """Return the install's contracts that lack an event, or of which one may still come; none of other installs."""
    if lost.run is not None:
        runs = Run.objects.filter(pk=lost.run, endpoint__install=install_id).select_related("endpoint")
        spans, _stops = spans_of(list(runs.defer("endpoint__secret")))
    else:
        endpoint = Endpoint.objects.filter(pk=lost.endpoint or 0, install=install_id).defer("secret").first()
        stop = stop_of(endpoint, now=now) if endpoint is not None else None
        spans = [Span(0, endpoint, stop.since, now)] if endpoint is not None and stop is not None else []
    return frozenset().union(*(one.concerned for one in found_in(spans).values()))


def found_in(spans: Sequence[Span]) -> dict[int, Found]:
    """Return, by key, what became of the events of contracts that may have happened in each span."""
    contracts, more = _changed(spans)
    changes: dict[int, list[Change]] = defaultdict(list)
    told, findings = _told(spans, contracts), _findings(spans, contracts)
    for one in spans:
        for contract in contracts.get(one.endpoint.install_id, ()):
            for event in Event:
                if may_have_happened(event, contract=_facts(contract), since=one.since, until=one.until):
                    key = (one.endpoint.pk, contract.pk, event.value)
                    finding = findings.get(key, _NONE)
                    changes[one.key].append(Change(contract.pk, event, *finding, is_told=key in told))
    return {one.key: found(changes[one.key], subscribed=one.endpoint.event_types, more=more) for one in spans}


def reads_of(installs: Collection[int]) -> dict[int, Reads]:
    """Return what is known of the reads of each install's contracts."""
    names = ("contracts_read_at", "links_read_at", "judged_at", "due_at", "error", "out_of_reach")
    columns = [f"reconciliation__{name}" for name in names]
    rows = Install.objects.filter(pk__in=installs).values_list("pk", "token_scopes", *columns)
    return {
        pk: Reads(tuple(scopes), _both(contracts_at, links_at), judged_at, due_at, error or "", out_of_reach or "")
        for pk, scopes, contracts_at, links_at, judged_at, due_at, error, out_of_reach in rows
    }


def _both(contracts_at: datetime | None, links_at: datetime | None) -> datetime | None:
    """Return when both were read: contracts tell nothing without their links."""
    return None if contracts_at is None or links_at is None else min(contracts_at, links_at)


def active_contracts(*, install_id: int) -> int:
    """Count an install's active contracts, up to LOOKED_AT + 1."""
    rows = Contract.objects.filter(install=install_id, status="active", gone_at=None)
    return rows.order_by()[: LOOKED_AT + 1].count()


def _changed(spans: Sequence[Span]) -> tuple[dict[int, list[Contract]], bool]:
    """Return, by install, the contracts that may have started or ended in a span, and whether there are too many."""
    if not spans:
        return {}, False
    conditions = [Q(install=one.endpoint.install_id) & (_started(one) | _ended(one)) for one in spans]
    rows = list(Contract.objects.filter(reduce(or_, conditions)).only(*_FACTS, "install")[: LOOKED_AT + 1])
    by_install = defaultdict(list)
    for row in rows[:LOOKED_AT]:
        by_install[row.install_id].append(row)
    return by_install, len(rows) > LOOKED_AT


def _started(span: Span) -> Q:
    """Return the condition that a contract may have started in the span. It keeps all that the rule does, and few more.

    The rule is `rules.reconciliation_times.moment`: a date that contradicts the reads does not count.
    """
    odd = Q(created_at__gt=F("first_seen_at")) | Q(created_at__gt=F("end_date"))
    return Q(first_seen_at__gte=span.since) & (_is_near("created_at", span) | odd)


def _ended(span: Span) -> Q:
    """The same, for its end."""
    odd = (
        Q(end_date__gt=Coalesce("ended_seen_at", "first_seen_at"))
        | Q(end_date__lt=F("active_seen_at"))
        | Q(end_date__lt=F("created_at"))
    )
    is_read = Q(ended_seen_at__gte=span.since) | Q(ended_seen_at=None, first_seen_at__gte=span.since)
    is_seen = Q(active_seen_at=None) | Q(active_seen_at__lte=span.until) | Q(active_seen_at__gt=F("ended_seen_at"))
    return Q(is_read, is_seen) & (_is_near("end_date", span) | odd)


def _is_near(column: str, span: Span) -> Q:
    """Return the condition that a time of OpenTrain's may be in the span: it may be a mere date, or not be true."""
    first, last = span.since - CLOCKS_APART - timedelta(days=1), span.until + CLOCKS_APART
    said = Q(**{f"{column}__gte": first, f"{column}__lte": last})
    return said | Q(**{column: None}) | Q(**{f"{column}__lt": OLDEST})


_Key = tuple[int, int, str]


def _told(spans: Sequence[Span], contracts: dict[int, list[Contract]]) -> set[_Key]:
    """Return of which events there is evidence: a delivery, or what the handler took from Redeliver."""
    rows = Evidence.objects.filter(**_of(spans, contracts))
    return set(rows.values_list("endpoint_id", "contract_id", "event_type"))


_Finding = tuple[Kind | None, Reason, Consequence, datetime | None]
_NONE: _Finding = (None, Reason.NONE, Consequence.NONE, None)


def _findings(spans: Sequence[Span], contracts: dict[int, list[Contract]]) -> dict[_Key, _Finding]:
    rows = (
        Finding.objects.open()
        .filter(**_of(spans, contracts))
        .values_list("endpoint_id", "contract_id", "event_type", "kind", "reason", "consequence", "until")
    )
    return {
        (endpoint, contract, event): (Kind(kind), Reason(reason), Consequence(consequence), until)
        for endpoint, contract, event, kind, reason, consequence, until in rows
    }


def _of(spans: Sequence[Span], contracts: dict[int, list[Contract]]) -> dict[str, list[int]]:
    return {
        "endpoint__in": [one.endpoint.pk for one in spans],
        "contract__in": [one.pk for of_install in contracts.values() for one in of_install],
    }


def _facts(contract: Contract) -> ContractFacts:
    return ContractFacts(**{name: getattr(contract, name) for name in _FACTS})
