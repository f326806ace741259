"""Activity: who did what, to what, from where, and the outcome; as a list, one entry, and an export."""

from collections.abc import Iterator
from typing import Any

from django.http import HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.actions import audit
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.db.statement_timeout import TooSlow, at_most
from dashboard.forms import audit_filters, list_filters
from dashboard.forms.audit_filters import OUTCOMES, AuditFilter
from dashboard.models import AuditEntry, Endpoint, Install, User
from dashboard.presenters import downloads, no_results, pages
from dashboard.presenters.activity import activity_row, activity_rows
from dashboard.presenters.downloads import Row
from dashboard.presenters.live import live as live_response
from dashboard.presenters.time_addresses import with_times_in_utc
from dashboard.queries import audit as audit_lists
from dashboard.queries.delivery_lists import Cursor
from dashboard.rules.durations import span

PAGE = 50
CHUNK = 1000
READ_MS = 3000
EXPORT = "export activity"
"""Audit action name."""
_EXPORTED = {
    "at": "at", "operation": "operation", "phase": "phase", "action": "action", "who": "actor_name",
    "address": "address", "agent": "agent", "install": "install_name", "install_id": "install_opentrain_id",
    "endpoint": "endpoint_url", "endpoint_name": "endpoint_name", "endpoint_id": "endpoint_opentrain_id",
    "delivery_id": "delivery_id", "words": "words", "quoted": "quoted", "code": "code", "request_id": "request_id",
    "requeued": "requeued", "run": "run_id",
}  # fmt: skip


@require_safe
@allowed(Permission.SEE)
@with_times_in_utc(timezone.now)
def index(request: MemberRequest) -> HttpResponse:
    context = _context(request)
    more = {"actions": audit_lists.actions(), "actors": audit_lists.actors() if request.user.sees_every_install else []}
    return render(request, "activity/list.html", context | more)


@require_safe
@allowed(Permission.SEE)
def live(request: MemberRequest) -> HttpResponseBase:
    return live_response(request, template="activity/list.html#table", context=_context(request))


@require_safe
@allowed(Permission.SEE)
def detail(request: MemberRequest, pk: int) -> HttpResponse:
    """Show one operation: when it was requested, when it was answered, and the full answer."""
    visible = AuditEntry.objects.visible_to(request.user).with_links()
    entry = get_object_or_404(visible, pk=pk)
    both, now = list(visible.filter(operation=entry.operation).order_by("id")), timezone.now()
    context = {
        "row": activity_row(both[-1], from_where=_sees_source(request.user, both[-1].actor_id), now=now),
        "asked_at": both[0].at,
        "took": span(duration=both[-1].at - both[0].at) if len(both) > 1 else "",
        "now": now,
    }
    return render(request, "activity/detail.html", context)


@require_safe
@allowed(Permission.SEE)
def export(request: MemberRequest) -> HttpResponseBase:
    now = timezone.now()
    filters = audit_filters.parse(params=request.GET.dict(), now=now)
    kind = request.GET.get("format", "csv")
    if refused := downloads.problem(kind=kind, problems=filters.problems):
        return refused
    if request.method == "GET":
        audit.note(actor=request.user, action=EXPORT, words=f"{kind.upper()}: {filters.words}.")
    rows = _exported(request.user, filters)
    return downloads.answer(rows=rows, columns=list(_EXPORTED), kind=kind, name="activity", now=now)


def _context(request: MemberRequest) -> dict[str, Any]:
    now = timezone.now()
    filters = audit_filters.parse(params=request.GET.dict(), now=now)
    cursor = list_filters.parse_cursor(request.GET.dict())
    found, more, problems = _page(request.user, filters, cursor)
    rows = activity_rows(
        found,
        sees_source=lambda entry: _sees_source(request.user, entry.actor_id),
        now=now,
        folds=filters.criteria.folds,
    )
    return {
        "filter": filters,
        "problems": problems,
        "chips": filters.chips(_names(found, filters) if found else _names_now(request.user, filters)),
        "rows": rows,
        "with_source": any(row.address for row in rows),
        "causes_of_nothing": no_results.of_activity(
            url=reverse("activity"), used=filters.used, sees_all=request.user.sees_every_install
        ),
        "first_page": cursor is None,
        "outcomes": OUTCOMES,
        "now": now,
        "pager": pages.from_newest(
            url=reverse("activity"),
            query=filters.query,
            is_first=cursor is None,
            **_beside(found, more, filters, cursor),
        ),
    }


def _page(user: User, filters: AuditFilter, cursor: Cursor | None) -> tuple[list[AuditEntry], bool, tuple[str, ...]]:
    """Return a page, whether more follow in the requested direction, and the filter's problems."""
    try:
        with at_most(ms=READ_MS):
            found = audit_lists.page(user=user, criteria=filters.criteria, limit=PAGE + 1, cursor=cursor)
    except TooSlow:
        words = f"This search takes longer than {READ_MS / 1000:g} s. Add a time range or an install."
        return [], False, (*filters.problems, words)
    more = len(found) > PAGE
    if more:
        found = found[1:] if cursor is not None and cursor.newer else found[:PAGE]
    return found, more, filters.problems


def _beside(found: list[AuditEntry], more: bool, filters: AuditFilter, cursor: Cursor | None) -> dict[str, str]:
    """Return the query strings of the neighbouring pages; empty if there is none."""
    is_newer = cursor is not None and cursor.newer
    newer, older = (more if is_newer else cursor is not None), is_newer or more
    return {
        "newer": _query("newer", found[0], filters) if found and newer else "",
        "older": _query("older", found[-1], filters) if found and older else "",
    }


def _query(way: str, entry: AuditEntry, filters: AuditFilter) -> str:
    place = QueryDict(filters.query, mutable=True)
    place[way] = list_filters.cursor_text(at=entry.at, pk=entry.pk)
    return place.urlencode()


def _names(found: list[AuditEntry], filters: AuditFilter) -> dict[str, str]:
    """Return the names of the filtered install and endpoint, taken from the entries found."""
    names = {"install": found[0].install_name, "endpoint": found[0].endpoint_shown}
    return {name: called for name, called in names.items() if name in filters.used}


def _names_now(user: User, filters: AuditFilter) -> dict[str, str]:
    """Return the same names where no entry tells them, of what the user may see and the URL gives by its number."""
    names, numbers = {}, {name: int(text) for name, text in filters.used.items() if text.isdecimal()}
    if "install" in numbers:
        installs = Install.objects.visible_to(user).filter(pk=numbers["install"])
        names["install"] = installs.values_list("name", flat=True).first() or ""
    if "endpoint" in numbers:
        endpoints = Endpoint.objects.visible_to(user).filter(pk=numbers["endpoint"]).select_related("install")
        endpoint = endpoints.defer("secret", "install__token").first()
        names["endpoint"] = endpoint.title if endpoint else ""
    return names


def _sees_source(user: User, actor_id: int | None) -> bool:
    """Return whether the user may see the address and browser: support sees all, others only their own."""
    return user.sees_every_install or actor_id == user.pk


def _exported(user: User, filters: AuditFilter) -> Iterator[Row]:
    """Yield every entry, including requests that have an answer: readers of the file join them by operation."""
    cursor: Cursor | None = None
    while True:
        found = audit_lists.page(user=user, criteria=filters.criteria, limit=CHUNK, cursor=cursor, whole=True)
        for entry in found:
            row = {name: getattr(entry, column) for name, column in _EXPORTED.items()}
            hidden = {} if _sees_source(user, entry.actor_id) else {"address": None, "agent": ""}
            yield row | {"operation": str(entry.operation)} | hidden
        if len(found) < CHUNK:
            return
        cursor = Cursor(found[-1].at, found[-1].pk)
