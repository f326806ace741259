"""The table of all installs, whose URL holds the search, sort order and page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Case, Count, OuterRef, Q, Subquery, When, Window
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.actions.installs.sync import CONNECT
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.models import AuditEntry, Install, User
from dashboard.models.installs import MANAGE_SCOPE, NEEDS_ATTENTION, InstallQuerySet
from dashboard.presenters import figures
from dashboard.presenters.controls import Control
from dashboard.presenters.figures import Shown
from dashboard.presenters.inbox import Concerned, concerned, helps_install
from dashboard.presenters.live import live as live_response
from dashboard.presenters.pages import numbered
from dashboard.queries import install_endpoints
from dashboard.queries.health_counts import health_counts
from dashboard.rules import pasted
from dashboard.rules.endpoints import EndpointHealth, Severity
from dashboard.rules.installs import Trouble

PAGE = 50
"""Installs on a page."""
SEARCHED = 200
"""Characters of a search text that are used."""
SORTS = {
    "worst": ("rank", "name", "pk"),
    "name": ("name", "pk"),
    "-name": ("-name", "-pk"),
    "endpoints": ("-endpoint_count", "name", "pk"),
    "checked": ("checked_at", "pk"),
}
_NOT_SHOWN = (
    "token", "token_id", "token_name", "app_id", "scopes", "pii_consent", "created_at", "connected_at", "described_at",
    "disconnected_by_name", "listed_at", "poll_after", "refresh_requested_at", "failures",
)  # fmt: skip
"""Columns that the table does not show, and does not read."""
SHOWS = ("", "need", "unheard", "disconnected")
HEADS = (("Install", "name"), ("State", "worst"), ("Endpoints", "endpoints"), ("OpenTrain says", ""))
ARROWS = {"ascending": " ↑", "descending": " ↓"}
FIGURES, CHECKED = ("Last 24 h", ""), ("Last checked", "checked")
UNHEARD = (Trouble.UNREACHABLE, Trouble.RATE_LIMITED)
"""Troubles that pass without action, while the data shown gets older."""
_TROUBLES = {
    Trouble.TOKEN_REFUSED: ("no_access", "Token refused"),
    Trouble.TOKEN_UNREADABLE: ("no_access", "Token unreadable"),
    Trouble.BAD_ANSWER: ("failing", "Invalid response"),
    Trouble.FORBIDDEN: ("no_access", "No access"),
}


@dataclass(frozen=True, slots=True)
class InstallNeed:
    """An install that itself needs attention: a label, and the reason in words."""

    install: Install
    kind: str
    label: str
    words: str
    control: Control | None
    """The most useful action; None if the user may not take it."""
    concerned: Concerned | None
    """The affected endpoints; None if none are known, or if `words` name them."""

    @property
    def token_at(self) -> datetime | None:
        """When the token lacking the scope was connected, if the list query fetched it."""
        return getattr(self.install, "token_at", None)


@dataclass(frozen=True, slots=True)
class InstallRow:
    """An install with its endpoints counted by health, worst first."""

    install: Install
    counts: tuple[tuple[EndpointHealth, int], ...]
    need: "InstallNeed | None"
    """The install's own problem, if any."""
    figures: Shown
    """The last 24 hours of its endpoints."""

    @property
    def version(self) -> str:
        """What the browser compares, to see that the row changed."""
        return f"{self.install.rank}-{self.install.needing_count}-{self.install.last_error_code}"

    @property
    def is_blank(self) -> bool:
        """Whether there is no state to show: no problem, and no known endpoint."""
        return self.need is None and not self.counts and not self.install.is_disconnected

    @property
    def seen_before(self) -> bool:
        """Whether its counts are from before a problem began, or before OpenTrain stopped answering."""
        return bool(self.counts) and (self.need is not None or self.is_unheard)

    @property
    def is_well(self) -> bool:
        """Whether OpenTrain says it is active and it has no other problem."""
        return self.install.is_active and self.need is None and not self.install.is_disconnected

    @property
    def is_quiet(self) -> bool:
        """Whether OpenTrain says that it is active, and nothing else."""
        return self.is_well and not (self.install.last_error or self.install.unread_entries)

    @property
    def is_unheard(self) -> bool:
        """Whether OpenTrain did not answer for it last time, which alone needs no attention."""
        return bool(self.install.last_error) and self.need is None


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first rows of the table, shown on another page and controlled by that page's URL."""

    rows: list[InstallRow]
    more: bool
    asked: "InstallListCriteria"
    columns: list[dict[str, str]]

    @property
    def address(self) -> str:
        """Return the query string for the same criteria, valid on that page and for the whole table."""
        return self.asked.address()


@dataclass(frozen=True, slots=True)
class InstallListCriteria:
    """Criteria from the URL; invalid values fall back to their defaults."""

    query: str
    sort: str
    show: str
    page: int

    def address(self, **changes: str | int) -> str:
        """Return the query string of this list with changes; page 1 unless a page is given."""
        asked = {"q": self.query, "sort": self.sort, "show": self.show, "page": 1} | changes
        plain = {"q": "", "sort": "worst", "show": "", "page": 1}
        return "?" + urlencode({name: value for name, value in asked.items() if value != plain[name]})


@require_safe
@allowed(Permission.SEE)
def index(request: MemberRequest) -> HttpResponse:
    return render(request, "installs/list.html", _context(request))


@require_safe
@allowed(Permission.SEE)
def live(request: MemberRequest) -> HttpResponseBase:
    return live_response(request, template="installs/list.html#live", context=_context(request))


def criteria_of(request: MemberRequest) -> InstallListCriteria:
    asked = request.GET
    page = asked.get("page", "")
    return InstallListCriteria(
        query=pasted.term(asked.get("q", "").replace("\0", ""))[:SEARCHED],
        sort=asked["sort"] if asked.get("sort") in SORTS else "worst",
        show=asked["show"] if asked.get("show") in SHOWS else "",
        page=max(int(page), 1) if page.isascii() and page.isdigit() and len(page) <= 6 else 1,  # noqa: PLR2004
    )


def _context(request: MemberRequest) -> dict[str, Any]:
    asked, now = criteria_of(request), timezone.now()
    visible = Install.objects.visible_to(request.user).defer(*_NOT_SHOWN)
    installs, matching, page = _page(_found(visible, asked), asked)
    is_all = asked == InstallListCriteria("", asked.sort, "", asked.page)
    total = matching if is_all else _of_all(visible, asked, installs)
    pages = max(-(-matching // PAGE), 1)
    is_empty = not total and not installs
    return {
        "is_empty": is_empty,
        "left": visible.filter(disconnected_at__isnull=False).count() if is_empty else 0,
        "rows": _rows(installs, user=request.user, now=now),
        "asked": asked,
        "total": total,
        "matching": matching,
        "here": asked.address(page=page),
        "pager": numbered(
            page=page,
            pages=pages,
            address=lambda number: reverse("install-list") + asked.address(page=number),
            words=_shown_words(first=(page - 1) * PAGE + 1, shown=len(installs), matching=matching, total=total),
        ),
        "columns": _columns(asked, *HEADS, FIGURES, CHECKED),
        "filters": _filters(asked),
        "nothing": _nothing_words(asked),
        "now": now,
    }


def _of_all(visible: InstallQuerySet, asked: InstallListCriteria, installs: Sequence[Install]) -> int:
    """Return the number of installs that the shown ones were chosen from; where none is, of those that "all" shows.

    A search and the view of disconnected installs look at all of them.
    """
    looks_at_all = asked.show == "disconnected" or (asked.query and not asked.show)
    return visible.count() if installs and looks_at_all else visible.connected().count()


def _shown_words(*, first: int, shown: int, matching: int, total: int) -> str:
    """Say which of the matching installs the page shows."""
    words = f"{first:,} to {first + shown - 1:,} of {matching:,}"
    return words if matching == total else f"{words} matches, {total:,} in total"


def _nothing_words(asked: InstallListCriteria) -> str:
    """Say why no install is shown."""
    if asked.query:
        return f"No installs{' in this view' if asked.show else ''} match “{asked.query}”."
    if asked.show == "need":
        return "No install is in trouble itself, and no endpoint is disabled, at risk or failing."
    if asked.show == "disconnected":
        return "No installs are disconnected."
    if not asked.show:
        return "No installs are connected."
    return "OpenTrain answered for every install at the last check."


def _page(found: InstallQuerySet, asked: InstallListCriteria) -> tuple[list[Install], int, int]:
    """Return the requested page, or else the last one; the total number of rows; and the page number.

    A search reads every name, so its rows are counted in the same query; indexed lists are faster to count separately,
    unless the page is not full: then it is the last one.
    """
    rows, before = found.order_by(*SORTS[asked.sort]), (asked.page - 1) * PAGE
    counted = rows.annotate(matching=Window(Count("pk"))) if asked.query else rows
    installs = list(counted[before : before + PAGE])
    if installs and asked.query:
        return installs, int(getattr(installs[0], "matching", 0)), asked.page
    if 0 < len(installs) < PAGE:
        return installs, before + len(installs), asked.page
    matching = found.count()
    if installs:  # some may be gone since they were read
        return installs, max(matching, before + len(installs)), asked.page
    page = min(asked.page, max(-(-matching // PAGE), 1))
    return list(rows[(page - 1) * PAGE : page * PAGE]) if matching else [], matching, page


def _found(visible: InstallQuerySet, asked: InstallListCriteria) -> InstallQuerySet:
    """Return the installs that match. Disconnected ones are found by their name and in a view of their own."""
    if asked.show == "disconnected":
        visible = visible.filter(disconnected_at__isnull=False)
    elif asked.show or not asked.query:
        visible = visible.connected()
    if asked.query:
        ids = pasted.searched_ids(asked.query)
        visible = visible.filter(Q(name__icontains=asked.query) | Q(opentrain_id__in=ids) | Q(organization_id__in=ids))
    if asked.show == "need":
        visible = visible.filter(NEEDS_ATTENTION | Q(rank__lt=Severity.PAUSED))
    if asked.show == "unheard":
        visible = visible.filter(last_error_code__in=UNHEARD)
    return visible


def _rows(installs: list[Install], *, user: User, now: datetime) -> list[InstallRow]:
    """Return the installs with their endpoints by health, and the figures of their last 24 hours."""
    endpoints = install_endpoints.of_installs(installs)
    connected = [one for one in installs if not one.is_disconnected]
    counts = health_counts(installs=connected, endpoints=endpoints)
    shown = figures.of_installs(installs, endpoints=endpoints, now=now)
    return [_row(one, counts.get(one.pk, ()), figures=shown[one.pk], user=user) for one in installs]


def _row(install: Install, counts: Iterable[tuple[EndpointHealth, int]], *, figures: Shown, user: User) -> InstallRow:
    need = install_need(install, user=user) if install.needs_attention else None
    return InstallRow(install, tuple(counts), need, figures)


def _columns(asked: InstallListCriteria, *heads: tuple[str, str]) -> list[dict[str, str]]:
    """Return the table's column headings, with sort links where a column can be sorted."""
    sorted_by = {"name": "ascending", "-name": "descending", "endpoints": "descending"}.get(asked.sort, "ascending")
    return [
        {
            "label": label,
            "address": asked.address(sort="-name" if sort == asked.sort == "name" else sort) if sort else "",
            "sorted": sorted_by if asked.sort.lstrip("-") == sort else "",
            "arrow": ARROWS[sorted_by] if asked.sort.lstrip("-") == sort else "",
        }
        for label, sort in heads
    ]


def _filters(asked: InstallListCriteria) -> list[dict[str, Any]]:
    labels = {"": "All", "need": "Needs attention", "unheard": "No recent response", "disconnected": "Disconnected"}
    return [
        {"label": label, "address": asked.address(show=show), "here": show == asked.show}
        for show, label in labels.items()
    ]


def beginning(request: MemberRequest, *, visible: InstallQuerySet, most: int, now: datetime) -> Beginning:
    """Return the first rows, searched and sorted, with their figures but without counts by health."""
    asked = replace(criteria_of(request), show="", page=1)
    found = list(_found(visible.defer(*_NOT_SHOWN), asked).order_by(*SORTS[asked.sort])[: most + 1])
    shown = figures.of_installs(found[:most], endpoints=install_endpoints.of_installs(found[:most]), now=now)
    rows = [_row(install, (), figures=shown[install.pk], user=request.user) for install in found[:most]]
    return Beginning(rows, len(found) > most, asked, _columns(asked, *HEADS[:2], FIGURES, CHECKED))


def installs_needing_attention(visible: InstallQuerySet) -> InstallQuerySet:
    """Return installs that need attention themselves, with the time their token was connected if it lacks the scope."""
    connected = AuditEntry.objects.filter(install=OuterRef("pk"), action=CONNECT, phase=AuditEntry.Phase.DONE)
    lacks = ~Q(token_scopes__contains=[MANAGE_SCOPE])
    token_at = Case(When(lacks, then=Subquery(connected.newest_first().values("at")[:1])))
    rows = visible.defer("token").filter(NEEDS_ATTENTION).annotate(token_at=token_at)
    return rows.order_by("trouble_since", "name", "pk")


def install_need(install: Install, *, user: User) -> InstallNeed:
    """Return why an install needs attention, and what this user may do about it."""
    if not install.needs_person:
        return InstallNeed(install, "failing", "Unreadable entry", install.unread_entries, None, None)
    kind, label = _need(install)
    words = install.trouble_words
    if _is_inactive(install):
        words = f"{words} Ask the customer whether this is intended: only they or OpenTrain can change it."
    return InstallNeed(install, kind, label, words, helps_install(install, user=user), concerned(install))


def _need(install: Install) -> tuple[str, str]:
    """Return the kind (for its look) and label of the need."""
    if not install.can_manage:
        return "no_access", "Missing scope"
    if _is_inactive(install):
        return "no_access", "Not active"
    code = Trouble(install.last_error_code) if install.last_error_code in set(Trouble) else Trouble.FORBIDDEN
    return _TROUBLES.get(code, ("no_access", "No access"))


def _is_inactive(install: Install) -> bool:
    """Return whether the customer or OpenTrain stopped the install, in which case no token helps."""
    if not install.can_manage:
        return False
    return install.status != "ACTIVE" or install.last_error_code == Trouble.NOT_ACTIVE
