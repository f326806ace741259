"""What the pages show of a row: the row itself, beside what the rules of `health` make of it."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count

from dashboard.actions.attempts import schedule
from dashboard.health import (
    DeliveryState,
    EndpointFacts,
    EndpointHealth,
    HealthKind,
    delivery_state,
    describe_cause,
    endpoint_health,
)
from dashboard.models import Delivery, Endpoint
from dashboard.views.operations import last_answers, operation_id

WORST_FIRST = tuple(HealthKind(kind) for kind in ("disabled", "at_risk", "failing", "unknown", "paused", "active"))
MARKS = 12
"""So many of a delivery's newest attempts are drawn in a list."""


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """An endpoint, its health, its failed deliveries as far as we know, and the names of what its buttons do."""

    endpoint: Endpoint
    health: EndpointHealth
    failed: int
    enable_operation: uuid.UUID
    redeliver_operation: uuid.UUID

    @property
    def stopped(self) -> bool:
        """Whether nothing is attempted until somebody re-enables it."""
        return self.health.kind in {HealthKind.DISABLED, HealthKind.PAUSED}

    @property
    def ill(self) -> bool:
        """Whether a recovery is what helps: it is disabled or failing, or has failed deliveries that we know of."""
        return self.failed > 0 or self.health.kind in {HealthKind.DISABLED, HealthKind.AT_RISK, HealthKind.FAILING}


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery, its state, its newest attempts as (succeeded or not), and its last answer in words."""

    delivery: Delivery
    state: DeliveryState
    marks: Sequence[bool]
    last_answer: str


def health_of(endpoint: Endpoint) -> EndpointHealth:
    return endpoint_health(status=endpoint.status, consecutive_failures=endpoint.consecutive_failures)


def endpoint_rows(*, endpoints: Iterable[Endpoint], user_id: int, now: datetime) -> list[EndpointRow]:
    """Return the endpoints, worst first."""
    found = list(endpoints)
    ids = [endpoint.pk for endpoint in found]
    failed, last = failed_counts(endpoint_ids=ids), last_answers(endpoint_ids=ids, now=now)
    rows = [
        _endpoint_row(endpoint, failed.get(endpoint.pk, 0), user_id, last.get(endpoint.pk, 0)) for endpoint in found
    ]
    return sorted(rows, key=lambda row: (WORST_FIRST.index(row.health.kind), -row.failed))


def failed_counts(*, endpoint_ids: list[int]) -> dict[int, int]:
    """Return how many deliveries of each endpoint failed for good; endpoints without any are left out."""
    failed = Delivery.objects.filter(endpoint__in=endpoint_ids).failed()
    return dict(failed.order_by().values_list("endpoint").annotate(count=Count("id")))


def delivery_row(*, delivery: Delivery, endpoint: Endpoint, now: datetime) -> DeliveryRow:
    """Return one delivery as the lists show it; `delivery.attempts` is prefetched by the caller."""
    marks = [attempt.ok for attempt in delivery.attempts.all()][-MARKS:]
    return DeliveryRow(
        delivery=delivery,
        state=state_of(delivery=delivery, endpoint=endpoint, now=now),
        marks=marks,
        last_answer=describe_cause(cause=delivery.last_cause, status=delivery.last_status),
    )


def state_of(*, delivery: Delivery, endpoint: Endpoint, now: datetime) -> DeliveryState:
    return delivery_state(facts=delivery.facts, endpoint=EndpointFacts(endpoint.status), now=now, schedule=schedule())


def _endpoint_row(endpoint: Endpoint, failed: int, user_id: int, last_answer: int) -> EndpointRow:
    def name(action: str) -> uuid.UUID:
        return operation_id(user_id=user_id, action=action, subject=str(endpoint.pk), last_answer=last_answer)

    return EndpointRow(endpoint, health_of(endpoint), failed, name("enable"), name("redeliver"))
