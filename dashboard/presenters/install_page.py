"""An install's page: its controls, and a page of its endpoints, each with its control."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from django.urls import reverse

from dashboard.auth.permissions import Permission, may
from dashboard.forms.endpoint_filters import EndpointFilters
from dashboard.models import Endpoint, Install, User
from dashboard.presenters import controls
from dashboard.presenters.controls import MAIN, Control, Link
from dashboard.presenters.delivery_source import path_words
from dashboard.presenters.figures import Shown
from dashboard.presenters.pages import Pager, numbered
from dashboard.presenters.rows import EndpointRow
from dashboard.queries.endpoint_lists import EndpointPage, Show
from dashboard.rules.figures import MEANING

SHOWN = 25
"""Endpoints on a page."""
REGISTERING_SHOWN = 10
"""Endpoints being registered on a page, the newest ones."""
BESIDE = "next [data-answer]"
"""Where a row shows the result of its button."""
_SHOWS = {
    Show.ALL: "All",
    Show.NEED: "Needs attention",
    Show.FAILED: "Failed deliveries",
    Show.PAUSED: "Paused",
    Show.ACTIVE: "Active",
}


@dataclass(frozen=True, slots=True)
class Pill:
    """A link that shows another part of the list; `here` is the current one."""

    label: str
    url: str
    here: bool


@dataclass(frozen=True, slots=True)
class HelpedRow:
    """An endpoint of the install, its primary control, and the path of its deliveries in words."""

    row: EndpointRow
    control: Control
    path: str
    failed: str
    """Number of known failed deliveries, in words; empty if Redeliver does not see the endpoint's deliveries."""
    figures: Shown
    """Its last 24 hours."""


@dataclass(frozen=True, slots=True)
class EndpointList:
    """A page of the install's endpoints. `here` is its query; `pills` is empty if the list fits on one page.

    `nothing` says why no endpoint matches the filters; empty without filters.
    """

    rows: Sequence[HelpedRow]
    text: str
    show: Show
    here: str
    pills: tuple[Pill, ...]
    pager: Pager
    nothing: str
    meaning: str = MEANING
    """What the figures of the rows count."""


@dataclass(frozen=True, slots=True)
class Registering:
    """The newest endpoints that are being registered, and how many others there are."""

    endpoints: Sequence[Endpoint]
    others: int


def endpoint_list(
    rows: Sequence[EndpointRow],
    *,
    page: EndpointPage,
    filters: EndpointFilters,
    figures: Mapping[int, Shown],
    install: Install,
    user: User,
) -> EndpointList:
    """Return the page of endpoints; the list can be searched once it is longer than a page."""
    text, show, url = filters.criteria.text, filters.criteria.show, reverse("install-detail", args=[install.pk])
    is_filtered = bool(text or show)
    is_long = is_filtered or install.endpoint_count > SHOWN
    pills = tuple(Pill(label, url + filters.address(show=str(one)), one is show) for one, label in _SHOWS.items())
    pager = numbered(
        page=page.number,
        pages=max(-(-page.matching // SHOWN), 1),
        address=lambda number: url + filters.address(page=number),
        words=_shown_words(page, total=install.endpoint_count),
    )
    return EndpointList(
        rows=[helped(row, figures=figures[row.endpoint.pk], install=install, user=user) for row in rows],
        text=text,
        show=show,
        here=filters.address(page=page.number),
        pills=pills if is_long else (),
        pager=pager if is_long and page.ids else Pager(()),
        nothing=_nothing_words(text, show) if is_filtered else "",
    )


def registering(newest: Sequence[Endpoint], *, count: int) -> Registering:
    return Registering(newest, count - len(newest))


def actions(install: Install, *, user: User, is_unseen: bool = False) -> tuple[Control, ...]:
    """Return the controls of the install; replacing the token comes first if that solves its problem.

    `is_unseen`: the page offers first to route endpoints that exist.
    """
    found: list[Control] = []
    replaces = may(user, Permission.MANAGE_INSTALLS)
    if install.is_disconnected:
        found += [controls.connect_again(install.pk)] if replaces else []
        return (*found, _activity(install))
    if replaces and install.new_token_helps:
        found.append(controls.replace_token(install.pk))
    if may(user, Permission.MANAGE_ENDPOINTS) and install.can_manage:
        found.append(register(install, is_first=not install.needs_person and not is_unseen))
    if replaces and not install.new_token_helps:
        found.append(controls.replace_token(install.pk, look=""))
    if may(user, Permission.MANAGE_CHANNELS):
        url = f"{reverse('alert-channel-create')}?install={install.pk}"
        found.append(Link("Send its alerts…", url, icon="alert-circle"))
    return (*found, _activity(install))


def _activity(install: Install) -> Link:
    return Link("Activity", f"{reverse('activity')}?install={install.pk}", icon="clock")


def register(install: Install, *, is_first: bool = True) -> Link:
    url = reverse("endpoint-create", args=[install.pk])
    return Link("Register an endpoint", url, icon="plus", look=MAIN if is_first else "")


def helped(row: EndpointRow, *, figures: Shown, install: Install, user: User) -> HelpedRow:
    return HelpedRow(row, _helps(row, install, user), path_words(row.endpoint), _failed(row), figures)


def _helps(row: EndpointRow, install: Install, user: User) -> Control:
    pk = row.endpoint.pk
    if install.new_token_helps or not may(user, Permission.OPERATE):
        return controls.open_endpoint(pk)
    if row.recoverable:
        return controls.recover(pk)
    if row.stopped:
        return replace(controls.enable(pk, row.enable_operation, target=BESIDE), look=MAIN)
    if row.failed:
        return replace(controls.redeliver_failed(pk, row.redeliver_operation, target=BESIDE), look=MAIN)
    return controls.open_endpoint(pk)


def _failed(row: EndpointRow) -> str:
    if not row.endpoint.is_logged:
        return ""
    return str(row.failed) if row.failed else "none"


def _shown_words(page: EndpointPage, *, total: int) -> str:
    """Say which of the matching endpoints the page shows."""
    first = (page.number - 1) * SHOWN + 1
    words = f"{first:,} to {first + len(page.ids) - 1:,} of {page.matching:,}"
    return words if page.matching == total else f"{words} matches, {total:,} in total"


def _nothing_words(text: str, show: Show) -> str:
    """Say why no endpoint is shown although some may exist."""
    if text:
        return f"No endpoint{' in this view' if show else ''} matches “{text}”."
    return {
        Show.NEED: "No endpoint is disabled or failing.",
        Show.FAILED: "No endpoint has failed deliveries in the log.",
        Show.PAUSED: "No endpoint is paused.",
    }.get(show, "No endpoint is active without consecutive failures.")
