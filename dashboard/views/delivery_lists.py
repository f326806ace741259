"""Lists of deliveries: of an endpoint, of an install, and of everything the user may see."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.auth.permissions import MemberRequest, Permission, allowed, may
from dashboard.db.statement_timeout import TooSlow, at_most
from dashboard.forms import delivery_filters, list_filters
from dashboard.forms.delivery_filters import Filter
from dashboard.forms.endpoints import EVENT_TYPES
from dashboard.models import Delivery, Endpoint, Handover, Install, User
from dashboard.presenters import no_results, pages
from dashboard.presenters.causes import CauseRow, cause_rows, number_words
from dashboard.presenters.delivery_list_page import (
    Elsewhere,
    Nothing,
    causes_heading,
    elsewhere,
    heading,
    install_of,
    nothing,
    redeliver_address,
    tabs,
)
from dashboard.presenters.handovers import rows_of
from dashboard.presenters.live import live as live_response
from dashboard.presenters.log_lag import log_lag
from dashboard.presenters.rows import (
    DeliveryRow,
    DeliveryTable,
    delivery_row,
    delivery_rows,
    with_endpoint,
    with_marks,
)
from dashboard.presenters.time_addresses import with_times_in_utc
from dashboard.queries import delivery_lists, handovers
from dashboard.queries.delivery_lists import Cursor, DeliveryCriteria, Scope
from dashboard.rules.deliveries import StateKind

PAGE = 50
"""Deliveries on a page."""
INSTALLS_SUGGESTED = 100
COUNT_MS = 300
"""Time limit, in milliseconds, for counting and grouping causes for one view."""

_EVENTS = tuple((name, "") for name in EVENT_TYPES)

# Reading and converting the other columns of fifty rows takes as long as finding the rows.
_SHOWN = (
    "opentrain_id", "event_type", "resource_id", "first_received_at", "last_attempt_at", "attempt_count",
    "attempts_in_round", "last_ok", "last_status", "last_cause", "last_latency_ms", "requested_at", "abandoned_at",
    "endpoint_id", "last_signature",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """The scope of a list, and the base name of its URLs."""

    scope: Scope
    name: str
    install: Install | None = None
    endpoint: Endpoint | None = None

    def url(self, what: str = "") -> str:
        """Return the URL of the list, or of what is named after it, such as its "-live" part or "-export"."""
        owner = self.endpoint or self.install
        return reverse(f"{self.name}{what}", args=[] if owner is None else [owner.pk])


@dataclass(frozen=True, slots=True)
class Counted:
    """How many deliveries match, in words, and the causes of failures and refusals; None if they are not known."""

    words: str
    causes: Sequence[CauseRow] | None


def everything(request: MemberRequest) -> Place:
    return Place(Scope.of(request.user), "delivery-list")


def of_install(user: User, pk: int) -> Place:
    """Raises: Http404, also for an install that the user may not see."""
    install = get_object_or_404(Install.objects.visible_to(user).defer("token"), pk=pk)
    return Place(Scope(install=pk), "install-deliveries", install=install)


def of_endpoint(user: User, pk: int) -> Place:
    """Raises: Http404, also for an endpoint that the user may not see."""
    rows = Endpoint.objects.visible_to(user).select_related("install").defer("secret", "install__token")
    handed_over = Exists(Handover.objects.filter(endpoint=OuterRef("pk")))
    endpoint = get_object_or_404(rows.annotate(has_handovers=handed_over), pk=pk)
    return Place(Scope(endpoint=pk), "endpoint-deliveries", install=endpoint.install, endpoint=endpoint)


@require_safe
@allowed(Permission.SEE)
@with_times_in_utc(timezone.now)
def index(request: MemberRequest) -> HttpResponse:
    return _page(request, everything(request))


@require_safe
@allowed(Permission.SEE)
def index_live(request: MemberRequest) -> HttpResponseBase:
    return _live(request, everything(request))


@require_safe
@allowed(Permission.SEE)
@with_times_in_utc(timezone.now)
def install(request: MemberRequest, pk: int) -> HttpResponse:
    return _page(request, of_install(request.user, pk))


@require_safe
@allowed(Permission.SEE)
def install_live(request: MemberRequest, pk: int) -> HttpResponseBase:
    return _live(request, of_install(request.user, pk))


@require_safe
@allowed(Permission.SEE)
@with_times_in_utc(timezone.now)
def endpoint(request: MemberRequest, pk: int) -> HttpResponse:
    return _page(request, of_endpoint(request.user, pk))


@require_safe
@allowed(Permission.SEE)
def endpoint_live(request: MemberRequest, pk: int) -> HttpResponseBase:
    return _live(request, of_endpoint(request.user, pk))


@require_safe
@allowed(Permission.SEE)
def install_names(request: MemberRequest) -> HttpResponse:
    """Suggest names for the filter, once somebody comes to its field."""
    named = Install.objects.visible_to(request.user).order_by("name", "id").values_list("name", flat=True)
    return render(request, "deliveries/_install_names.html", {"names": named[:INSTALLS_SUGGESTED]})


def _page(request: MemberRequest, place: Place) -> HttpResponse:
    context = _context(request, place)
    context["filter"] = with_names(context["filter"], user=request.user)
    if getattr(place.endpoint, "has_handovers", False) and context["first_page"]:
        handed_over = handovers.recent(Handover.objects.filter(endpoint=place.endpoint))
        context["handed_over"] = rows_of(handed_over)
    return render(request, "deliveries/list.html", context)


def with_names(filters: Filter, *, user: User) -> Filter:
    """Return the filter with the name of its install, if the user may see exactly one that it means."""
    text = filters.used.get("install", "")
    found = list(Install.objects.visible_to(user).named(text).values_list("name", flat=True)[:2]) if text else []
    return replace(filters, names={"install": found[0]}) if len(found) == 1 else filters


def _live(request: MemberRequest, place: Place) -> HttpResponseBase:
    return live_response(request, template="deliveries/list.html#table", context=_context(request, place))


def _context(request: MemberRequest, place: Place) -> dict[str, Any]:
    now = timezone.now()
    operates = may(request.user, Permission.OPERATE)
    found = context_of(place=place, params=request.GET, now=now, operates=operates)
    return found | {"log_lag": log_lag(user=request.user, now=now)}


def context_of(*, place: Place, params: QueryDict, now: datetime, operates: bool = True) -> dict[str, Any]:
    """Return the template context. `operates`: the user may redeliver."""
    filters = delivery_filters.parse(params=params.dict(), now=now)
    cursor = list_filters.parse_cursor(params.dict())
    rows, more = _rows(place, filters, cursor, now)
    why = None if rows else nothing(endpoint=place.endpoint, wanted=filters, is_first_page=cursor is None)
    is_filtered_out = why is Nothing.NO_MATCH
    known = len(rows) if cursor is None and not more else None
    counted = _counted(place, filters, now, known=known, with_causes=cursor is None)
    url = place.url()
    return {
        "place": place,
        "install": place.install,
        "endpoint": place.endpoint,
        "filter": filters,
        "url": url,
        "live_url": place.url("-live"),
        "export_url": place.url("-export"),
        "export_bodies": not filters.refused,
        "redeliver_url": redeliver_address(place.url("-redeliver"), filters) if operates else "",
        "redeliverable_live_url": place.url("-redeliverable-live"),
        "ignored": filters.ignored_for_refused if filters.refused else (),
        "causes_heading": causes_heading(filters),
        "rows": rows,
        "table": _table(place, rows),
        "tabs": tabs(url=url, wanted=filters),
        "nothing": why,
        "elsewhere": _elsewhere(place, filters) if is_filtered_out else None,
        "no_match": f"No {'refused requests' if filters.refused else 'deliveries'} match these filters.",
        "causes_of_nothing": no_results.of_deliveries(url=url, used=filters.used, endpoint=place.endpoint)
        if is_filtered_out
        else [],
        "heading": heading(count=counted.words, why=why, endpoint=place.endpoint),
        "install_as_a_whole": install_of(install=place.install, endpoint=place.endpoint),
        "causes": counted.causes,
        "first_page": cursor is None,
        "choices": {
            "state": list(StateKind),
            "cause": delivery_filters.cause_choices(),
            "event": _EVENTS,
            "signature": delivery_filters.SIGNATURES,
        },
        "now": now,
        "pager": pages.from_newest(
            url=url, query=filters.query, is_first=cursor is None, **_pages(rows, more, filters, cursor)
        ),
    }


def _rows(place: Place, filters: Filter, cursor: Cursor | None, now: datetime) -> tuple[list[Any], bool]:
    """Return a page of rows, newest first, and whether more follow in the requested direction."""
    if filters.refused:
        found: list[Any] = delivery_lists.refused_page(
            scope=place.scope, criteria=filters.criteria, limit=PAGE + 1, cursor=cursor
        )
    else:
        found = list(page_of(place=place, filters=filters, cursor=cursor, now=now, limit=PAGE + 1))
    more = len(found) > PAGE
    if more:
        found = found[1:] if cursor is not None and cursor.newer else found[:PAGE]
    return (found if filters.refused else _delivery_rows(place, found, now)), more


def _delivery_rows(place: Place, found: Sequence[Delivery], now: datetime) -> list[DeliveryRow]:
    if place.endpoint is None:
        return delivery_rows(found, now=now)
    return [delivery_row(delivery=one, endpoint=place.endpoint, now=now) for one in found]


def _table(place: Place, rows: list[Any]) -> DeliveryTable:
    return DeliveryTable(rows, with_endpoint=place.endpoint is None, with_install=place.install is None)


def page_of(*, place: Place, filters: Filter, cursor: Cursor | None, now: datetime, limit: int) -> QuerySet[Delivery]:
    """Return deliveries with everything a list row shows, without their bodies."""
    rows = delivery_lists.page(scope=place.scope, criteria=filters.criteria, now=now, limit=limit, cursor=cursor)
    return with_marks(rows.only(*_SHOWN) if place.endpoint is not None else with_endpoint(rows, columns=_SHOWN))


def _pages(rows: list[Any], more: bool, filters: Filter, cursor: Cursor | None) -> dict[str, str]:
    """Return the query strings of the neighbouring pages; empty if there is none."""
    if not rows:
        return {"newer": "", "older": ""}
    is_newer = cursor is not None and cursor.newer
    return {
        "newer": _beside("newer", rows[0], filters) if (more if is_newer else cursor is not None) else "",
        "older": _beside("older", rows[-1], filters) if is_newer or more else "",
    }


def _beside(way: str, row: Any, filters: Filter) -> str:  # noqa: ANN401
    one = row if filters.refused else row.delivery
    at = one.received_at if filters.refused else one.first_received_at
    place = QueryDict(filters.query, mutable=True)
    place[way] = list_filters.cursor_text(at=at, pk=one.pk)
    return place.urlencode()


def _counted(place: Place, filters: Filter, now: datetime, *, known: int | None, with_causes: bool) -> Counted:
    """Count and group within COUNT_MS. What takes longer stays unknown, never a wrong number.

    `known` is the number if the page has all of them, otherwise None. Causes are shown only above the first page.
    """
    number = known
    causes: Sequence[CauseRow] | None = None
    groups = with_causes and not filters.refused and place.install is not None
    try:
        with at_most(ms=COUNT_MS) if number is None or groups else nullcontext():
            number = _count(place, filters, now) if number is None else number
            causes = _causes(place, filters) if groups else []
    except TooSlow:
        if number is None:
            return Counted(f"— (not counted: it takes longer than {COUNT_MS / 1000:g} s; add a time range)", None)
    what = ("refused request", "refused requests") if filters.refused else ("delivery", "deliveries")
    words = f"{number_words(number)} {what[0] if number == 1 else what[1]}"
    return Counted(words, causes)


def _count(place: Place, filters: Filter, now: datetime) -> int:
    if filters.refused:
        return delivery_lists.refused_count(scope=place.scope, criteria=filters.criteria)
    return delivery_lists.count(scope=place.scope, criteria=filters.criteria, now=now)


def _elsewhere(place: Place, filters: Filter) -> Elsewhere | None:
    """Return where to go on with an ID that no delivery here has."""
    delivery_id = filters.criteria.delivery_id
    only = DeliveryCriteria(delivery_id=delivery_id)
    is_asked = bool(delivery_id) and not filters.refused
    refused = delivery_lists.refused_count(scope=place.scope, criteria=only) if is_asked else 0
    return elsewhere(filters, url=place.url(), refused=refused)


def _causes(place: Place, filters: Filter) -> Sequence[CauseRow]:
    times = {name: text for name, text in filters.used.items() if name in {"from", "to"}}
    return cause_rows(scope=place.scope, criteria=filters.criteria, times=times)
