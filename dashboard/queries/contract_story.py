"""What is known of one contract: the facts that its page and the answer to “Why didn't it come?” are made of.

The number of queries does not depend on the number of rows, and each kind of row is bounded.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Q

from dashboard.models import (
    Attempt,
    Contract,
    ContractChange,
    Delivery,
    Endpoint,
    Evidence,
    Finding,
    Handover,
    ProjectLink,
    RefusedAttempt,
)
from dashboard.queries.contract_history import History, history
from dashboard.queries.verdicts import verdicts as verdicts_of
from dashboard.rules.reconciliation import CLOCKS_APART, Consequence, Event, Kind, Verdict

MOST_LINKS = 50
MOST_DELIVERIES = 50
MOST_ATTEMPTS = 200
MOST_EVIDENCE = 100
MOST_REFUSED = 20
MOST_HANDOVERS = 20
MOST_CHANGES = 50
BEFORE = timedelta(hours=1)
"""How long before an event the history of an endpoint is read."""

Of = tuple[int, Event]
"""An endpoint's key and an event."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a contract's events, and what that means for people, as far as there is an open finding."""

    verdicts: Mapping[Of, Verdict] = field(default_factory=dict)
    consequences: Mapping[Of, Consequence] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Story:
    """What is known of a contract. `endpoints` are those of its install that have verdicts. `history` is of those that
    did not take an event, from before that.
    """

    contract: Contract
    judged: Judged
    endpoints: Mapping[int, Endpoint]
    history: History
    links: tuple[ProjectLink, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    attempts: Mapping[int, list[Attempt]] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    refused: tuple[RefusedAttempt, ...] = ()
    handovers: tuple[Handover, ...] = ()
    changes: tuple[ContractChange, ...] = ()


def story(contract: Contract, *, now: datetime) -> Story:
    """Return what is known of a contract that the caller may show. It comes with its install."""
    found = judged([contract], now=now)[contract.pk]
    deliveries, links = _deliveries(contract), links_of([contract])
    return Story(
        contract=contract,
        judged=found,
        endpoints=endpoints_of([found]),
        history=history(since=_since(found), installs=[contract.install_id]),
        links=links,
        deliveries=deliveries,
        attempts=_attempts(deliveries),
        evidence=tuple(contract.evidence.order_by("first_received_at", "pk")[:MOST_EVIDENCE]),
        refused=_refused(found, now=now),
        handovers=tuple(
            contract.handovers.order_by("-asked_at", "-pk").defer("body", "response_head")[:MOST_HANDOVERS]
        ),
        changes=_changes(contract, links),
    )


def judged(contracts: Sequence[Contract], *, now: datetime) -> dict[int, Judged]:
    """Return what became of the events of contracts, by the contract's key."""
    verdicts: dict[int, dict[Of, Verdict]] = {one.pk: {} for one in contracts}
    for (contract, endpoint, event), verdict in verdicts_of(contracts=contracts, now=now).items():
        verdicts[contract][endpoint, event] = verdict
    consequences: dict[int, dict[Of, Consequence]] = {one.pk: {} for one in contracts}
    rows = Finding.objects.open().filter(contract__in=verdicts, event_type__in=list(Event))
    for row in rows.exclude(consequence=Consequence.NONE):
        consequences[row.contract_id][row.endpoint_id, Event(row.event_type)] = Consequence(row.consequence)
    return {pk: Judged(verdicts[pk], consequences[pk]) for pk in verdicts}


def endpoints_of(found: Iterable[Judged]) -> dict[int, Endpoint]:
    """Return the endpoints that have verdicts, by their key, with their installs and without secrets."""
    keys = {pk for one in found for pk, _ in one.verdicts}
    rows = Endpoint.objects.filter(pk__in=keys).select_related("install").defer("secret", "install__token")
    return {row.pk: row for row in rows}


def links_of(contracts: Iterable[Contract]) -> tuple[ProjectLink, ...]:
    """Return the links of the contracts' jobs, and those that OpenTrain names with the contracts, also gone ones."""
    wanted = Q()
    for contract in contracts:
        named = Q(opentrain_id__in=contract.link_ids)
        if contract.job_id:
            named |= Q(job_id=contract.job_id)
        wanted |= Q(install=contract.install_id) & named
    return tuple(ProjectLink.objects.filter(wanted).order_by("created_at", "pk")[:MOST_LINKS]) if wanted else ()


def _changes(contract: Contract, links: Sequence[ProjectLink]) -> tuple[ContractChange, ...]:
    rows = ContractChange.objects.filter(Q(contract=contract) | Q(link__in=links)).select_related("link")
    return tuple(rows.order_by("-seen_at", "-pk")[:MOST_CHANGES])


def _deliveries(contract: Contract) -> tuple[Delivery, ...]:
    rows = Delivery.objects.filter(resource_id=contract.opentrain_id, endpoint__install=contract.install_id)
    return tuple(rows.newest_first().defer("body")[:MOST_DELIVERIES])


def _attempts(deliveries: Iterable[Delivery]) -> dict[int, list[Attempt]]:
    """Return the newest attempts of the deliveries, oldest first, by the key of the delivery."""
    rows = Attempt.objects.filter(delivery__in=[one.pk for one in deliveries]).order_by("-received_at", "-pk")
    rows = rows.only(
        "delivery_id", "number", "received_at", "ok", "cause", "handler_status", "answered_status", "source"
    )
    found: dict[int, list[Attempt]] = {}
    for row in reversed(list(rows[:MOST_ATTEMPTS])):
        found.setdefault(row.delivery_id, []).append(row)
    return found


def _refused(found: Judged, *, now: datetime) -> tuple[RefusedAttempt, ...]:
    """Return refused requests that may have been events that were refused, as far as their verdicts say."""
    may_be = Q()
    for (endpoint, event), verdict in found.verdicts.items():
        if verdict.kind is Kind.REFUSED and verdict.happened_at is not None:
            since, until = verdict.happened_at - CLOCKS_APART, verdict.until or now
            may_be |= Q(endpoint=endpoint, received_at__range=(since, until), claimed_event_type=event)
    if not may_be:
        return ()
    rows = RefusedAttempt.objects.filter(may_be).defer("request_headers")
    return tuple(rows.order_by("received_at", "pk")[:MOST_REFUSED])


def _since(found: Judged) -> dict[int, datetime]:
    """Return since when the history of each endpoint matters that did not take an event."""
    earliest: dict[int, datetime] = {}
    for (endpoint, _), verdict in found.verdicts.items():
        if verdict.kind not in {Kind.TAKEN, Kind.NOT_DUE} and verdict.happened_at is not None:
            since = verdict.happened_at - BEFORE
            earliest[endpoint] = min(earliest.get(endpoint, since), since)
    return earliest
