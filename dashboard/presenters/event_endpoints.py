"""The rows of one event: a delivery, or why there is none, for each endpoint of its install."""

from dataclasses import dataclass
from datetime import datetime

from dashboard.config.schedule import schedule
from dashboard.models import Delivery, Endpoint
from dashboard.presenters.rows import state_of
from dashboard.queries import event_endpoints
from dashboard.queries.event_endpoints import OfEvent
from dashboard.rules.event_endpoints import Absence, absent


@dataclass(frozen=True, slots=True)
class EventRow:
    """An endpoint with the state of its delivery, or the reason why there is none, as a chip and in words.

    `at` is when it received the event. `is_this`: the page is about this endpoint's delivery.
    """

    endpoint: Endpoint
    kind: str
    label: str
    words: str
    at: datetime | None = None
    delivery: Delivery | None = None
    is_this: bool = False

    @property
    def opens(self) -> int | None:
        """The key of the delivery that another page is about; None if there is none."""
        return None if self.delivery is None or self.is_this else self.delivery.pk


@dataclass(frozen=True, slots=True)
class EventRows:
    """The rows: that of the page, those of other deliveries, then the others. `having` is "2 of 3", of endpoints."""

    rows: tuple[EventRow, ...]
    having: str
    summary: str


def event_rows(delivery: Delivery, *, now: datetime) -> EventRows | None:
    """Return a row for each endpoint of the delivery's install; None if there is no other, or the event has no ID."""
    found = event_endpoints.of_event(delivery, now=now)
    if found is None:
        return None
    rows = [_row(one, found, this=delivery, now=now) for one in found.endpoints]
    rows.sort(key=lambda row: (not row.is_this, row.delivery is None))
    having = sum(row.delivery is not None or row.kind == Absence.KEPT for row in rows)
    of = f"the first {len(rows)}" if found.has_more else str(len(rows))
    counted = f"{having} of {of}"
    return EventRows(tuple(rows), counted, f"{counted} endpoints {'has' if having == 1 else 'have'} a delivery of it.")


def _row(endpoint: Endpoint, found: OfEvent, *, this: Delivery, now: datetime) -> EventRow:
    delivery = found.deliveries.get(endpoint.pk)
    if delivery is not None:
        state, at = state_of(delivery=delivery, endpoint=endpoint, now=now), delivery.first_received_at
        return EventRow(endpoint, state.kind, state.kind.label, state.words, at, delivery, delivery.pk == this.pk)
    why = absent(found.absent[endpoint.pk], happened=found.happened, schedule=schedule(), now=now)
    return EventRow(endpoint, why.why, why.label, why.words, why.at)
