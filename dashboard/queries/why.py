"""What a pasted ID is of, for “Why didn't it come?”: contracts, jobs, links, projects, deliveries, events, resources.

Every look-up is one short index range, and is only through what the user may see: an ID of another install leads to
nothing, exactly as one that nobody has.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from django.db.models import Exists, Min, OuterRef, Q, Subquery

from dashboard.models import Contract, Delivery, Endpoint, Evidence, Install, ProjectLink, Reconciliation, User
from dashboard.queries import delivery_lists, event_endpoints
from dashboard.queries.delivery_lists import DeliveryCriteria, Scope
from dashboard.queries.event_endpoints import OfEvent
from dashboard.rules.pasted import spellings
from dashboard.rules.reads import Read, is_allowed

MOST_CONTRACTS = 200
"""Contracts that are judged. A job has one contract for each person who works on it."""
MOST_DELIVERIES = 20
MOST_LINKS = 50
MOST_INSTALLS = 5
"""Installs that the answer for an unknown ID names."""


class NamedBy(StrEnum):
    """Whose ID it is. The value begins a sentence."""

    CONTRACT = "Contract"
    JOB = "Job"
    LINK = "Project link"
    PROJECT = "External project"
    INSTALL = "Install"
    DELIVERY = "Delivery"
    EVENT = "Event"
    RESOURCE = "Resource"
    NOTHING = ""

    @property
    def label(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Named:
    """What has the ID. `contracts` are those of it, of its job, its link, its external project or its delivery.

    `has_more`: there are more contracts. `read_at` is when the contracts and links of each install were read last.
    """

    kind: NamedBy = NamedBy.NOTHING
    contracts: tuple[Contract, ...] = ()
    has_more: bool = False
    links: tuple[ProjectLink, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    install: Install | None = None
    read_at: Mapping[int, datetime | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.kind is not NamedBy.NOTHING

    @property
    def is_of_deliveries(self) -> bool:
        """Whether the answer is about deliveries, and not only about a contract that they are of."""
        return bool(self.deliveries) and self.kind is not NamedBy.CONTRACT


@dataclass(frozen=True, slots=True)
class LookedThrough:
    """What was looked through without finding the ID. `installs` is the number of installs, `named` the first ones.

    `oldest_read_at` and `newest_read_at` are when the contracts of the installs were read last; None if never.
    `unread` is the number of installs whose contracts were never read, `failing` of those whose last read failed,
    `cut` of those whose last read did not reach everything, and `lacking` of those whose token may not read contracts
    or links. `log_since` is when the oldest delivery in the log arrived; None without any.
    """

    installs: int
    named: tuple[Install, ...]
    oldest_read_at: datetime | None
    newest_read_at: datetime | None
    unread: int
    failing: int
    cut: int
    lacking: int
    log_since: datetime | None


def named(*, user: User, text: str, now: datetime) -> Named:
    """Return what the user may see that has this ID. It is found in other spellings too."""
    if not text:
        return Named()
    ids = spellings(text)
    links = _links(user, ids)
    contracts = _contracts(user, ids, links)
    deliveries = _deliveries(user, text, now)
    contracts = contracts or _of_resources(user, deliveries) or _of_evidence(user, ids)
    install = Install.objects.visible_to(user).defer("token").filter(opentrain_id__in=ids).first()
    installs = {one.install_id for one in contracts} | {one.install_id for one in links}
    installs |= {one.endpoint.install_id for one in deliveries}
    reads = Reconciliation.objects.filter(pk__in=installs).values_list("pk", "contracts_read_at")
    return Named(
        kind=_kind(ids, contracts, links, deliveries, install),
        contracts=contracts[:MOST_CONTRACTS],
        has_more=len(contracts) > MOST_CONTRACTS,
        links=links,
        deliveries=deliveries,
        install=install,
        read_at=dict.fromkeys(installs) | dict(reads),
    )


def event_of(found: Named, *, now: datetime) -> OfEvent | None:
    """Return what became of the event of the deliveries at each endpoint; None if they are not of one event."""
    if len({delivery.event_id for delivery in found.deliveries}) != 1:
        return None
    return event_endpoints.of_event(found.deliveries[-1], now=now)


def _kind(
    ids: Collection[str],
    contracts: Sequence[Contract],
    links: Sequence[ProjectLink],
    deliveries: Sequence[Delivery],
    install: Install | None,
) -> NamedBy:
    """Return whose ID it is. If several things have it, contracts come first: they tell most."""
    jobs = {one.job_id for one in contracts} | {one.job_id for one in links}
    of = (
        (NamedBy.CONTRACT, any(one.opentrain_id in ids for one in contracts)),
        (NamedBy.JOB, not jobs.isdisjoint(ids)),
        (NamedBy.LINK, any(one.opentrain_id in ids for one in links)),
        (NamedBy.PROJECT, any(one.external_project_id in ids for one in links)),
        (NamedBy.INSTALL, install is not None),
        (NamedBy.DELIVERY, any(one.opentrain_id in ids for one in deliveries)),
        (NamedBy.EVENT, any(one.event_id in ids for one in deliveries)),
        (NamedBy.RESOURCE, bool(deliveries)),
        (NamedBy.DELIVERY, bool(contracts)),  # whose evidence alone is left
    )
    return next((kind for kind, is_so in of if is_so), NamedBy.NOTHING)


def looked_through(*, user: User) -> LookedThrough:
    """Return what of the user's installs was looked through."""
    installs = Install.objects.visible_to(user)
    reads = Reconciliation.objects.filter(install__in=installs, contracts_read_at__isnull=False)
    ends = reads.aggregate(oldest=Min("contracts_read_at"))
    newest = reads.order_by("-contracts_read_at").values_list("contracts_read_at", flat=True).first()
    scopes = installs.values_list("token_scopes", flat=True)
    lacking = sum(not all(is_allowed(read, scopes=one) for read in (Read.CONTRACTS, Read.LINKS)) for one in scopes)
    return LookedThrough(
        installs=installs.count(),
        named=tuple(installs.defer("token").order_by("name", "pk")[:MOST_INSTALLS]),
        oldest_read_at=ends["oldest"],
        newest_read_at=newest,
        unread=installs.exclude(Exists(reads.filter(install=OuterRef("pk")))).count(),
        failing=Reconciliation.objects.filter(install__in=installs).exclude(error="").count(),
        cut=Reconciliation.objects.filter(install__in=installs).exclude(out_of_reach="").count(),
        lacking=lacking,
        log_since=_log_since(user),
    )


def _links(user: User, ids: Collection[str]) -> tuple[ProjectLink, ...]:
    rows = ProjectLink.objects.visible_to(user).select_related("install").defer("install__token")
    return tuple(
        rows.filter(Q(opentrain_id__in=ids) | Q(external_project_id__in=ids) | Q(job_id__in=ids)).order_by(
            "created_at", "pk"
        )[:MOST_LINKS]
    )


def _contracts(user: User, ids: Collection[str], links: tuple[ProjectLink, ...]) -> tuple[Contract, ...]:
    wanted = Q(opentrain_id__in=ids) | Q(job_id__in=ids)
    for link in links:
        if link.job_id:
            wanted |= Q(install=link.install_id, job_id=link.job_id)
        else:
            wanted |= Q(install=link.install_id, link_ids__contains=[link.opentrain_id])
    rows = Contract.objects.visible_to(user).select_related("install").defer("install__token")
    return tuple(rows.filter(wanted).order_by("-first_seen_at", "-pk")[: MOST_CONTRACTS + 1])


def _deliveries(user: User, text: str, now: datetime) -> tuple[Delivery, ...]:
    """Return the deliveries with this ID, else those of this event, else those of this resource: newest first."""
    for criteria in (
        DeliveryCriteria(delivery_id=text),
        DeliveryCriteria(event_id=text),
        DeliveryCriteria(resource_id=text),
    ):
        rows = delivery_lists.page(scope=Scope.of(user), criteria=criteria, now=now, limit=MOST_DELIVERIES)
        rows = rows.select_related("endpoint__install").defer("body", "endpoint__secret", "endpoint__install__token")
        if found := tuple(rows):
            return found
    return ()


def _of_resources(user: User, deliveries: tuple[Delivery, ...]) -> tuple[Contract, ...]:
    """Return the contracts that the deliveries are of."""
    wanted = Q()
    for delivery in deliveries:
        if delivery.resource_id:
            wanted |= Q(install=delivery.endpoint.install_id, opentrain_id=delivery.resource_id)
    if not wanted:
        return ()
    rows = Contract.objects.visible_to(user).select_related("install").defer("install__token")
    return tuple(rows.filter(wanted).order_by("-first_seen_at", "-pk"))


def _of_evidence(user: User, ids: Collection[str]) -> tuple[Contract, ...]:
    """Return the contracts of a delivery or an event that the log has no longer."""
    found = Evidence.objects.filter(Q(opentrain_id__in=ids) | Q(event_id__in=ids)).values("contract")
    rows = Contract.objects.visible_to(user).select_related("install").defer("install__token")
    return tuple(rows.filter(pk__in=found).order_by("-first_seen_at", "-pk")[: MOST_CONTRACTS + 1])


def _log_since(user: User) -> datetime | None:
    """Return when the oldest delivery in the log of the user's endpoints arrived."""
    if user.sees_every_install:
        oldest = Delivery.objects.order_by("first_received_at", "id").values_list("first_received_at", flat=True)
        return oldest.first()
    of_one = Delivery.objects.filter(endpoint=OuterRef("pk")).order_by("first_received_at", "id")
    rows = Endpoint.objects.visible_to(user).annotate(since=Subquery(of_one.values("first_received_at")[:1]))
    since: datetime | None = rows.order_by().aggregate(oldest=Min("since"))["oldest"]
    return since
