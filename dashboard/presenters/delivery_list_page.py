"""Headings and links of a delivery list, and the reason for an empty one."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.urls import reverse

from dashboard.forms.delivery_filters import REFUSED, Filter, link_query
from dashboard.models import Endpoint, Install
from dashboard.presenters.redeliverable import Part, Redeliverable
from dashboard.rules.deliveries import StateKind

_TABS = (
    ("All", "", ""),
    (StateKind.FAILED.label, "state", StateKind.FAILED.value),
    (StateKind.RETRYING.label, "state", StateKind.RETRYING.value),
    ("Refused", "signature", REFUSED),
)
"""The tabs above a list: the label, and the filter that each sets."""


class Nothing(StrEnum):
    """Why a list is empty."""

    BEYOND = "beyond"
    NO_MATCH = "no_match"
    NOT_SEEN = "not_seen"
    NONE_YET = "none_yet"


@dataclass(frozen=True, slots=True)
class Tab:
    """A link to the deliveries in one state; `here` is the current one."""

    label: str
    url: str
    here: bool


def tabs(*, url: str, wanted: Filter) -> list[Tab]:
    """Return the tabs of a list. They keep the other filters."""
    used = wanted.used
    dropped = {"state", "signature"} if wanted.refused else {"state"}
    kept = {name: value for name, value in used.items() if name not in dropped}
    here = REFUSED if wanted.refused else used.get("state", "")
    queries = [(label, link_query(kept | {name: value}), value == here) for label, name, value in _TABS]
    return [Tab(label, f"{url}?{query}" if query else url, is_here) for label, query, is_here in queries]


def nothing(*, endpoint: Endpoint | None, wanted: Filter, is_first_page: bool) -> Nothing:
    """Return why a list is empty."""
    if not is_first_page:
        return Nothing.BEYOND
    if wanted.used:
        return Nothing.NO_MATCH
    return Nothing.NOT_SEEN if endpoint is not None and not endpoint.is_received else Nothing.NONE_YET


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Where to go on with an ID that no delivery of a list has. `refused` lists the requests that claimed it."""

    identifier: str
    refused: str = ""
    count: int = 0


def sought_id(wanted: Filter) -> str:
    """Return the ID that a list is filtered by; empty without one."""
    return next((wanted.used[name] for name in ("delivery", "event_id", "resource") if name in wanted.used), "")


def elsewhere(wanted: Filter, *, url: str, refused: int) -> Elsewhere | None:
    """Return where to go on from a list without matches; None if it is not filtered by an ID.

    `url` is the list's, `refused` the number of refused requests that claimed the delivery ID.
    """
    identifier = sought_id(wanted)
    if not identifier:
        return None
    if not refused:
        return Elsewhere(identifier)
    query = link_query({"delivery": wanted.used.get("delivery", ""), "signature": REFUSED})
    return Elsewhere(identifier, f"{url}?{query}", refused)


def heading(*, count: str, why: Nothing | None, endpoint: Endpoint | None) -> str:
    """Return the heading of the rows: how many match, or why the list is empty."""
    if why is None or why is Nothing.BEYOND:
        return count
    if why is Nothing.NO_MATCH:
        return "No matches"
    if endpoint is not None and not endpoint.is_logged:
        return "Not visible to Redeliver"
    return "Waiting for the first delivery"


@dataclass(frozen=True, slots=True)
class Again:
    """The link above a list that leads to a redelivery, and why there is none. Empty if nothing is to be said.

    `of` is the title of the endpoint that `help` is about, on a list of several.
    """

    label: str = ""
    url: str = ""
    help: str = ""
    icon: str = "send"
    of: str = ""


def again(found: Redeliverable, *, url: str, names_endpoint: bool = False) -> Again:
    """Return the link to what can be redelivered of a list. `url` is the preview of its redelivery."""
    if found.count is None:
        return Again("Redeliver these…", url)
    if found.count:
        return Again("Redeliver this one…" if found.count == 1 else f"Redeliver these {found.count}…", url)
    if found.overtaken:
        return Again(f"Redeliver {found.overtaken} overtaken…", url)
    if found.blocked:
        return _blocked(found.blocked, names_endpoint=names_endpoint)
    if found.delivered:
        return Again("Send delivered ones again…", f"{url}{'&' if '?' in url else '?'}delivered=1")
    return Again()


def _blocked(parts: Sequence[Part], *, names_endpoint: bool) -> Again:
    first = parts[0]
    of = first.endpoint.short_title if names_endpoint else ""
    if len(parts) > 1:
        return Again(help=f"Nothing can be redelivered now on these {len(parts)} endpoints. Open them to see why.")
    if first.active is not None:
        run = first.active.run
        return Again(
            help=f"These wait for {run.get_kind_display().lower()} {run.pk}, which is active on the endpoint.", of=of
        )
    if first.helps == "recover":
        url = reverse("endpoint-recover", args=[first.endpoint.pk])
        return Again("Recover…", url, help=first.obstacle, icon="tool", of=of)
    return Again(help=first.obstacle, of=of)


def install_of(*, install: Install | None, endpoint: Endpoint | None) -> Install | None:
    """Return the install if the list covers the whole install, else None."""
    return install if endpoint is None else None


def redeliver_address(url: str, wanted: Filter) -> str:
    """Return the URL to redeliver the list; empty for refused requests and for an invalid filter."""
    if wanted.refused or wanted.problems:
        return ""
    return f"{url}?{wanted.query}" if wanted.query else url


def causes_heading(wanted: Filter) -> str:
    return "What went wrong in this period" if {"from", "to"} & set(wanted.used) else "What went wrong"
