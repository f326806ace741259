"""The table of all installs: searched, sorted and paged by its address alone."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Case, Count, Max, OuterRef, Q, Subquery, When, Window
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.actions.installs.sync import CONNECT
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.models import AuditEntry, Endpoint, Install, User
from dashboard.models.installs import MANAGE_SCOPE, RANK_OF_TROUBLE, InstallQuerySet
from dashboard.presenters.controls import Control
from dashboard.presenters.inbox import Concerned, concerned, helps_install
from dashboard.presenters.live import live as live_response
from dashboard.presenters.pages import numbered
from dashboard.rules.endpoints import EndpointHealth, Severity, endpoint_health
from dashboard.rules.installs import Trouble

PAGE = 50
"""Installs on a page."""
SEARCHED = 200
"""So many characters of a search are looked for."""
SORTS = {
    "worst": ("rank", "name", "pk"),
    "name": ("name", "pk"),
    "-name": ("-name", "-pk"),
    "endpoints": ("-endpoint_count", "name", "pk"),
    "checked": ("checked_at", "pk"),
}
SHOWS = ("", "need", "unheard")
HEADS = (("Install", "name"), ("State", "worst"), ("Endpoints", "endpoints"), ("OpenTrain says", ""))
ARROWS = {"ascending": " ↑", "descending": " ↓"}
CHECKED = ("Last checked", "checked")
UNHEARD = (Trouble.UNREACHABLE, Trouble.RATE_LIMITED)
"""What passes by itself, and makes what is shown old meanwhile."""
_TROUBLES = {
    Trouble.TOKEN_REFUSED: ("no_access", "Token refused"),
    Trouble.TOKEN_UNREADABLE: ("no_access", "Token unreadable"),
    Trouble.BAD_ANSWER: ("failing", "No good answer"),
    Trouble.FORBIDDEN: ("no_access", "No access"),
}


@dataclass(frozen=True, slots=True)
class InstallNeed:
    """An install that itself needs a person: what that is called, and why in words."""

    install: Install
    kind: str
    label: str
    words: str
    control: Control | None
    """What helps; None where it is not for this person to do."""
    concerned: Concerned | None
    """The endpoints that it concerns; None where none is known."""

    @property
    def token_at(self) -> datetime | None:
        """When the token was connected that lacks the scope, where a list brought it."""
        return getattr(self.install, "token_at", None)


@dataclass(frozen=True, slots=True)
class InstallRow:
    """An install, and how many of its endpoints are of which health, worst first."""

    install: Install
    counts: tuple[tuple[EndpointHealth, int], ...]
    need: "InstallNeed | None"
    """What is wrong with the install itself."""

    @property
    def is_blank(self) -> bool:
        """Whether there is no state to show: nothing is wrong, and no endpoint is known."""
        return self.need is None and not self.counts

    @property
    def seen_before(self) -> bool:
        """Whether its counts are from before it came to need a person."""
        return self.need is not None and bool(self.counts)

    @property
    def is_well(self) -> bool:
        """Whether OpenTrain calls it active, and nothing else is wrong with it."""
        return self.install.is_active and self.need is None

    @property
    def is_unheard(self) -> bool:
        """Whether OpenTrain did not answer for it last, which by itself needs nobody."""
        return bool(self.install.last_error) and self.need is None


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first rows of the table, as another page shows them and as that page's address asks for them."""

    rows: list[InstallRow]
    more: bool
    asked: "InstallListCriteria"
    columns: list[dict[str, str]]

    @property
    def address(self) -> str:
        """Return the query that asks for the same, of that page and of the whole table."""
        return self.asked.address()


@dataclass(frozen=True, slots=True)
class InstallListCriteria:
    """What the address asks for; nonsense in it is what is shown without it."""

    query: str
    sort: str
    show: str
    page: int

    def address(self, **changes: str | int) -> str:
        """Return the query of the same list with these changes: from its first page, unless a page is named."""
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
        query=asked.get("q", "").replace("\0", "").strip()[:SEARCHED],
        sort=asked["sort"] if asked.get("sort") in SORTS else "worst",
        show=asked["show"] if asked.get("show") in SHOWS else "",
        page=max(int(page), 1) if page.isascii() and page.isdigit() and len(page) <= 6 else 1,  # noqa: PLR2004
    )


def _context(request: MemberRequest) -> dict[str, Any]:
    asked = criteria_of(request)
    visible = Install.objects.visible_to(request.user).defer("token")
    installs, matching, page = _page(_found(visible, asked), asked)
    total = matching if asked == InstallListCriteria("", asked.sort, "", asked.page) else visible.count()
    pages = max(-(-matching // PAGE), 1)
    return {
        "rows": _rows(installs, user=request.user),
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
        "columns": _columns(asked, *HEADS, CHECKED),
        "filters": _filters(asked),
        "nothing": _nothing_words(asked),
        "now": timezone.now(),
    }


def _shown_words(*, first: int, shown: int, matching: int, total: int) -> str:
    """Say which of the installs that match a page shows."""
    words = f"{first:,} to {first + shown - 1:,} of {matching:,}"
    return words if matching == total else f"{words} that fit, of {total:,} in all"


def _nothing_words(asked: InstallListCriteria) -> str:
    """Say why no install is shown although there are some."""
    if asked.query:
        return f"No install{' of these' if asked.show else ''} is called “{asked.query}”."
    if asked.show == "need":
        return "No install needs somebody."
    return "OpenTrain answered for every install when it was asked last."


def _page(found: InstallQuerySet, asked: InstallListCriteria) -> tuple[list[Install], int, int]:
    """Return the page that was asked for, or else the last, how many there are in all, and which page it is.

    A search reads every name, so its rows are counted as they are found; what an index finds is quicker counted apart.
    """
    rows = found.order_by(*SORTS[asked.sort])
    if asked.query:
        counted = rows.annotate(matching=Window(Count("pk")))
        installs = list(counted[(asked.page - 1) * PAGE : asked.page * PAGE])
        if installs:
            return installs, int(getattr(installs[0], "matching", 0)), asked.page
    matching = found.count()
    page = min(asked.page, max(-(-matching // PAGE), 1))
    return list(rows[(page - 1) * PAGE : page * PAGE]), matching, page


def _found(visible: InstallQuerySet, asked: InstallListCriteria) -> InstallQuerySet:
    if asked.query:
        visible = visible.filter(name__icontains=asked.query)
    if asked.show == "need":
        visible = visible.filter(rank__lt=Severity.PAUSED)
    if asked.show == "unheard":
        visible = visible.filter(last_error_code__in=UNHEARD)
    return visible


def _rows(installs: list[Install], *, user: User) -> list[InstallRow]:
    """Count the endpoints of these installs by what they are, in one query."""
    endpoints = Endpoint.objects.registered().filter(install__in=[install.pk for install in installs])
    groups = endpoints.order_by("severity", "status").values_list("install", "status", "severity")
    counts: dict[int, list[tuple[EndpointHealth, int]]] = {}
    for pk, status, _severity, count, failures in groups.annotate(count=Count("pk"), most=Max("consecutive_failures")):
        health = endpoint_health(status=status, consecutive_failures=failures)
        counts.setdefault(pk, []).append((health, count))
    return [_row(install, counts.get(install.pk, ()), user=user) for install in installs]


def _row(install: Install, counts: Iterable[tuple[EndpointHealth, int]], *, user: User) -> InstallRow:
    return InstallRow(install, tuple(counts), install_need(install, user=user) if install.needs_person else None)


def _columns(asked: InstallListCriteria, *heads: tuple[str, str]) -> list[dict[str, str]]:
    """Return the table's heads: what each is called, and where a press on it leads, if it does."""
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
    labels = {"": "All", "need": "Need somebody", "unheard": "No answer lately"}
    return [
        {"label": label, "address": asked.address(show=show), "here": show == asked.show}
        for show, label in labels.items()
    ]


def beginning(request: MemberRequest, *, visible: InstallQuerySet, most: int) -> Beginning:
    """Return the first of the table, searched and sorted, without counting their endpoints by health: one query."""
    asked = replace(criteria_of(request), show="", page=1)
    found = list(_found(visible.defer("token"), asked).order_by(*SORTS[asked.sort])[: most + 1])
    rows = [_row(install, (), user=request.user) for install in found[:most]]
    return Beginning(rows, len(found) > most, asked, _columns(asked, *HEADS[:2], CHECKED))


def installs_needing_attention(visible: InstallQuerySet) -> InstallQuerySet:
    """Return the installs that themselves need a person, each with when a token that lacks the scope was connected."""
    connected = AuditEntry.objects.filter(install=OuterRef("pk"), action=CONNECT, phase=AuditEntry.Phase.DONE)
    lacks = ~Q(token_scopes__contains=[MANAGE_SCOPE])
    token_at = Case(When(lacks, then=Subquery(connected.newest_first().values("at")[:1])))
    rows = visible.defer("token").filter(rank=RANK_OF_TROUBLE).annotate(token_at=token_at)
    return rows.order_by("trouble_since", "name", "pk")


def install_need(install: Install, *, user: User) -> InstallNeed:
    """Say why an install needs a person, and what of it this person may do."""
    kind, label = _need(install)
    words = install.trouble_words
    if _is_inactive(install):
        words = f"{words} Ask the customer whether that is meant: only they or OpenTrain can change it."
    return InstallNeed(install, kind, label, words, helps_install(install, user=user), concerned(install))


def _need(install: Install) -> tuple[str, str]:
    """Return how the need is drawn and what it is called."""
    if not install.can_manage:
        return "no_access", "Missing scope"
    if _is_inactive(install):
        return "no_access", "Not active"
    code = Trouble(install.last_error_code) if install.last_error_code in set(Trouble) else Trouble.FORBIDDEN
    return _TROUBLES.get(code, ("no_access", "No access"))


def _is_inactive(install: Install) -> bool:
    """Tell whether it is the customer or OpenTrain who stopped the install: no token helps then."""
    if not install.can_manage:
        return False
    return install.status != "ACTIVE" or install.last_error_code == Trouble.NOT_ACTIVE
