"""Why a list or a search has no results, and what to do next: each cause with its step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.conf import settings
from django.urls import reverse

from dashboard.forms.delivery_filters import REFUSED
from dashboard.models import Endpoint

TIMES = frozenset({"from", "to"})
IDS = ("delivery", "event_id", "resource", "request", "q")
"""Filters by an ID, in the order in which a search takes one of them."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A possible cause, and a link to the next step if there is one."""

    words: str
    label: str = ""
    url: str = ""


def of_deliveries(*, url: str, used: Mapping[str, str], endpoint: Endpoint | None) -> list[Cause]:
    """Return why no delivery matches the filters in use."""
    found = _of_filters(url=url, used=used)
    if endpoint is not None and not endpoint.is_logged:
        words = "Deliveries of this endpoint go directly to its URL, so Redeliver does not see them."
        found.append(Cause(words, "Open the endpoint", reverse("endpoint-detail", args=[endpoint.pk])))
    elif endpoint is None:
        found.append(Cause("An endpoint that gets its deliveries directly is not in this log.", *_to_installs()))
    return [*found, *_kept("Deliveries and refused requests")]


def of_contracts(*, url: str, used: Mapping[str, str]) -> list[Cause]:
    """Return why no contract of an install matches the filters in use."""
    found = _of_filters(url=url, used=used)
    found.append(Cause("Redeliver reads contracts at intervals: one since the last read is not here yet."))
    return [*found, *_kept("Contracts that OpenTrain no longer lists")]


def of_activity(*, url: str, used: Mapping[str, str], sees_all: bool) -> list[Cause]:
    """Return why no activity matches the filters in use."""
    found = _of_filters(url=url, used=used)
    if not sees_all:
        found.append(Cause("You see your own actions, and those on installs that you have access to."))
    return [*found, Cause("Changes that people make at OpenTrain itself are not recorded here.")]


def of_search(*, sees_all: bool) -> list[Cause]:
    """Return why a search finds nothing."""
    found = [
        Cause("A part of an ID finds nothing: use the complete ID."),
        Cause("The delivery went directly to its handler, so it is not in the log.", *_to_installs()),
        *_kept("Deliveries"),
    ]
    if not sees_all:
        found.append(Cause("It is of an install that you have no access to. Ask support."))
    return found


def _of_filters(*, url: str, used: Mapping[str, str]) -> list[Cause]:
    found = []
    if TIMES & used.keys():
        rest = {name: value for name, value in used.items() if name not in TIMES}
        found.append(Cause("It was outside the time range.", "Remove the time range", _with(url, rest)))
    if "install" in used:
        words = "The filter takes the whole name of an install, its ID or its number, not a part of it."
        found.append(Cause(words, "Search installs", _with(reverse("install-list"), {"q": used["install"]})))
    sought = next((used[name] for name in IDS if name in used), "")
    if sought:
        words = "The ID is of something else, or of another install or endpoint."
        found.append(Cause(words, "Search everywhere", _with(reverse("search"), {"q": sought})))
    state = {name for name, value in used.items() if name == "state" or value == REFUSED}
    if state:
        rest = {name: value for name, value in used.items() if name not in state}
        found.append(Cause("None is in this state.", "Show all states", _with(url, rest)))
    narrow = len(used.keys() - TIMES - state - set(IDS))
    if narrow:
        words = "The filters are too narrow." if narrow > 1 else "The filter is too narrow."
        found.append(Cause(words, "Clear all filters", url))
    return found


def _kept(what: str) -> list[Cause]:
    days: int = settings.RETENTION_DAYS
    return [Cause(f"{what} are kept for {days} days.")] if days else []


def _to_installs() -> Sequence[str]:
    return "View installs", reverse("install-list")


def _with(url: str, query: Mapping[str, str]) -> str:
    return f"{url}?{urlencode(query)}" if query else url
