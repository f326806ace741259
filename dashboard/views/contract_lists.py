"""The list of an install's contracts, and what each endpoint took of their start and end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.db.statement_timeout import TooSlow, at_most
from dashboard.forms import contract_filters, list_filters
from dashboard.forms.contract_filters import FINDINGS, STATUSES, ContractFilter
from dashboard.models import Contract, Endpoint, Install
from dashboard.presenters import no_results, pages
from dashboard.presenters.contract_list_page import (
    Nothing,
    contract_rows,
    endpoint_choices,
    heading,
    left_out,
    nothing,
    quick_filters,
)
from dashboard.presenters.contract_reads import ContractReads, contract_reads
from dashboard.presenters.judged_contracts import JudgedContracts
from dashboard.presenters.live import live as live_response
from dashboard.queries import contract_lists, lost_window
from dashboard.queries.contract_lists import FindingCounts
from dashboard.queries.delivery_lists import Cursor
from dashboard.queries.reconnected import also_connected_as
from dashboard.queries.verdicts import verdicts
from dashboard.rules.reconciliation import Event
from dashboard.views import delivery_lists

PAGE = 50
"""Contracts on a page."""
CHOICES_MOST = 100
"""Most endpoints that the filter offers."""
ENDPOINTS_MOST = 10
"""Most endpoints of which the list says what they took: the cost of a verdict is the same for each."""
OTHERS_MOST = 3
"""Most other installs of the same organization that the page names."""


@dataclass(frozen=True, slots=True)
class Place:
    """An install, the filters of its list of contracts, and the endpoint that they name."""

    install: Install
    filters: ContractFilter
    endpoint: Endpoint | None


def place_of(request: MemberRequest, pk: int, *, now: datetime) -> Place:
    """Raises: Http404, also for an install that the user may not see."""
    install = get_object_or_404(Install.objects.visible_to(request.user).defer("token"), pk=pk)
    filters = contract_filters.parse(params=request.GET.dict(), now=now)
    if filters.criteria.lost is not None:
        filters = filters.among(lost_window.contracts_of(filters.criteria.lost, install_id=install.pk, now=now))
    if filters.criteria.endpoint is None:
        return Place(install, filters, None)
    endpoint = Endpoint.objects.filter(install=install, pk=filters.criteria.endpoint).defer("secret").first()
    return Place(install, filters if endpoint else filters.without_endpoint(), endpoint)


@require_safe
@allowed(Permission.SEE)
def index(request: MemberRequest, pk: int) -> HttpResponse:
    return render(request, "contracts/list.html", _context(request, pk))


@require_safe
@allowed(Permission.SEE)
def live(request: MemberRequest, pk: int) -> HttpResponseBase:
    return live_response(request, template="contracts/list.html#table", context=_context(request, pk))


@dataclass(frozen=True, slots=True)
class Shown:
    """The endpoints of which a page says what they took; `total` is how many the install has."""

    endpoints: Sequence[Endpoint]
    total: int


def shown(place: Place, contracts: Sequence[Contract], *, limit: int | None) -> Shown:
    if place.endpoint is not None:
        return Shown([place.endpoint], 1)
    return Shown(*contract_lists.endpoints_of(install=place.install, contracts=contracts, limit=limit))


def judged(
    place: Place, contracts: Sequence[Contract], endpoints: Sequence[Endpoint], *, now: datetime
) -> JudgedContracts:
    """Return contracts of the place's install with what is shown beside them, in a constant number of queries."""
    found = verdicts(contracts=contracts, now=now, endpoints=[one.pk for one in endpoints])
    links = contract_lists.links_of(install=place.install, contracts=contracts)
    return JudgedContracts(contracts, verdicts=found, endpoints=endpoints, links=links)


def _context(request: MemberRequest, pk: int) -> dict[str, Any]:
    now = timezone.now()
    place, cursor = place_of(request, pk, now=now), list_filters.parse_cursor(request.GET.dict())
    install, filters = place.install, place.filters
    others = list(also_connected_as(install=install, user=request.user)[:OTHERS_MOST])
    url, reads = reverse("install-contracts", args=[pk]), contract_reads(install, now=now, others=others)
    found, more = _page(place, cursor)
    why = None if found else _nothing(place, cursor, reads)
    beside = shown(place, found, limit=ENDPOINTS_MOST)
    count, counts = _counted(place)
    return {
        "install": install,
        "filter": filters,
        "chips": filters.chips({"endpoint": place.endpoint.title} if place.endpoint else {}),
        "url": url,
        "live_url": reverse("install-contracts-live", args=[pk]),
        "export_url": reverse("install-contracts-export", args=[pk]),
        "reads": reads,
        "quick": quick_filters(filters, counts=counts if reads.is_judged else None, why=why, url=url),
        "rows": contract_rows(judged(place, found, beside.endpoints, now=now), now=now),
        "left_out": left_out(shown=len(beside.endpoints), total=beside.total),
        "nothing": why,
        "causes_of_nothing": no_results.of_contracts(url=url, used=filters.used),
        "heading": heading(count=count, why=why),
        "first_page": cursor is None,
        "choices": {"finding": FINDINGS, "event": list(Event), "status": STATUSES, "endpoint": _choices(place)},
        "now": now,
        "pager": pages.from_newest(
            url=url, query=filters.query, is_first=cursor is None, **_beside(found, more, filters, cursor)
        ),
    }


def _page(place: Place, cursor: Cursor | None) -> tuple[list[Contract], bool]:
    """Return a page, newest first, and whether more follow in the requested direction."""
    found = contract_lists.page(install=place.install, criteria=place.filters.criteria, limit=PAGE + 1, cursor=cursor)
    more = len(found) > PAGE
    if more:
        found = found[1:] if cursor is not None and cursor.newer else found[:PAGE]
    return found, more


def _nothing(place: Place, cursor: Cursor | None, reads: ContractReads) -> Nothing:
    has_links = contract_lists.has_links(install=place.install)
    return nothing(filters=place.filters, is_first_page=cursor is None, reads=reads, has_links=has_links)


def _counted(place: Place) -> tuple[int | None, FindingCounts | None]:
    """Count the contracts, and those with findings, within COUNT_MS. What takes longer stays unknown."""
    try:
        with at_most(ms=delivery_lists.COUNT_MS):
            count = contract_lists.count(install=place.install, criteria=place.filters.criteria)
            endpoint = place.endpoint.pk if place.endpoint else None
            return count, contract_lists.finding_counts(install=place.install, endpoint=endpoint)
    except TooSlow:
        return None, None


def _choices(place: Place) -> list[tuple[int, str]]:
    """Return the endpoints that the filter offers, the chosen one among them."""
    rows = place.install.endpoints.registered().defer("secret")
    return endpoint_choices(rows[:CHOICES_MOST], chosen=place.endpoint)


def _beside(found: Sequence[Contract], more: bool, filters: ContractFilter, cursor: Cursor | None) -> dict[str, str]:
    """Return the query strings of the neighbouring pages; empty if there is none."""
    is_newer = cursor is not None and cursor.newer
    newer, older = (more if is_newer else cursor is not None), is_newer or more
    return {
        "newer": _query("newer", found[0], filters) if found and newer else "",
        "older": _query("older", found[-1], filters) if found and older else "",
    }


def _query(way: str, contract: Contract, filters: ContractFilter) -> str:
    place, cursor = QueryDict(filters.query, mutable=True), contract_lists.cursor_of(contract)
    place[way] = list_filters.cursor_text(at=cursor.received_at, pk=cursor.pk)
    return place.urlencode()
