"""Pure rules: the state of a delivery, in words.

Facts and the time go in, frozen values come out: no rows, no clock, no settings. What OpenTrain does with a failed
delivery is a `Schedule`, so that the same rules fit its own pace (minutes) and the demo's (seconds).

Source: partner-api, "Deliveries"; the words and thresholds are those of every page.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from dashboard.rules.durations import ago, within
from dashboard.rules.endpoints import EndpointFacts
from dashboard.rules.schedule import Schedule

GRACE = timedelta(minutes=1)
"""How much later than the latest expected moment an attempt may come before it is called overdue."""


class StateKind(StrEnum):
    """What a delivery is, as far as we saw it. The one name that every page uses is its `label`."""

    DELIVERED = "delivered"
    RETRYING = "retrying"
    REQUESTED_AGAIN = "requested_again"
    OVERDUE = "overdue"
    FAILED = "failed"

    @property
    def label(self) -> str:
        return self.value.replace("_", " ").capitalize()


class Standing(IntEnum):
    """What a delivery is whatever the time and whatever its endpoint does: what its row can keep, and lists filter by.

    Stored, so a value is never changed. `state_kind` makes a `StateKind` of it.
    """

    DELIVERED = 1
    RETRYING = 2
    FAILED = 3
    REQUESTED_AGAIN = 4


@dataclass(frozen=True, slots=True)
class DeliveryFacts:
    """What the log knows of one delivery; the fields of the row of the same names."""

    last_ok: bool
    attempts_in_round: int
    last_attempt_at: datetime
    requested_at: datetime | None = None
    abandoned_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """`next_due` is the earliest moment of the next attempt, if one is to come; `since` is when this state began."""

    kind: StateKind
    words: str
    next_due: datetime | None = None
    since: datetime | None = None


def standing(*, facts: DeliveryFacts, schedule: Schedule) -> Standing:
    """Say what a delivery is, as far as its row alone can tell."""
    if facts.requested_at is not None:
        return Standing.REQUESTED_AGAIN
    if facts.last_ok:
        return Standing.DELIVERED
    if facts.abandoned_at is not None or facts.attempts_in_round >= schedule.attempts:
        return Standing.FAILED
    return Standing.RETRYING


def overdue_after(*, due: datetime, schedule: Schedule) -> datetime:
    """Return the moment after which an attempt that is due at `due` is overdue: a delivery run later, and GRACE."""
    return due + schedule.run_interval + GRACE


def due_by(*, facts: DeliveryFacts, schedule: Schedule) -> datetime | None:
    """Return the moment after which the next attempt is overdue; None where none is to come."""
    earliest = _earliest(facts=facts, schedule=schedule)
    return None if earliest is None else overdue_after(due=earliest, schedule=schedule)


def due_from(*, due_by: datetime, schedule: Schedule) -> datetime:
    """Return the earliest moment of the attempt that is overdue after `due_by`."""
    return due_by - GRACE - schedule.run_interval


def state_kind(*, standing: Standing, due_by: datetime | None, endpoint: EndpointFacts, now: datetime) -> StateKind:
    """Name a delivery's state from what its row keeps; `delivery_state` says the same with its words.

    The same rule in SQL is in `queries.delivery_list_sql`; a test holds the two together.
    """
    if due_by is not None and now > due_by and endpoint.attempts_anything:
        return StateKind.OVERDUE
    return StateKind[standing.name]


def delivery_state(
    *, facts: DeliveryFacts, endpoint: EndpointFacts, now: datetime, schedule: Schedule
) -> DeliveryState:
    """Say what became of a delivery and when it is attempted next."""
    what = standing(facts=facts, schedule=schedule)
    if what is Standing.REQUESTED_AGAIN:
        return _requested_again(facts=facts, endpoint=endpoint, now=now, schedule=schedule)
    if what is Standing.RETRYING:
        return _awaiting_retry(facts=facts, endpoint=endpoint, now=now, schedule=schedule)
    last = ago(then=facts.last_attempt_at, now=now)
    if what is Standing.DELIVERED:
        return DeliveryState(StateKind.DELIVERED, f"Delivered {last}.", since=facts.last_attempt_at)
    if facts.abandoned_at is not None:
        words = "OpenTrain gave it up when the endpoint was disabled or deleted, and will not try again by itself."
        return DeliveryState(StateKind.FAILED, words, since=facts.abandoned_at)
    words = f"{schedule.attempts} attempts failed, the last {last}. OpenTrain will not try again by itself."
    return DeliveryState(StateKind.FAILED, words, since=facts.last_attempt_at)


def _earliest(*, facts: DeliveryFacts, schedule: Schedule) -> datetime | None:
    """Return the earliest moment of the next attempt, if one is to come."""
    what = standing(facts=facts, schedule=schedule)
    if what is Standing.REQUESTED_AGAIN:
        return facts.requested_at
    if what is Standing.RETRYING:
        return facts.last_attempt_at + schedule.retry_delays[max(facts.attempts_in_round, 1) - 1]
    return None


def _requested_again(
    *, facts: DeliveryFacts, endpoint: EndpointFacts, now: datetime, schedule: Schedule
) -> DeliveryState:
    requested_at = facts.requested_at or now
    asked = f"Requested again {ago(then=requested_at, now=now)}"
    if not endpoint.attempts_anything:
        words = f"{asked}; nothing is attempted until the endpoint is re-enabled."
        return DeliveryState(StateKind.REQUESTED_AGAIN, words, since=requested_at)
    latest = requested_at + schedule.run_interval
    if now > overdue_after(due=requested_at, schedule=schedule):
        words = f"{asked} and not seen yet; it was expected {ago(then=latest, now=now)} at the latest."
        return DeliveryState(StateKind.OVERDUE, words, next_due=requested_at, since=latest)
    words = f"{asked}; expected {within(earliest=requested_at, latest=latest, now=now)}."
    return DeliveryState(StateKind.REQUESTED_AGAIN, words, next_due=requested_at, since=requested_at)


def _awaiting_retry(
    *, facts: DeliveryFacts, endpoint: EndpointFacts, now: datetime, schedule: Schedule
) -> DeliveryState:
    attempt = max(facts.attempts_in_round, 1)
    failed = f"Attempt {attempt} of {schedule.attempts} failed"
    if not endpoint.attempts_anything:
        words = f"{failed}; nothing is attempted until the endpoint is re-enabled."
        return DeliveryState(StateKind.RETRYING, words, since=facts.last_attempt_at)
    due = facts.last_attempt_at + schedule.retry_delays[attempt - 1]
    latest = due + schedule.run_interval
    if now > overdue_after(due=due, schedule=schedule):
        words = f"{failed}; the next did not come. It was expected {ago(then=latest, now=now)} at the latest."
        return DeliveryState(StateKind.OVERDUE, words, next_due=due, since=latest)
    words = f"{failed}; next {within(earliest=due, latest=latest, now=now)}."
    return DeliveryState(StateKind.RETRYING, words, next_due=due, since=facts.last_attempt_at)
