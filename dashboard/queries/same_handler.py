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


def same_handler(
    *, install: Install, handler: str, event_types: Sequence[str], besides: Endpoint | None = None
) -> list[SameHandler]:
    """Return the install's endpoints, oldest first, that deliver some of these events to this handler.

    `besides` is the endpoint that is changed. Those that are disabled or still being registered count too: they may
    deliver later.
    """
    if not handler:
        return []
    rows = Endpoint.objects.filter(install=install, deleted_at=None).defer("secret").order_by("pk")
    rows = rows if besides is None else rows.exclude(pk=besides.pk)
    found = []
    for one in rows:
        twice = tuple(name for name in event_types if name in one.event_types)
        # OpenTrain has not told the event types of one that is still being registered.
        twice = twice or (() if one.opentrain_id else tuple(event_types))
        if twice and is_same_place(one.handles, handler):
            found.append(SameHandler(one, twice))
    return found


def newly_same(*, endpoint: Endpoint, handler: str, event_types: Sequence[str]) -> list[SameHandler]:
    """Return the same for a change of an endpoint, without the endpoints whose events come twice already."""
    install = endpoint.install
    before = same_handler(install=install, handler=endpoint.handles, event_types=endpoint.event_types, besides=endpoint)
    twice = {one.endpoint.pk: set(one.event_types) for one in before}
    found = same_handler(install=install, handler=handler, event_types=event_types, besides=endpoint)
    return [one for one in found if not set(one.event_types) <= twice.get(one.endpoint.pk, set())]
