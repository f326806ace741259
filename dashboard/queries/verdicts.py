"""What became of contracts' events at endpoints: `rules.reconciliation`, with its facts from the database.

The number of queries does not depend on the number of contracts. History is read only for what no evidence tells.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Q

from dashboard.config.schedule import schedule
from dashboard.models import Contract, Endpoint, Evidence, Finding, ProjectLink, Reconciliation
from dashboard.queries import receivers
from dashboard.queries.contract_history import History, history
from dashboard.rules.deliveries import Standing
from dashboard.rules.outside_texts import LATEST
from dashboard.rules.reach import ACTIVE
from dashboard.rules.reconciliation import (
    CLOCKS_APART,
    Consequence,
    ContractFacts,
    EndpointFacts,
    Event,
    Kind,
    LinkFacts,
    Period,
    Reason,
    Seen,
    Verdict,
    World,
    consequence,
    keep,
    verdict,
)
from dashboard.rules.reconstruction import is_reconstructed

Key = tuple[int, int, Event]
"""A contract's primary key, an endpoint's, and the event."""

_UNKNOWN = History()
_TAKEN = {Kind.TAKEN, Kind.TAKEN_IN_PART}


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, and what it means for people. `is_deleted` says so of the endpoint."""

    key: Key
    verdict: Verdict
    consequence: Consequence
    is_deleted: bool


def verdicts(
    *, contracts: Sequence[Contract], now: datetime, endpoints: Collection[int] | None = None
) -> dict[Key, Verdict]:
    """Return what became of each event of the contracts at each endpoint of their installs, or at these endpoints.

    Of deleted endpoints, there are only those that evidence is of. Each verdict is as of when its install was judged
    last (actions/reconciliation/judge.py): what has come into the log since then has not been looked at, so the time
    that has passed proves nothing.
    """
    as_of, behind = _as_of(contracts, now=now), is_log_behind(now=now)
    found = judge_all(contracts=contracts, as_of=as_of, is_log_behind=behind, is_log_read=False, endpoints=endpoints)
    return {one.key: one.verdict for one in found}


def judge_all(
    *,
    contracts: Sequence[Contract],
    as_of: Mapping[int, datetime],
    is_log_behind: bool,
    is_log_read: bool,
    endpoints: Collection[int] | None = None,
) -> Iterator[Judged]:
    """Yield the same with the consequences. `as_of` has the time for each install's primary key.

    Consequences are known only with all endpoints: one may be another's successor.
    `is_log_read`: the evidence has what is in the log by then. If not, what waited for the log still does.
    """
    if not contracts:
        return
    pairs, before = _pairs(contracts, endpoints), _before(contracts, endpoints)
    known = history(since=_since(pairs), installs={one.install_id for one in contracts})
    found: dict[int, list[tuple[_Pair, dict[Event, Verdict]]]] = defaultdict(list)
    for pair in pairs:
        of_pair, world = {}, pair.world(_UNKNOWN if pair.is_told else known, is_log_behind=is_log_behind)
        for event in Event:
            stored = before.get((pair.contract.pk, pair.endpoint.pk, event))
            waits = stored is not None and stored.reason is Reason.NOT_IN_LOG_YET and not is_log_read
            facts = replace(world, is_log_behind=True) if waits else world
            one = keep(stored, verdict(event=event, world=facts, now=as_of[pair.contract.install_id]))
            of_pair[event] = replace(one, handed_over=True) if (event, one.at) in pair.seen.handed_over else one
        found[pair.contract.pk].append((pair, of_pair))
    for of_contract in found.values():
        yield from _with_consequences(of_contract)


def _as_of(contracts: Sequence[Contract], *, now: datetime) -> dict[int, datetime]:
    """Return when each install was judged last. One that never was is judged as of when its contracts were read."""
    found: dict[int, datetime] = {}
    for contract in contracts:
        found[contract.install_id] = min(found.get(contract.install_id, now), contract.first_seen_at)
    judged = Reconciliation.objects.filter(pk__in=found, judged_at__isnull=False)
    return found | {pk: min(now, at) for pk, at in judged.values_list("pk", "judged_at") if at is not None}


def is_log_behind(*, now: datetime) -> bool:
    """Return whether receivers hold attempts that are not in the log yet, or may hold some."""
    return bool(receivers.lagging(now=now))


@dataclass(frozen=True, slots=True)
class _Seen:
    """The evidence of a contract at an endpoint. `handed_over` is what the handler took from Redeliver, and when."""

    all: list[Seen]
    handed_over: list[tuple[Event, datetime | None]]


_NONE_SEEN = _Seen([], [])


@dataclass(frozen=True, slots=True)
class _Pair:
    """A contract and an endpoint, with what the evidence has.

    `is_told` says that the evidence alone tells what became of both events, so that no history is needed.
    """

    contract: Contract
    facts: ContractFacts
    links: tuple[LinkFacts, ...]
    endpoint: Endpoint
    seen: _Seen
    is_told: bool

    @property
    def began(self) -> datetime:
        """The earliest time that an event without evidence can have happened at, if that is known."""
        one, told = self.facts, {one.event for one in self.seen.all}
        if Event.STARTED in told and one.active_seen_at and one.ended_seen_at:
            return min(one.active_seen_at, one.ended_seen_at)
        return min(one.created_at or one.first_seen_at, one.first_seen_at)

    def world(self, known: History, *, is_log_behind: bool) -> World:
        periods = known.periods.get(self.endpoint.pk, ())
        return World(
            contract=self.facts,
            links=self.links,
            endpoint=endpoint_facts(self.endpoint, periods),
            seen=tuple(self.seen.all),
            not_active=known.not_active.get(self.contract.install_id, ()),
            receiver_away=known.receiver_away,
            refused_at=known.refused_at.get(self.endpoint.pk, ()),
            schedule=schedule(),
            is_log_behind=is_log_behind,
        )


def _pairs(contracts: Sequence[Contract], only: Collection[int] | None) -> list[_Pair]:
    """Return contracts with the endpoints of their installs, and with deleted ones where there is evidence."""
    installs = {one.install_id for one in contracts}
    links, seen = _links(installs), _seen(contracts, only)
    endpoints = defaultdict(list)
    rows = Endpoint.objects.filter(_among(only, column="pk"), install__in=installs, opentrain_id__isnull=False)
    for endpoint in rows.defer("secret"):
        endpoints[endpoint.install_id].append(endpoint)
    found = []
    for contract in contracts:
        facts, of_job = _facts(contract), _links_of(contract, links)
        for endpoint in endpoints[contract.install_id]:
            of_pair = seen.get((contract.pk, endpoint.pk), _NONE_SEEN)
            if of_pair.all or endpoint.deleted_at is None:
                found.append(_Pair(contract, facts, of_job, endpoint, of_pair, _is_told(facts, of_job, of_pair.all)))
    return found


def _is_told(contract: ContractFacts, links: Sequence[LinkFacts], seen: Sequence[Seen]) -> bool:
    told = {one.event for one in seen}
    named = {one.id for one in links}.union(one.link_id for one in seen if one.link_id is not None)
    is_active = contract.status == ACTIVE and contract.ended_seen_at is None
    return Event.STARTED in told and (is_active or Event.ENDED in told) and len(named) <= 1


def endpoint_facts(endpoint: Endpoint, periods: tuple[Period, ...]) -> EndpointFacts:
    """Return an endpoint with its history, as far as that was read."""
    return EndpointFacts(
        created_at=endpoint.created_at,
        log_began_at=_log_began_at(endpoint, periods),
        deleted_at=endpoint.deleted_at,
        periods=periods,
        synced_at=endpoint.snapshot_at,
        is_logged_from_start=_is_logged_from_start(periods),
        auto_disabled_at=endpoint.auto_disabled_at,
    )


def _log_began_at(endpoint: Endpoint, periods: Sequence[Period]) -> datetime | None:
    """Return since when it is known which deliveries reached the receiver; None if none ever did.

    Earlier releases kept no record of an endpoint's path, so their history does not tell.
    """
    known = [one for one in periods if one.is_received is not None]
    if any(one.is_received for one in known):
        return known[0].at
    return LATEST if endpoint.is_received else None


def _is_logged_from_start(periods: Sequence[Period]) -> bool:
    """Return whether the endpoint was registered through the receiver. Only then is it in the path when first seen.

    The first row of its history has to be there still: later ones tell when the state before them was last seen.
    """
    return bool(periods) and periods[0].not_before is None and periods[0].is_received is True


def _facts(contract: Contract) -> ContractFacts:
    return ContractFacts(
        status=contract.status,
        created_at=contract.created_at,
        end_date=contract.end_date,
        first_seen_at=contract.first_seen_at,
        active_seen_at=contract.active_seen_at,
        ended_seen_at=contract.ended_seen_at,
        known_from=contract.known_from,
        gone_at=contract.gone_at,
    )


def _links(installs: Iterable[int]) -> dict[int, list[tuple[str, LinkFacts]]]:
    """Return the links of installs, each with its job."""
    found = defaultdict(list)
    for row in ProjectLink.objects.filter(install__in=installs):
        one = LinkFacts(row.opentrain_id, row.created_at, row.first_seen_at, row.last_seen_at, row.gone_at)
        found[row.install_id].append((row.job_id, one))
    return found


def _links_of(contract: Contract, links: Mapping[int, Sequence[tuple[str, LinkFacts]]]) -> tuple[LinkFacts, ...]:
    """Return the links of the contract's job, also those that only the contract names."""
    known = links.get(contract.install_id, ())
    of_job = [one for job_id, one in known if (job_id and job_id == contract.job_id) or one.id in contract.link_ids]
    named = set(contract.link_ids).difference(one.id for one in of_job)
    first, last = contract.first_seen_at, contract.last_seen_at
    return (*of_job, *(LinkFacts(link_id, None, first, last) for link_id in sorted(named)))


def _among(only: Collection[int] | None, *, column: str = "endpoint") -> Q:
    """Return the condition that the endpoint is one of these; none for None."""
    return Q() if only is None else Q(**{f"{column}__in": only})


def _seen(contracts: Sequence[Contract], only: Collection[int] | None) -> dict[tuple[int, int], _Seen]:
    found: dict[tuple[int, int], _Seen] = defaultdict(lambda: _Seen([], []))
    rows = Evidence.objects.filter(_among(only), contract__in=[one.pk for one in contracts]).values_list(
        "contract_id", "endpoint_id", "opentrain_id", "event_type", "link_id", "first_received_at", "last_attempt_at",
        "taken_at", "standing", "due_by",
    )  # fmt: skip
    for contract_id, endpoint_id, name, event_type, link_id, first, last, taken_at, standing, due_by in rows:
        one = Seen(Event(event_type), link_id or None, first, last, taken_at, Standing(standing), due_by)
        of_pair = found[contract_id, endpoint_id]
        of_pair.all.append(one)
        if is_reconstructed(name):
            of_pair.handed_over.append((one.event, taken_at))
    return found


def _before(contracts: Sequence[Contract], only: Collection[int] | None) -> dict[Key, Verdict]:
    """Return the open findings as verdicts."""
    found = {}
    for row in Finding.objects.open().filter(_among(only), contract__in=[one.pk for one in contracts]):
        kind, event = Kind(row.kind), Event(row.event_type)
        at = row.refused_at if kind is Kind.REFUSED else None
        stored = Verdict(kind, Reason(row.reason), at=at, until=row.until, happened_at=row.happened_at)
        found[row.contract_id, row.endpoint_id, event] = stored
    return found


def _since(pairs: Iterable[_Pair]) -> dict[int, datetime]:
    """Return from when on the history of each endpoint is needed."""
    found: dict[int, datetime] = {}
    for pair in pairs:
        if not pair.is_told:
            began = pair.began - CLOCKS_APART
            found[pair.endpoint.pk] = min(found.get(pair.endpoint.pk, began), began)
    return found


def _with_consequences(of_contract: Sequence[tuple[_Pair, Mapping[Event, Verdict]]]) -> Iterator[Judged]:
    """Yield the verdicts on one contract. The handler of a deleted endpoint may be another endpoint's today."""
    deleted = [found for pair, found in of_contract if pair.endpoint.deleted_at is not None]
    predecessor = any(found[Event.STARTED].kind in _TAKEN for found in deleted)
    for pair, found in of_contract:
        for event, one in found.items():
            means = consequence(
                event=event,
                contract=pair.facts,
                started=found[Event.STARTED],
                ended=found[Event.ENDED],
                predecessor_took_start=predecessor,
            )
            key = (pair.contract.pk, pair.endpoint.pk, event)
            yield Judged(key, one, means, pair.endpoint.deleted_at is not None)
