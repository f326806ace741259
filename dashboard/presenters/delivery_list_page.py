"""What a list of deliveries is called, and what stands there while it has no row."""

from enum import StrEnum

from dashboard.forms.delivery_filters import Filter
from dashboard.models import Endpoint, Install


class Nothing(StrEnum):
    """Why there is no row to show."""

    BEYOND = "beyond"
    NO_MATCH = "no_match"
    NOT_SEEN = "not_seen"
    NONE_YET = "none_yet"


def nothing(*, endpoint: Endpoint | None, wanted: Filter, is_first_page: bool) -> Nothing:
    """Say why a list has no row."""
    if not is_first_page:
        return Nothing.BEYOND
    if wanted.used:
        return Nothing.NO_MATCH
    return Nothing.NOT_SEEN if endpoint is not None and not endpoint.is_received else Nothing.NONE_YET


def heading(*, count: str, why: Nothing | None, endpoint: Endpoint | None) -> str:
    """Return the heading of the rows: how many match, or why there is none."""
    if why is None or why is Nothing.BEYOND:
        return count
    if why is Nothing.NO_MATCH:
        return "No match"
    if endpoint is not None and not endpoint.is_logged:
        return "Not seen from here"
    return "Waiting for the first delivery"


def redeliver_label(exactly: int | None) -> str:
    """Name the link to a preview of redelivering what the list shows; `exactly` is how many, where that is known."""
    if exactly == 1:
        return "Redeliver this one…"
    return f"Redeliver these {exactly}…" if exactly else "Redeliver these…"


def install_of(*, install: Install | None, endpoint: Endpoint | None) -> Install | None:
    """Return the install that the list is of as a whole."""
    return install if endpoint is None else None


def redeliver_address(url: str, wanted: Filter) -> str:
    """Return where what the filter shows is redelivered; empty for what cannot be, and for a filter with a mistake."""
    if wanted.refused or wanted.problems:
        return ""
    return f"{url}?{wanted.query}" if wanted.query else url


def causes_heading(wanted: Filter) -> str:
    return "What went wrong in this time" if {"from", "to"} & set(wanted.used) else "What went wrong"
