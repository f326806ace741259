"""Deliveries that a later event of the same resource has overtaken, at the same endpoint."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Exists, OuterRef

from dashboard.models import Contract, Delivery, Endpoint, Evidence
from dashboard.rules.deliveries import Standing
from dashboard.rules.event_order import CAN_BE_OVERTAKEN, OVERTAKE, Event, Other, newest, overtaken_by
from dashboard.rules.reconciliation import Event as ContractEvent

_ENDED = "ended"
"""The status of a contract that has ended. Source: partner-api, "The read side"."""
_LISTED = Other(Event(ContractEvent.ENDED), is_listed=True)
Key = tuple[int, str]
"""An endpoint's primary key and a resource's ID."""


@dataclass(frozen=True, slots=True)
class _Asked:
    pk: int
    endpoint: int
    resource: str
    event: Event


def overtaken(*, deliveries: Iterable[Delivery]) -> dict[int, Other]:
    """Return what has overtaken each of these deliveries, by their primary keys. The others are not in it.

    It reads what the log and the evidence of deliveries that retention took say of their resources, and which
    contracts OpenTrain lists as ended.
    """
    return _overtaken([_Asked(one.pk, one.endpoint_id, one.resource_id, event_of(one)) for one in deliveries])


def overtaken_failed(*, endpoint: Endpoint) -> dict[int, Other]:
    """Return what has overtaken failed deliveries of the endpoint, by their primary keys."""
    rows = endpoint.deliveries.failed().filter(event_type__in=CAN_BE_OVERTAKEN)
    columns = ("endpoint_id", "resource_id", "event_type", "event_id", "event_created_at")
    return overtaken(deliveries=rows.order_by().only(*columns))


def overtaken_gone(*, endpoint: Endpoint) -> int:
    """Return how many deliveries of the endpoint are overtaken that had failed before retention took them.

    OpenTrain may still have them as failed.
    """
    there = Delivery.objects.filter(endpoint=OuterRef("endpoint"), opentrain_id=OuterRef("opentrain_id"))
    rows = Evidence.objects.filter(~Exists(there), endpoint=endpoint, standing=Standing.FAILED)
    rows = rows.filter(event_type__in=CAN_BE_OVERTAKEN)
    columns = ("pk", "endpoint", "contract__opentrain_id", "event_type", "event_id", "event_created_at")
    found = [_Asked(pk, of, resource, Event(*event)) for pk, of, resource, *event in rows.values_list(*columns)]
    return len(_overtaken(found))


def event_of(delivery: Delivery) -> Event:
    return Event(delivery.event_type, delivery.event_id, delivery.event_created_at)


def _overtaken(rows: Iterable[_Asked]) -> dict[int, Other]:
    asked = [one for one in rows if one.resource and one.event.type in CAN_BE_OVERTAKEN]
    if not asked:
        return {}
    others = {key: newest(found) for key, found in _others(asked).items()}
    found = {one.pk: overtaken_by(one.event, others.get((one.endpoint, one.resource), ())) for one in asked}
    return {pk: by for pk, by in found.items() if by is not None}


def _others(asked: Sequence[_Asked]) -> dict[Key, list[Other]]:
    """Return the events that can overtake others, by endpoint and resource."""
    found: dict[Key, list[Other]] = {}
    endpoints, resources = {one.endpoint for one in asked}, {one.resource for one in asked}
    same = {"endpoint__in": endpoints, "event_type__in": OVERTAKE}
    logged = Delivery.objects.filter(resource_id__in=resources, **same).exclude(resource_id="")
    columns = ("event_type", "event_id", "event_created_at")
    for endpoint, resource, *event, is_ok, at in logged.values_list(
        "endpoint", "resource_id", *columns, "last_ok", "last_attempt_at"
    ):
        found.setdefault((endpoint, resource), []).append(Other(Event(*event), at if is_ok else None))
    kept = Evidence.objects.filter(contract__opentrain_id__in=resources, **same)
    for endpoint, resource, *event, taken_at in kept.values_list(
        "endpoint", "contract__opentrain_id", *columns, "taken_at"
    ):
        found.setdefault((endpoint, resource), []).append(Other(Event(*event), taken_at))
    for key in _listed_as_ended(endpoints, resources):
        found.setdefault(key, []).append(_LISTED)
    return found


def _listed_as_ended(endpoints: Iterable[int], resources: Iterable[str]) -> list[Key]:
    """Return the contracts that OpenTrain lists as ended, for each endpoint of their installs."""
    installs = dict(Endpoint.objects.filter(pk__in=endpoints).values_list("pk", "install"))
    ended = Contract.objects.filter(opentrain_id__in=resources, install__in=installs.values(), status=_ENDED)
    listed = set(ended.values_list("install", "opentrain_id"))
    return [(pk, contract) for pk, install in installs.items() for owner, contract in listed if owner == install]
