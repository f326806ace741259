"""Reading the contracts of an install: pages, newest first, and how many of them have findings.

The cost of a page grows with the contracts and open findings of one install, not with the tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import Count, Exists, OuterRef, Q, Window

from dashboard.models.contracts import CREATED, Contract, ContractQuerySet, ProjectLink
from dashboard.models.endpoints import Endpoint
from dashboard.models.findings import Evidence, Finding, FindingQuerySet
from dashboard.models.installs import Install
from dashboard.queries.delivery_criteria import Cursor
from dashboard.queries.delivery_lists import LIST_COUNT_LIMIT
from dashboard.rules.lost_window import Lost
from dashboard.rules.pasted import spellings
from dashboard.rules.reconciliation import Consequence, Event, Kind, Reason

ANY = "any"
"""The filter for contracts with any finding."""
OTHER = "other"
"""The filter for contracts whose status is neither active nor ended."""
_KNOWN_STATUSES = ("active", "ended")


@dataclass(frozen=True, slots=True)
class ContractCriteria:
    """Which contracts a list shows; "" and None mean any.

    `text` is a complete ID: of the contract, its job, a project link or an external project. `finding` is ANY or a
    value of Consequence or Kind; `event` is the event type of the finding. `endpoint` limits the findings to those of
    one endpoint; without `finding` and `event`, it limits no contracts. `lost` is a run or an endpoint: which contracts
    it leaves is in `among` (queries/lost_window.py), and none are left without that.
    """

    text: str = ""
    finding: str = ""
    event: str = ""
    endpoint: int | None = None
    status: str = ""
    lost: Lost | None = None
    among: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class FindingCounts:
    """The number of contracts with an open finding, and of those with each consequence and kind, by its value.

    And of those that are missing because the endpoint was registered after the event.
    """

    contracts: int = 0
    by_value: dict[str, int] = field(default_factory=dict)

    def of(self, value: str) -> int:
        return self.contracts if value == ANY else self.by_value.get(value, 0)


def page(*, install: Install, criteria: ContractCriteria, limit: int, cursor: Cursor | None = None) -> list[Contract]:
    """Return up to `limit` contracts next to the cursor, or the newest, newest first (models.contracts.CREATED)."""
    rows = _matching(install, criteria).annotate(listed_at=CREATED)
    if cursor is None:
        return list(rows.order_by("-listed_at", "-id")[:limit])
    at, pk = cursor.received_at, cursor.pk
    if cursor.newer:
        newer = rows.filter(Q(listed_at__gt=at) | Q(listed_at=at, pk__gt=pk), listed_at__gte=at)
        return list(newer.order_by("listed_at", "id")[:limit])[::-1]
    older = rows.filter(Q(listed_at__lt=at) | Q(listed_at=at, pk__lt=pk), listed_at__lte=at)
    return list(older.order_by("-listed_at", "-id")[:limit])


def cursor_of(contract: Contract) -> Cursor:
    """Return the cursor to the contracts after one of a page."""
    return Cursor(contract.created_at or contract.first_seen_at, contract.pk)


def count(*, install: Install, criteria: ContractCriteria) -> int:
    """Count the contracts up to LIST_COUNT_LIMIT; LIST_COUNT_LIMIT + 1 means more."""
    return _matching(install, criteria).order_by()[: LIST_COUNT_LIMIT + 1].count()


def finding_counts(*, install: Install, endpoint: int | None = None) -> FindingCounts:
    """Count the install's contracts with open findings, or those with findings of one endpoint, in one query."""
    rows = shown_findings().filter(install=install)
    if endpoint is not None:
        rows = rows.filter(endpoint=endpoint)
    values = {
        **{one.value: finding_is(one) for one in (*Consequence, *Kind) if one},
        Reason.REGISTERED_AFTER.value: Q(reason=Reason.REGISTERED_AFTER),
    }
    found = rows.aggregate(
        contracts=Count("contract", distinct=True),
        **{f"of_{value}": Count("contract", distinct=True, filter=fits) for value, fits in values.items()},
    )
    return FindingCounts(found["contracts"], {value: found[f"of_{value}"] for value in values})


def finding_is(value: Consequence | Kind | str) -> Q:
    """Return the condition of a finding that it has this kind, or this consequence for people.

    It has a consequence once nothing comes any more that would change it. What came out of order is told apart.
    """
    never_taken = [kind for kind in Kind if kind.is_settled and kind is not Kind.OUT_OF_ORDER]
    return Q(consequence=value, kind__in=never_taken) if value in set(Consequence) else Q(kind=value)


def shown_findings() -> FindingQuerySet:
    """Return the open findings that lists and counts show: an event type that is not subscribed is a choice."""
    return Finding.objects.open().exclude(reason=Reason.NOT_SUBSCRIBED)


def worst_of(*, endpoint: Endpoint, limit: int) -> list[Finding]:
    """Return up to `limit` open findings of an endpoint with their contracts: those with consequences first.

    Of the same consequence, what is settled comes before what may still come.
    """
    rows = shown_findings().filter(endpoint=endpoint).select_related("contract")
    # Of the stored values, "access" < "provision", and the one without a consequence is empty.
    settled = [kind for kind in Kind if kind.is_settled]
    ordered = rows.annotate(is_harmless=Q(consequence=Consequence.NONE), may_come=~Q(kind__in=settled)).order_by(
        "is_harmless", "consequence", "may_come", "-happened_at", "-id"
    )
    return list(ordered[:limit])


def has_links(*, install: Install) -> bool:
    """Return whether a project of the install is linked to a job, as OpenTrain last said."""
    return ProjectLink.objects.filter(install=install, gone_at=None).exclude(job_id="").exists()


def endpoints_of(*, install: Install, contracts: Sequence[Contract], limit: int | None) -> tuple[list[Endpoint], int]:
    """Return up to `limit` endpoints of the install (None: all), those with findings of these contracts first.

    And how many there are. Deleted ones are among them if something of the contracts is known of them.
    """
    ids = [contract.pk for contract in contracts]
    findings = shown_findings().filter(endpoint=OuterRef("pk"), contract__in=ids)
    evidence = Evidence.objects.filter(endpoint=OuterRef("pk"), contract__in=ids)
    rows = Endpoint.objects.filter(Q(deleted_at=None) | Exists(evidence), install=install, opentrain_id__isnull=False)
    listed = rows.annotate(is_fine=~Exists(findings), total=Window(Count("pk"))).defer("secret")
    found = list(listed.order_by("is_fine", "-created_at", "-pk")[:limit])
    return [*found], getattr(found[0], "total", 0) if found else 0


def count_unseen(*, endpoint: Endpoint) -> int:
    """Count the contracts of which an event is due that the endpoint's log never had, and of which no finding is open.

    So it is not known whether these events reached it. Up to LIST_COUNT_LIMIT; LIST_COUNT_LIMIT + 1 means more.
    """
    rows = Contract.objects.filter(install=endpoint.install_id, gone_at=None)
    started, ended = _unseen(endpoint, Event.STARTED), ~Q(status="active") & _unseen(endpoint, Event.ENDED)
    return rows.filter(started | ended)[: LIST_COUNT_LIMIT + 1].count()


def links_of(*, install: Install, contracts: Sequence[Contract]) -> list[ProjectLink]:
    """Return the project links that the contracts name, or that lead to their jobs, oldest first."""
    ids = {one for contract in contracts for one in contract.link_ids}
    jobs = {contract.job_id for contract in contracts} - {""}
    rows = ProjectLink.objects.filter(Q(opentrain_id__in=ids) | Q(job_id__in=jobs), install=install)
    return list(rows.order_by("first_seen_at", "id"))


def _unseen(endpoint: Endpoint, event: Event) -> Q:
    of_event = {"contract": OuterRef("pk"), "endpoint": endpoint, "event_type": event}
    return ~Exists(Evidence.objects.filter(**of_event)) & ~Exists(Finding.objects.open().filter(**of_event))


def _matching(install: Install, criteria: ContractCriteria) -> ContractQuerySet:
    rows: ContractQuerySet = Contract.objects.filter(install=install)
    if criteria.finding or criteria.event:
        rows = rows.filter(Exists(_findings(criteria).filter(install=install, contract=OuterRef("pk"))))
    if criteria.lost is not None:
        rows = rows.filter(pk__in=criteria.among)
    if criteria.status == OTHER:
        rows = rows.exclude(status__in=_KNOWN_STATUSES)
    elif criteria.status:
        rows = rows.filter(status=criteria.status)
    return rows.filter(_named(install, criteria.text)) if criteria.text else rows


def _findings(criteria: ContractCriteria) -> FindingQuerySet:
    rows = shown_findings()
    if criteria.endpoint is not None:
        rows = rows.filter(endpoint=criteria.endpoint)
    if criteria.event:
        rows = rows.filter(event_type=criteria.event)
    if criteria.finding in {"", ANY}:
        return rows
    return rows.filter(finding_is(criteria.finding))


def _named(install: Install, text: str) -> Q:
    """Return the condition that a complete ID names the contract, its job, one of its links or their project."""
    ids = list(spellings(text))
    links = ProjectLink.objects.filter(Q(opentrain_id__in=ids) | Q(external_project_id__in=ids), install=install)
    named = Q(opentrain_id__in=ids) | Q(job_id__in=ids) | Q(link_ids__overlap=ids)
    of_links = Q(job_id__in=links.exclude(job_id="").values("job_id"))
    return named | of_links | Q(link_ids__overlap=links.values_list("opentrain_id"))
