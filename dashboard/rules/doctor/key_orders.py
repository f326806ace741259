"""Orders of keys that a rewriting lost, and the key that it left out because it was null."""

import itertools
from collections.abc import Iterator

from dashboard.rules.doctor.rewriters import is_index

_EVENT = ("id", "type", "apiVersion", "createdAt", "resourceId", "jobId", "data")
"""Source: partner-api, "Deliveries", "Body"."""
_NESTED = (
    ("id", "status", "jobId", "title", "startDate", "endDate", "createdAt", "projectLinkIds"),
    ("opentrainUserId", "displayName", "country", "profileUrl", "workEmail"),
    ("id", "jobId", "externalProjectId", "externalProjectName", "externalProjectUrl", "provisioningMode", "createdAt"),
    ("id", "name", "amountUsd", "volume", "status"),
    ("seconds", "hours", "labels", "tasks"),
    (
        "contractId", "paymentType", "state", "fundedVolume", "fundedAmountUsd", "consumed", "consumedVolume",
        "remainingVolume", "consumedFraction", "activeMilestone", "lastUsageAt",
    ),
    ("contract", "freelancer", "projectLink"),
    ("milestone", "budget"),
)  # fmt: skip
"""Keys of the objects in an event. Source: the public reference of OpenTrain's Partner API, as of 2026-11-29."""
PERMUTED = 4
"""Most keys of an object whose every order is tried."""
ORDERS = 64
"""Most orders of the keys of an object."""


def event_first(value: dict[str, object]) -> dict[str, object]:
    """Return the event with its own keys in OpenTrain's order; other keys keep theirs, last."""
    return {name: value[name] for name in _EVENT if name in value} | value


def documented(value: object) -> object:
    """Return the value with the keys of each object in it in the documented order; unknown keys keep theirs, last."""
    if isinstance(value, list):
        return [documented(one) for one in value]
    if not isinstance(value, dict):
        return value
    order = max((_EVENT, *_NESTED), key=lambda names: len(value.keys() & set(names)))
    is_known = len(value.keys() & set(order)) * 2 > len(value)
    names = [name for name in order if name in value] if is_known else []
    return {name: documented(value[name]) for name in dict.fromkeys((*names, *value))}


def with_null(value: object) -> Iterator[tuple[str, object]]:
    """Yield the event with its jobId, if it is missing."""
    if isinstance(value, dict) and "jobId" not in value and "data" in value:
        yield "with the jobId that was left out because it was null", event_first(value | {"jobId": None})


def indexes_moved(value: object) -> Iterator[tuple[str, object]]:
    """Yield the value with keys that are numbers in the orders that JavaScript may have changed."""
    if _has_index(value):
        for number in range(ORDERS):
            yield "with its keys that are numbers in another order", _arranged(value, number)


def _has_index(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(is_index, value)) or any(map(_has_index, value.values()))
    return isinstance(value, list) and any(map(_has_index, value))


def _arranged(value: object, number: int) -> object:
    """Return the value with the keys of each object in its order of this number."""
    if isinstance(value, list):
        return [_arranged(one, number) for one in value]
    if not isinstance(value, dict):
        return value
    order = next(itertools.islice(_orders_of(value), number, None), list(value))
    return {name: _arranged(value[name], number) for name in order}


def _orders_of(value: dict[str, object]) -> Iterator[list[str]]:
    """Yield orders of an object's keys: its numbers after or between the others, and in other orders."""
    indexes = [name for name in value if is_index(name)]
    others = [name for name in value if not is_index(name)]
    if not indexes:
        return
    for order in (indexes, indexes[::-1], sorted(indexes)):
        yield [*others, *order]
        yield [*order, *others]
    if len(indexes) == 1:
        for place in range(1, min(len(others), ORDERS)):
            yield [*others[:place], *indexes, *others[place:]]
    elif len(indexes) <= PERMUTED:
        for permuted in itertools.permutations(indexes):
            yield [*others, *permuted]
            yield [*permuted, *others]
