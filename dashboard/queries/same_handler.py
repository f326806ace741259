"""Which endpoints of an install deliver the same events to the same handler, so that the handler gets them twice."""

from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.models.endpoints import Endpoint
from dashboard.models.installs import Install
from dashboard.rules.opentrain_urls import is_same_place


@dataclass(frozen=True, slots=True)
class SameHandler:
    """An endpoint with the same handler, and the event types that would come twice, in the order they were asked."""

    endpoint: Endpoint
    event_types: tuple[str, ...]


def same_handler(*, install: Install, handler: str, event_types: Sequence[str]) -> list[SameHandler]:
    """Return the install's endpoints, oldest first, that deliver some of these events to this handler.

    Those that are disabled or still being registered count too: they may deliver later.
    """
    if not handler:
        return []
    rows = Endpoint.objects.filter(install=install, deleted_at=None).defer("secret").order_by("pk")
    found = []
    for one in rows:
        twice = tuple(name for name in event_types if name in one.event_types)
        # OpenTrain has not told the event types of one that is still being registered.
        twice = twice or (() if one.opentrain_id else tuple(event_types))
        if twice and is_same_place(one.handles, handler):
            found.append(SameHandler(one, twice))
    return found
