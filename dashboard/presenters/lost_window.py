"""What contracts did while OpenTrain sent an endpoint nothing: for its page, and before it is paused or recovered."""

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from dashboard.forms import contract_filters
from dashboard.models import Endpoint
from dashboard.presenters.controls import Link
from dashboard.queries import lost_window
from dashboard.queries.lost_window import LOOKED_AT, Span
from dashboard.rules.lost_window import Found, Lost, pause_words, stop_words


@dataclass(frozen=True, slots=True)
class LostWindow:
    """What is known in sentences, and the link to the contracts of which something is missing or may still come."""

    sentences: tuple[str, ...]
    control: Link | None


def lost_while_stopped(endpoint: Endpoint, *, now: datetime) -> LostWindow | None:
    """Return what contracts did since OpenTrain sends the endpoint nothing; None while it sends, or no such events."""
    if not lost_window.subscribes(endpoint):
        return None
    stop = lost_window.stop_of(endpoint, now=now)
    if stop is None:
        return None
    found = lost_window.found_in([Span(0, endpoint, stop.since, now)])[0]
    reads = lost_window.reads_of([endpoint.install_id])[endpoint.install_id]
    control = contracts_link(Lost(endpoint=endpoint.pk), found, install_id=endpoint.install_id)
    return LostWindow(stop_words(stop, found, reads=reads, now=now), control)


def if_paused(endpoint: Endpoint) -> str:
    """Say what a pause can do to people; empty for an endpoint that subscribes to no contract event."""
    if not lost_window.subscribes(endpoint):
        return ""
    active = lost_window.active_contracts(install_id=endpoint.install_id)
    reads = lost_window.reads_of([endpoint.install_id])[endpoint.install_id]
    return pause_words(active=min(active, LOOKED_AT), more=active > LOOKED_AT, reads=reads)


def contracts_link(lost: Lost, found: Found, *, install_id: int) -> Link | None:
    """Return the link to the contracts that lack an event, or of which one may still come; None if there is none."""
    if not found.concerned:
        return None
    query = contract_filters.link_query({"lost": lost.text})
    label = "Open contract" if len(found.concerned) == 1 else "Open contracts"
    return Link(label, f"{reverse('install-contracts', args=[install_id])}?{query}")
