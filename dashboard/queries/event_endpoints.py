"""What became of one event at each endpoint of its install: its delivery, or what is known of why there is none.

The number of queries does not depend on the number of endpoints, and is one for an install with one endpoint.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from dashboard.config.schedule import schedule
from dashboard.models import Delivery, Endpoint, Evidence, RefusedAttempt
from dashboard.queries.contract_history import periods
from dashboard.queries.verdicts import endpoint_facts
from dashboard.rules.event_endpoints import EndpointThen, Happened, retried_until
from dashboard.rules.outside_texts import is_whole
from dashboard.rules.reconstruction import is_reconstructed

MOST_ENDPOINTS = 50
"""Endpoints of an install that are looked at."""
MOST_DELIVERIES = 200
"""Deliveries of one event. An endpoint has several if OpenTrain created the delivery again."""
MOST_REFUSED = 1000


@dataclass(frozen=True, slots=True)
class OfEvent:
    """An event at the endpoints of its install: by their keys, its newest delivery, or what says why there is none.

    `has_more`: the install has more endpoints.
    """

    happened: Happened
    endpoints: tuple[Endpoint, ...]
    deliveries: Mapping[int, Delivery]
    absent: Mapping[int, EndpointThen]
    has_more: bool = False


def of_event(delivery: Delivery, *, now: datetime) -> OfEvent | None:
    """Return what became of the delivery's event at each endpoint of its install; None if it has only this one.

    None too if the event is not known by a whole ID. The delivery comes with its endpoint.
    """
    if not delivery.event_id or not is_whole(delivery.event_id):
        return None
    install = delivery.endpoint.install_id
    found = siblings([install], since=delivery.first_received_at)
    if all(one.pk == delivery.endpoint_id for one in found):
        return None
    rows = Delivery.objects.filter(event_id=delivery.event_id, endpoint__install=install).defer("body")
    newest = list(rows.newest_first()[:MOST_DELIVERIES])
    of_endpoint = {one.endpoint_id: one for one in reversed(newest)} | {delivery.endpoint_id: delivery}
    happened = happened_of([delivery, *newest])
    shown = found[:MOST_ENDPOINTS]
    then = absences([one for one in shown if one.pk not in of_endpoint], of=delivery, happened=happened, now=now)
    return OfEvent(happened, shown, of_endpoint, then, has_more=len(found) > MOST_ENDPOINTS)


def siblings(installs: Collection[int], *, since: datetime) -> tuple[Endpoint, ...]:
    """Return the endpoints of installs that existed at a time or later, oldest first, one more than are looked at."""
    existed = Q(deleted_at=None) | Q(deleted_at__gt=since)
    rows = Endpoint.objects.filter(existed, install__in=installs, opentrain_id__isnull=False).defer("secret")
    return tuple(rows.order_by("pk")[: MOST_ENDPOINTS + 1])


def happened_of(deliveries: Collection[Delivery]) -> Happened:
    """Return when the event of these deliveries happened, as far as they tell."""
    first = min(deliveries, key=lambda one: one.first_received_at)
    said = [one.event_created_at for one in deliveries if one.event_created_at is not None]
    return Happened(first.event_type, min(said, default=None), first.first_received_at)


def absences(
    endpoints: Sequence[Endpoint], *, of: Delivery, happened: Happened, now: datetime
) -> dict[int, EndpointThen]:
    """Return what is known of endpoints without a delivery of an event that another delivery is of, by their key."""
    if not endpoints:
        return {}
    keys = [one.pk for one in endpoints]
    history = periods(dict.fromkeys(keys, happened.since))
    until = min(now, retried_until(happened, schedule=schedule()))
    refused = RefusedAttempt.objects.filter(
        endpoint__in=keys, received_at__range=(happened.since, until), claimed_event_type=happened.event_type
    )
    counted = Counter(refused.values_list("endpoint", flat=True)[:MOST_REFUSED])
    evidence = _evidence(keys, of)
    return {
        one.pk: EndpointThen(
            facts=endpoint_facts(one, history.get(one.pk, ())),
            event_types=frozenset(one.event_types),
            is_reported=one.is_observed,
            refused=counted[one.pk],
            kept_at=evidence.kept.get(one.pk),
            handed_over_at=evidence.handed_over.get(one.pk),
        )
        for one in endpoints
    }


@dataclass(frozen=True, slots=True)
class _Evidence:
    """When endpoints got an event, by key: from OpenTrain, and from Redeliver."""

    kept: dict[int, datetime]
    handed_over: dict[int, datetime]


def _evidence(endpoints: Collection[int], of: Delivery) -> _Evidence:
    """Return what is left of deliveries that the log has no longer, and what Redeliver handed over of the contract."""
    found = _Evidence({}, {})
    if not of.resource_id or not is_whole(of.resource_id):
        return found
    rows = Evidence.objects.filter(
        endpoint__in=endpoints,
        event_type=of.event_type,
        contract__install=of.endpoint.install_id,
        contract__opentrain_id=of.resource_id,
    ).order_by("first_received_at")
    columns = ("endpoint", "opentrain_id", "event_id", "last_attempt_at", "taken_at")
    for endpoint, name, event_id, last_attempt_at, taken_at in rows.values_list(*columns):
        if is_reconstructed(name):
            if taken_at is not None:
                found.handed_over[endpoint] = taken_at
        elif event_id == of.event_id:
            found.kept[endpoint] = taken_at or last_attempt_at
    return found
