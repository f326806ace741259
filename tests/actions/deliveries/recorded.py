"""Attempts to record in groups, and what the log holds of them then."""

import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.db import connection

from dashboard.actions.deliveries import observations
from dashboard.actions.deliveries.groups import GroupResult
from dashboard.actions.deliveries.record import record_of_one
from dashboard.models import Attempt, Delivery, Endpoint
from dashboard.rules.attempts import AttemptResult, Event, RecordedAttempt, Source
from dashboard.rules.observations import Observation
from tests.factories import BODY, NOON

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
DELIVERY_COLUMNS = [field.attname for field in Delivery._meta.concrete_fields if field.name not in {"id", "endpoint"}]
ATTEMPT_COLUMNS = [
    field.attname for field in Attempt._meta.concrete_fields if field.name not in {"id", "delivery", "uuid"}
]


def attempt(endpoint: Endpoint, delivery_id: str = "dlv_1", *, at=NOON, status=200, **other: Any) -> RecordedAttempt:
    """An attempt with a name of its own. `other` are fields of its event and of its result."""
    event = {"event_id": "evt_1", "event_type": "contract.started", "resource_id": "con_1", "body": BODY}
    result: dict[str, Any] = {
        "received_at": at,
        "request_headers": [["X-OpenTrain-Delivery", delivery_id]],
        "answered_status": status,
        "cause": "" if status < 300 else "status",
        "handler_url": "https://handler.example.com/hook",
        "handler_status": status,
        "latency_ms": 12,
        "response_headers": [["Content-Type", "text/plain"]],
        "response_head": b"answer",
    }
    event |= {name: value for name, value in other.items() if name in Event.__slots__}
    result |= {name: value for name, value in other.items() if name in AttemptResult.__slots__}
    return RecordedAttempt(uuid.uuid4(), endpoint.pk, Event(delivery_id=delivery_id, **event), AttemptResult(**result))


def record_alone(one: RecordedAttempt, *, endpoint: Endpoint) -> None:
    """Record the same attempt of another endpoint, under a name of its own."""
    record_of_one([replace(one, id=uuid.uuid4(), endpoint_id=endpoint.pk)])


def observe(endpoint: Endpoint, delivery_id: str, *, at=NOON, status=200) -> observations.Recorded:
    reported = attempt(endpoint, delivery_id, at=at, status=status, body=None, source=Source.OBSERVED, signature="")
    return observations.record(endpoint=endpoint, observations=[Observation(reported.event, reported.result)])


def errors_of(results: Iterable[GroupResult]) -> list[type[Exception]]:
    return [type(one.error) for one in results if one.error is not None]


def numbered(delivery_id: str) -> list[tuple[int, int]]:
    found = Attempt.objects.filter(delivery__opentrain_id=delivery_id).order_by("number")
    return list(found.values_list("number", "answered_status"))


def log_of(endpoint: Endpoint) -> tuple[list[Any], list[Any]]:
    """Everything that the log holds of an endpoint, except keys and names."""
    rows = Delivery.objects.filter(endpoint=endpoint).order_by("opentrain_id")
    found = Attempt.objects.filter(delivery__endpoint=endpoint).order_by("delivery__opentrain_id", "number")
    deliveries = [tuple(map(_plain, row)) for row in rows.values_list(*DELIVERY_COLUMNS)]
    return deliveries, [tuple(map(_plain, row)) for row in found.values_list(*ATTEMPT_COLUMNS)]


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def in_thread(pool: ThreadPoolExecutor, call: Callable[[], Any]) -> "Future[Any]":
    def run() -> Any:
        try:
            return call()
        finally:
            connection.close()

    return pool.submit(run)
