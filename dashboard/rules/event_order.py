"""Pure rules: the order of a resource's events, and which redelivery would undo what a later event did.

OpenTrain delivers in no guaranteed order, and a redelivery comes later than everything that happened meanwhile. A
`contract.started` that arrives after its `contract.ended` gives access back to someone who left.

Events are ordered by their `createdAt`, then by the number in their IDs, which only ever grows. Source: partner-api,
"Deliveries". IDs are never compared as text. If the order is not known, an event counts as overtaken.
"""

import functools
import heapq
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from dashboard.rules.durations import ago


@dataclass(frozen=True, slots=True)
class Pair:
    """Two events of one resource: `undoing` takes away what `giving` gave. The texts are for sentences."""

    giving: str
    undoing: str
    resource: str
    effect: str
    """What the handler may do if it gets `giving` last."""


PAIRS = (
    Pair("contract.started", "contract.ended", "contract", "may give access back"),
    Pair("project_link.created", "project_link.removed", "project link", "may set the project up again"),
)
STATES = frozenset({"milestone.funded", "milestone.budget_low", "milestone.budget_depleted"})
"""Events that tell a resource's state. The handler acts on the last one that it takes."""

UNDONE_BY: Mapping[str, Pair] = {pair.giving: pair for pair in PAIRS}
UNDOING = frozenset(pair.undoing for pair in PAIRS)
"""Events that never wait for another one, and that nothing overtakes."""
CAN_BE_OVERTAKEN = STATES | frozenset(UNDONE_BY)
OVERTAKE = STATES | UNDOING

MOST_OTHERS = 50
"""Events of a resource that one is compared with: the newest, and those without a time."""
_NUMBERED = re.compile(r"([^0-9]*)([0-9]+)")
_EARLIEST = datetime.min.replace(tzinfo=UTC)


class Order(Enum):
    """When an event happened, compared with another one. The value is its sign in a sort."""

    BEFORE = -1
    UNKNOWN = 0
    AFTER = 1


@dataclass(frozen=True, slots=True)
class Event:
    """An event as its body describes it. `created_at` is by OpenTrain's clock."""

    type: str
    id: str = ""
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Other:
    """Another event of the same resource for the same endpoint.

    `taken_at` is when the handler took it; None if it did not, as far as is known. `is_listed`: no delivery is known,
    but OpenTrain lists the resource as this event leaves it.
    """

    event: Event
    taken_at: datetime | None = None
    is_listed: bool = False


def order(one: Event, other: Event) -> Order:
    """Return when `one` happened, compared with `other`."""
    if one.created_at is not None and other.created_at is not None and one.created_at != other.created_at:
        return Order.BEFORE if one.created_at < other.created_at else Order.AFTER
    mine, theirs = _number(one), _number(other)
    if mine is None or theirs is None or mine[0] != theirs[0] or mine[1] == theirs[1]:
        return Order.UNKNOWN
    return Order.BEFORE if mine[1] < theirs[1] else Order.AFTER


def overtaken_by(event: Event, others: Iterable[Other]) -> Other | None:
    """Return the other event of the resource that has overtaken this one, so that a redelivery would undo it.

    - An event that gives something is overtaken by the one that takes it away, whether that was taken or not: it may
      still be taken first.
    - An event that tells a state is overtaken by a later one that was taken.

    Of several, the one that was taken last is returned. None if there is none.
    """
    found = [other for other in others if _overtakes(other, event)]
    return max(found, key=lambda other: other.taken_at or _EARLIEST, default=None)


def newest(others: Iterable[Other]) -> list[Other]:
    """Return the others that can make a difference, at most MOST_OTHERS, so that a comparison's cost is bounded."""
    return heapq.nlargest(MOST_OTHERS, others, key=_newness)


def in_order(events: Sequence[tuple[str, Event]]) -> list[int]:
    """Return the indexes of the events, given with their resources in order of arrival, in the order to send them.

    The events of each resource are in the order in which they happened, at the places that they had in all. Events
    whose order is not known, and those without a resource, stay as they are.
    """
    places: dict[str, list[int]] = {}
    for index, (resource, _event) in enumerate(events):
        if resource:
            places.setdefault(resource, []).append(index)

    def compared(one: int, other: int) -> int:
        return order(events[one][1], events[other][1]).value

    found = list(range(len(events)))
    for mine in places.values():
        happened = sorted(mine, key=functools.cmp_to_key(compared))
        for place, index in zip(mine, happened, strict=True):
            found[place] = index
    return found


def waits(event_type: str) -> bool:
    """Return whether an event waits until the one before it of the same resource is settled."""
    return event_type not in UNDOING


def overtaken_words(event_type: str, by: Other, *, now: datetime | None = None) -> str:
    """Say what has overtaken an event of this type, and what its redelivery may do. `now` adds how long ago."""
    pair = UNDONE_BY.get(event_type)
    if pair is None:
        return (
            f"{by.event.type}, a later event of the same resource, was taken{_ago(by, now)}; redelivering {event_type} "
            "may set the handler back to an earlier state"
        )
    return f"{_undone(pair, by, now)}; redelivering {event_type} {pair.effect}"


def _undone(pair: Pair, by: Other, now: datetime | None) -> str:
    if by.is_listed:
        return f"OpenTrain lists this {pair.resource} as ended"
    if by.taken_at is None:
        return f"{pair.undoing} of this {pair.resource} exists, and no attempt of it was taken yet"
    return f"{pair.undoing} of this {pair.resource} was taken{_ago(by, now)}"


def _ago(by: Other, now: datetime | None) -> str:
    return "" if now is None or by.taken_at is None else f" {ago(then=by.taken_at, now=now)}"


def _overtakes(other: Other, event: Event) -> bool:
    pair = UNDONE_BY.get(event.type)
    if pair is not None:
        return other.event.type == pair.undoing and (other.is_listed or order(event, other.event) is not Order.AFTER)
    is_later_state = event.type in STATES and other.event.type in STATES and other.taken_at is not None
    return is_later_state and order(event, other.event) is not Order.AFTER


def _number(event: Event) -> tuple[str, int] | None:
    """Return the prefix and the number of an event's ID; None unless it is a prefix without digits and a number."""
    found = _NUMBERED.fullmatch(event.id)
    return None if found is None else (found[1], int(found[2]))


def _newness(other: Other) -> tuple[bool, bool, datetime, int]:
    number = _number(other.event)
    is_undated = other.event.created_at is None
    return (other.is_listed, is_undated, other.event.created_at or _EARLIEST, number[1] if number else 0)
