"""What may be handed over: a contract's event at an endpoint, with all that its body and its offer depend on."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Length

from dashboard.models import Attempt, Contract, Delivery, Endpoint, Evidence, Finding, Handover, ProjectLink
from dashboard.models.endpoints import ACTIVE, leads_to_a_receiver
from dashboard.queries.verdicts import verdicts
from dashboard.rules import handovers, reconstruction
from dashboard.rules.handovers import ContractState, HandlerState
from dashboard.rules.outside_texts import is_whole
from dashboard.rules.reconciliation import Consequence, Event, Kind, Reason, Verdict
from dashboard.rules.reconstruction import ContractFields, LinkFields, Person
from dashboard.signatures import Verdict as Signature

LOGGED = 10
"""Most logged events of a contract that are read for the person who was hired."""
LISTED = 20
"""Most hand-overs that a page lists."""

_UNKNOWN = Verdict(Kind.NOT_KNOWN, Reason.NO_LOG)
_WITHOUT = ("endpoint__secret", "install__token", "endpoint__install__token")


@dataclass(frozen=True, slots=True)
class Case:
    """A contract's event at an endpoint. `links` are those for which the handler is not known to have taken it.

    `why_not_built` and `why_not_sent` are in words, and empty where nothing is in the way.
    """

    contract: Contract
    endpoint: Endpoint
    event: Event
    verdict: Verdict
    links: tuple[LinkFields, ...]
    why_not_built: str
    why_not_sent: str

    @property
    def slug(self) -> str:
        return handovers.SLUGS[self.event]

    @property
    def may_be_sent(self) -> bool:
        return not self.why_not_built and not self.why_not_sent

    def link(self, link_id: str) -> LinkFields | None:
        """Return the link with this ID; the first one without an ID; None if there is no such link."""
        return next((one for one in self.links if link_id in {"", one.id}), None)

    @property
    def fields(self) -> ContractFields:
        """What OpenTrain said of the contract, for the event's body."""
        one = self.contract
        return ContractFields(
            id=one.opentrain_id,
            status=one.status,
            job_id=one.job_id,
            title=one.title,
            start_date=one.start_date,
            end_date=one.end_date,
            created_at=one.created_at,
        )

    def built(self, *, link: LinkFields, freelancer: Person) -> reconstruction.Built:
        """Return the event for a link."""
        return reconstruction.build(
            event=self.event,
            contract=self.fields,
            link=link,
            freelancer=freelancer,
            install_id=self.contract.install.opentrain_id,
            endpoint_id=self.endpoint.opentrain_id or "",
        )


@dataclass(frozen=True, slots=True)
class Candidates:
    """The events that are missing at an endpoint and may be sent, those of the worst consequence first.

    `others` counts those that are missing and may not be sent, as far as they were looked at, and `why_not` says why if
    that is the same for all. `more` says that there are more than were looked at.
    """

    cases: tuple[Case, ...]
    others: int
    more: bool
    why_not: str = ""


def case(*, contract: Contract, endpoint: Endpoint, event: Event, now: datetime) -> Case:
    """Return the case as it is now. The install of both is the same."""
    [found] = _cases([(contract, event)], endpoint=endpoint, now=now)
    return found


def candidates(*, endpoint: Endpoint, now: datetime, most: int = handovers.AT_ONCE) -> Candidates:
    """Return what is missing at an endpoint: ended contracts first, then started ones.

    Of each, those with a consequence for people come first: only so many are looked at. Then the latest.
    """
    kinds = [Kind.MISSING, Kind.REFUSED]
    rows = Finding.objects.open().filter(endpoint=endpoint, kind__in=kinds, event_type__in=[one.value for one in Event])
    ordered = rows.annotate(is_harmless=Q(consequence=Consequence.NONE)).order_by(
        "event_type", "is_harmless", "-happened_at", "-id"
    )
    found = list(ordered.select_related("contract__install").defer("contract__install__token")[: most + 1])
    pairs = [(one.contract, Event(one.event_type)) for one in found[:most]]
    cases = _cases(pairs, endpoint=endpoint, now=now)
    ready = tuple(one for one in cases if one.may_be_sent)
    reasons = {one.why_not_sent for one in cases if not one.may_be_sent}
    why_not = reasons.pop() if len(reasons) == 1 else ""
    return Candidates(ready, others=len(cases) - len(ready), more=len(found) > most, why_not=why_not)


def logged_people(*, contract: Contract) -> tuple[Person, ...]:
    """Return who was hired, by the newest logged events of the contract that the receiver verified; empty: not logged.

    An email address is left out unless the customer consents to it today.
    """
    verified = Attempt.objects.filter(
        delivery=OuterRef("pk"), source=Attempt.Source.RECEIVER, signature=Signature.VERIFIED
    )
    rows = Delivery.objects.filter(
        Exists(verified),
        resource_id=contract.opentrain_id,
        endpoint__install=contract.install_id,
        event_type__in=[one.value for one in Event],
        body__isnull=False,
    )
    rows = rows.annotate(size=Length("body")).filter(size__lte=reconstruction.LOGGED_BYTES)
    bodies = rows.newest_first().values_list("body", flat=True)[:LOGGED]
    found = (
        reconstruction.person_in(bytes(body), contract_id=contract.opentrain_id) for body in bodies if body is not None
    )
    people = tuple(one for one in found if one is not None)
    return people if contract.install.pii_consent else tuple(replace(one, work_email=None) for one in people)


def recent(rows: QuerySet[Handover]) -> Sequence[Handover]:
    """Return the newest of these rows for a page, without bodies and secrets."""
    return list(rows.select_related("endpoint", "contract").defer("body", "response_head", *_WITHOUT)[:LISTED])


def _cases(pairs: Sequence[tuple[Contract, Event]], *, endpoint: Endpoint, now: datetime) -> list[Case]:
    """Return the case of each contract and event at the endpoint. The number of queries is the same for any number."""
    contracts = list(dict.fromkeys(contract for contract, _ in pairs))
    found_verdicts = verdicts(contracts=contracts, now=now, endpoints=[endpoint.pk])
    taken, ended = _evidence(contracts, endpoint=endpoint), _ended(contracts)
    links, state = _links(contracts), _handler_state(endpoint)
    found = []
    for contract, event in pairs:
        verdict = found_verdicts.get((contract.pk, endpoint.pk, event), _UNKNOWN)
        left = _left(links[contract.pk], verdict, taken=taken[contract.pk, event])
        if links[contract.pk] and not left:
            verdict = Verdict(Kind.TAKEN)
        contract_state = ContractState(
            status=contract.status,
            end_date=contract.end_date,
            is_gone=contract.gone_at is not None,
            has_ended_event=contract.opentrain_id in ended,
            ids_are_whole=is_whole(contract.opentrain_id),
            has_link=bool(left),
        )
        why_not_built = handovers.why_not_built(event=event, verdict=verdict, contract=contract_state, now=now)
        why_not_sent = why_not_built or handovers.why_not_sent(
            event=event, verdict=verdict, endpoint=state, contract=contract_state, now=now
        )
        found.append(Case(contract, endpoint, event, verdict, left, why_not_built, why_not_sent))
    return found


def _left(links: Sequence[LinkFields], verdict: Verdict, *, taken: Collection[str]) -> tuple[LinkFields, ...]:
    """Return the links for which the event is built: those that the verdict is true of, and not taken yet.

    What was taken in the wrong order is built all the same.
    """
    of_verdict = [one for one in links if not verdict.link_ids or one.id in verdict.link_ids]
    if verdict.kind is Kind.OUT_OF_ORDER:
        return tuple(of_verdict)
    return tuple(one for one in of_verdict if one.id not in taken)


def _evidence(contracts: Sequence[Contract], *, endpoint: Endpoint) -> dict[tuple[int, str], set[str]]:
    """Return the links for which the handler has taken an event of a contract."""
    rows = Evidence.objects.filter(contract__in=contracts, endpoint=endpoint, taken_at__isnull=False)
    found: dict[tuple[int, str], set[str]] = defaultdict(set)
    for contract_id, event_type, link_id in rows.filter(link_id__isnull=False).values_list(
        "contract_id", "event_type", "link_id"
    ):
        found[contract_id, event_type].add(link_id or "")
    return found


def _ended(contracts: Sequence[Contract]) -> set[str]:
    """Return the OpenTrain IDs of those whose end is in the log of any endpoint, taken or not, or was once."""
    ended, ids = Event.ENDED.value, [one.opentrain_id for one in contracts]
    evidence = Evidence.objects.filter(contract__in=contracts, event_type=ended)
    logged = Delivery.objects.filter(
        resource_id__in=ids, event_type=ended, endpoint__install__in={one.install_id for one in contracts}
    )
    return {
        *evidence.values_list("contract__opentrain_id", flat=True),
        *logged.order_by().values_list("resource_id", flat=True).distinct(),
    }


def _links(contracts: Sequence[Contract]) -> dict[int, list[LinkFields]]:
    """Return the links of each contract, by its key, the oldest first.

    A contract that lists none had those of its job. Of a link that the token may not read, only the ID is known.
    """
    ids = {name for one in contracts for name in one.link_ids}
    jobs = {one.job_id for one in contracts if not one.link_ids and one.job_id}
    rows = ProjectLink.objects.filter(install__in={one.install_id for one in contracts})
    rows = rows.filter(Q(opentrain_id__in=ids) | Q(job_id__in=jobs)).order_by("first_seen_at", "id")
    known = [one for one in rows if is_whole(one.opentrain_id)]
    found = {}
    for contract in contracts:
        of_contract = [
            _link_fields(one)
            for one in known
            if (one.opentrain_id in contract.link_ids if contract.link_ids else one.job_id == contract.job_id)
        ]
        read = {one.id for one in of_contract}
        unread = [LinkFields(name, job_id=contract.job_id) for name in contract.link_ids if name not in read]
        found[contract.pk] = of_contract + [one for one in unread if is_whole(one.id)]
    return found


def _link_fields(link: ProjectLink) -> LinkFields:
    return LinkFields(
        id=link.opentrain_id,
        job_id=link.job_id,
        external_project_id=link.external_project_id,
        external_project_name=link.external_project_name,
        external_project_url=link.external_project_url,
        provisioning_mode=link.provisioning_mode,
        created_at=link.created_at,
    )


def _handler_state(endpoint: Endpoint) -> HandlerState:
    url = endpoint.handles
    goes_nowhere = endpoint.is_received and not endpoint.handler_url
    return HandlerState(
        is_deleted=endpoint.deleted_at is not None or endpoint.opentrain_id is None,
        is_active=endpoint.status == ACTIVE,
        event_types=frozenset(endpoint.event_types),
        has_secret=Endpoint.objects.filter(pk=endpoint.pk, secret__isnull=False).exists(),
        has_url=bool(url) and is_whole(url) and not goes_nowhere,
        leads_back=leads_to_a_receiver(url=url),
        hands_over=endpoint.hands_over,
        is_disconnected=endpoint.install.is_disconnected,
    )
