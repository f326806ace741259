"""Deliveries that a later event of the same resource has overtaken, at the same endpoint."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef

from dashboard.models import Delivery, Endpoint, Evidence
from dashboard.rules.deliveries import Standing
from dashboard.rules.event_order import CAN_BE_OVERTAKEN, OVERTAKE, Event, Other, newest, overtaken_by
from dashboard.rules.reconciliation import Event as ContractEvent

ENDED = "ended"
"""The status of a contract that has ended. Source: partner-api, "Operations"."""
_OTHERS = """
    SELECT endpoint_id, resource_id, event_type, event_id, event_created_at,
           CASE WHEN last_ok THEN last_attempt_at END, false
    FROM dashboard_delivery
    WHERE resource_id = ANY(%(resources)s) AND NOT resource_id = ''
        AND endpoint_id = ANY(%(endpoints)s) AND event_type = ANY(%(types)s)
    UNION ALL
    SELECT evidence.endpoint_id, contract.opentrain_id, event_type, event_id, event_created_at, taken_at, false
    FROM dashboard_contract AS contract JOIN dashboard_evidence AS evidence ON evidence.contract_id = contract.id
    WHERE contract.opentrain_id = ANY(%(resources)s)
        AND evidence.endpoint_id = ANY(%(endpoints)s) AND event_type = ANY(%(types)s)
    UNION ALL
    SELECT endpoint.id, contract.opentrain_id, %(ended)s, '', NULL, NULL, true
    FROM dashboard_contract AS contract JOIN dashboard_endpoint AS endpoint USING (install_id)
    WHERE contract.opentrain_id = ANY(%(resources)s) AND contract.status = %(status)s
        AND endpoint.id = ANY(%(endpoints)s)
"""
"""What the log says, what the evidence of deliveries says that retention took, and what OpenTrain lists."""
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
    given: dict[str, Any] = {
        "endpoints": list({one.endpoint for one in asked}),
        "resources": list({one.resource for one in asked}),
        "types": list(OVERTAKE),
        "ended": ContractEvent.ENDED.value,
        "status": ENDED,
    }
    found: dict[Key, list[Other]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_OTHERS, given)
        for endpoint, resource, event_type, event_id, created_at, taken_at, is_listed in cursor.fetchall():
            other = Other(Event(event_type, event_id, created_at), taken_at, is_listed)
            found.setdefault((endpoint, resource), []).append(other)
    return found
