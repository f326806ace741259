"""What keeps an install from being disconnected, with what to do about each endpoint."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse

from dashboard.models import Endpoint
from dashboard.presenters.controls import Link

LISTED = 25
"""Endpoints that are listed; the others are counted."""


@dataclass(frozen=True, slots=True)
class InTheWay:
    """An endpoint that the receiver takes deliveries of, and what ends that."""

    endpoint: Endpoint
    words: str
    controls: tuple[Link, ...]


def in_the_way(endpoints: Sequence[Endpoint]) -> list[InTheWay]:
    """Return the first of the endpoints, each with the ways out of the receiver's path."""
    return [_of(endpoint) for endpoint in endpoints[:LISTED]]


def _of(endpoint: Endpoint) -> InTheWay:
    if endpoint.opentrain_id is None:
        return InTheWay(endpoint, "It is being registered. OpenTrain has not answered yet.", ())
    delete = Link("Delete…", reverse("endpoint-delete", args=[endpoint.pk]), icon="x")
    edit = Link("Edit its URL…", reverse("endpoint-edit", args=[endpoint.pk]), icon="tool")
    if endpoint.is_routing:
        words = "OpenTrain was asked to deliver it through Redeliver, and whether it does is not known."
        return InTheWay(endpoint, words, (delete,))
    if not endpoint.is_received:
        return InTheWay(endpoint, "OpenTrain delivers it to an address of Redeliver's receiver.", (edit, delete))
    if not endpoint.handler_url:
        words = "Redeliver receives it, and it has no handler. Set one to take Redeliver out of the path, or delete it."
        return InTheWay(endpoint, words, (edit, delete))
    out = Link("Take Redeliver out of the path…", reverse("endpoint-bypass", args=[endpoint.pk]), icon="send")
    return InTheWay(endpoint, "Redeliver receives its deliveries and forwards them to its handler.", (out, delete))
