"""Database rows with the state that the rules derive from them, for lists and pages."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, Model, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from dashboard.config.schedule import schedule
from dashboard.models import Attempt, Delivery, Endpoint, Install
from dashboard.models.endpoints import EndpointQuerySet
from dashboard.presenters.operations import operation_id
from dashboard.queries.operations import last_answer_of
from dashboard.rules.causes import describe_cause
from dashboard.rules.deliveries import DeliveryState, StateKind, delivery_state
from dashboard.rules.endpoints import DISCONNECTED, EndpointFacts, EndpointHealth, HealthKind, endpoint_health

MARKS = 6
"""Most attempts of a delivery that a list draws, the newest ones: as many as its column has room for."""
RECOVERED = frozenset({HealthKind.DISABLED, HealthKind.AT_RISK, HealthKind.FAILING})
"""Kinds of health that a recovery repairs."""
ANSWERED = frozenset({"", "status"})
"""Causes of attempts that got an HTTP response: a success, or another status."""
_OF_ENDPOINT = tuple(
    f"endpoint__{column}"
    for column in (
        *("url", "handler_url", "receiver_key", "routing_since", "bypassed_at", "opentrain_id", "name"),
        *("told_apart_by", "status", "install__name"),
    )
)
"""What a row of a list needs of an endpoint: its name, its status and its install's name."""


@dataclass(frozen=True, slots=True)
class NextAttempt:
    """The next attempt: `at` if its time is known and in the future, otherwise `words`."""

    words: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """An endpoint, its health, its number of known failed deliveries, and the IDs of its buttons' operations."""

    endpoint: Endpoint
    health: EndpointHealth
    failed: int
    enable_operation: uuid.UUID
    redeliver_operation: uuid.UUID

    @property
    def is_known(self) -> bool:
        """Whether the state that OpenTrain gave last is still its state, as far as is known."""
        return not self.endpoint.install.is_disconnected

    @property
    def stopped(self) -> bool:
        """Whether deliveries are stopped until the endpoint is re-enabled."""
        return self.health.kind in {HealthKind.DISABLED, HealthKind.PAUSED}

    @property
    def ill(self) -> bool:
        """Whether a recovery helps: the endpoint is disabled or failing, or has known failed deliveries."""
        return self.failed > 0 or self.health.kind in RECOVERED

    @property
    def recoverable(self) -> bool:
        """Whether a recovery is the primary control: the endpoint is disabled or failing, and has failed deliveries."""
        return self.failed > 0 and self.health.kind in RECOVERED


@dataclass(frozen=True, slots=True)
class ListedEndpoint:
    """What a list calls an endpoint. Titles are made of URLs, so a page makes each once, not once for each row."""

    pk: int
    install: Install
    title: str
    base_title: str
    told_apart_by: str | None

    @classmethod
    def of(cls, endpoint: Endpoint) -> "ListedEndpoint":
        return cls(endpoint.pk, endpoint.install, endpoint.title, endpoint.base_title, endpoint.told_apart_by)


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery, its endpoint, its state, whether its newest attempts succeeded, and its last result in words.

    `listed` is None in a list of one endpoint, which does not name it.
    """

    delivery: Delivery
    endpoint: Endpoint
    state: DeliveryState
    marks: Sequence[bool]
    last_answer: str
    next_attempt: NextAttempt | None = None
    """None if there is no next attempt."""
    listed: ListedEndpoint | None = None

    @property
    def was_answered(self) -> bool:
        """Whether the last attempt got an HTTP response, so that its latency is meaningful."""
        return was_answered(self.delivery.last_cause)


@dataclass(frozen=True)
class DeliveryTable:
    """Rows of deliveries, and which columns they need.

    `with_endpoint`: the rows are of several endpoints; `with_install`: of several installs.
    """

    rows: Sequence[DeliveryRow]
    with_endpoint: bool = False
    with_install: bool = False

    @cached_property
    def with_next(self) -> bool:
        """Whether any delivery has a next attempt: a column that says "none" in every row is left out."""
        return any(row.next_attempt for row in self.rows)

    @cached_property
    def columns(self) -> int:
        return 6 + self.with_endpoint + self.with_next


def was_answered(cause: str) -> bool:
    """Return whether an attempt with this cause got an HTTP response."""
    return cause in ANSWERED


def next_attempt(*, due: datetime | None, is_overdue: bool, now: datetime) -> NextAttempt | None:
    """Return when the next attempt is; `due` is its earliest time, None if there is no next attempt.

    An attempt that is already due is made by the next delivery run.
    """
    if due is None:
        return None
    if is_overdue:
        return NextAttempt("overdue")
    return NextAttempt("with the next delivery run") if due < now else NextAttempt(at=due)


def next_attempt_of(state: DeliveryState, *, now: datetime) -> NextAttempt | None:
    return next_attempt(due=state.next_due, is_overdue=state.kind is StateKind.OVERDUE, now=now)


def health_of(endpoint: Endpoint) -> EndpointHealth:
    """Return the endpoint's health, as far as it is known. Load its install with it."""
    if endpoint.install.is_disconnected:
        return DISCONNECTED
    return endpoint_health(status=endpoint.status, consecutive_failures=endpoint.consecutive_failures)


def with_known(endpoints: EndpointQuerySet, *, now: datetime) -> EndpointQuerySet:
    """Annotate the endpoints with the values that `endpoint_rows` needs, in the same query."""
    failed = Delivery.objects.filter(endpoint=OuterRef("pk")).failed().order_by().values("endpoint")
    return endpoints.annotate(
        known_failed=Coalesce(Subquery(failed.annotate(count=Count("id")).values("count")), 0),
        last_answer=last_answer_of(OuterRef("pk"), now=now),
    )


def endpoint_rows(*, endpoints: Iterable[Endpoint], user_id: int) -> list[EndpointRow]:
    """Return the rows of endpoints from `with_known`, worst first."""
    rows = [_endpoint_row(endpoint, user_id) for endpoint in endpoints]
    return sorted(rows, key=lambda row: (row.health.severity, -row.failed))


def with_marks(deliveries: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """Annotate the deliveries with whether their newest attempts succeeded, for `delivery_row`."""
    newest = Attempt.objects.filter(delivery=OuterRef("pk")).order_by("-received_at", "-number").values("ok")[:MARKS]
    return deliveries.annotate(marks=ArraySubquery(newest))


def with_endpoint(deliveries: QuerySet[Delivery], *, columns: Sequence[str]) -> QuerySet[Delivery]:
    """Load these columns of the deliveries, and what rows of lists say of their endpoints, in the same query."""
    return deliveries.select_related("endpoint__install").only(*columns, *_OF_ENDPOINT)


def delivery_rows(deliveries: Iterable[Delivery], *, now: datetime) -> list[DeliveryRow]:
    """Return the rows of deliveries from `with_marks` and `with_endpoint`, each with what a list calls its endpoint."""
    listed: dict[int, ListedEndpoint] = {}
    rows = []
    for one in deliveries:
        if one.endpoint_id not in listed:
            listed[one.endpoint_id] = ListedEndpoint.of(one.endpoint)
        rows.append(delivery_row(delivery=one, endpoint=one.endpoint, listed=listed[one.endpoint_id], now=now))
    return rows


def delivery_row(
    *, delivery: Delivery, endpoint: Endpoint, now: datetime, listed: ListedEndpoint | None = None
) -> DeliveryRow:
    """Return the row of a delivery from `with_marks`."""
    state = state_of(delivery=delivery, endpoint=endpoint, now=now)
    return DeliveryRow(
        delivery=delivery,
        endpoint=endpoint,
        state=state,
        marks=_brought(delivery, "marks")[::-1],
        last_answer=describe_cause(cause=delivery.last_cause, status=delivery.last_status),
        next_attempt=next_attempt_of(state, now=now),
        listed=listed,
    )


def state_of(*, delivery: Delivery, endpoint: Endpoint, now: datetime) -> DeliveryState:
    return delivery_state(facts=delivery.facts, endpoint=EndpointFacts(endpoint.status), now=now, schedule=schedule())


def _endpoint_row(endpoint: Endpoint, user_id: int) -> EndpointRow:
    last: int = _brought(endpoint, "last_answer")

    def name(action: str) -> uuid.UUID:
        return operation_id(user_id=user_id, action=action, subject=str(endpoint.pk), last_answer=last)

    failed: int = _brought(endpoint, "known_failed")
    return EndpointRow(endpoint, health_of(endpoint), failed, name("enable"), name("redeliver"))


def _brought(row: Model, name: str) -> Any:  # noqa: ANN401 - whatever was annotated
    """Return an annotated value. Fail if the annotation is missing: it must not be shown as 0."""
    return getattr(row, name)
