"""Pure rules: the state of a delivery, and its words.

Facts and the time go in, frozen values come out: no rows, no clock, no settings. OpenTrain's retries are a `Schedule`,
so that the same rules work at its own pace (minutes) and at the demo's (seconds).

Source: partner-api, "Deliveries". Every page uses these words and thresholds.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from dashboard.rules.durations import ago, within
from dashboard.rules.endpoints import EndpointFacts
from dashboard.rules.schedule import Schedule

GRACE = timedelta(minutes=1)
"""How late an attempt may be, after its latest expected time, before it counts as overdue."""


class StateKind(StrEnum):
    """The state of a delivery, as far as Redeliver has seen it. Every page shows its `label`."""

    DELIVERED = "delivered"
    RETRYING = "retrying"
    REQUESTED_AGAIN = "requested_again"
    OVERDUE = "overdue"
    FAILED = "failed"

    @property
    def label(self) -> str:
        return self.value.replace("_", " ").capitalize()


class Standing(IntEnum):
    """The part of a delivery's state that depends neither on the time nor on its endpoint, so that a row can store it.

    Lists filter by it. Stored, so never change a value. `state_kind` derives a `StateKind` from it.
    """

    DELIVERED = 1
    RETRYING = 2
    FAILED = 3
    REQUESTED_AGAIN = 4


@dataclass(frozen=True, slots=True)
class DeliveryFacts:
    """The facts of one delivery in the log; each is the row's field of the same name."""

    last_ok: bool
    attempts_in_round: int
    last_attempt_at: datetime
    requested_at: datetime | None = None
    abandoned_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """A state. `next_due` is the earliest time of the next attempt, None if there is none; `since` is when it began."""

    kind: StateKind
    words: str
    next_due: datetime | None = None
    since: datetime | None = None


def standing(*, facts: DeliveryFacts, schedule: Schedule) -> Standing:
    """Return a delivery's standing, from its row alone."""
    if facts.requested_at is not None:
        return Standing.REQUESTED_AGAIN
    if facts.last_ok:
        return Standing.DELIVERED
    if facts.abandoned_at is not None or facts.attempts_in_round >= schedule.attempts:
        return Standing.FAILED
    return Standing.RETRYING


def overdue_after(*, due: datetime, schedule: Schedule) -> datetime:
    """Return when an attempt due at `due` becomes overdue: one delivery run plus GRACE later."""
    return due + schedule.run_interval + GRACE


def failed_if_before(*, asked_at: datetime, schedule: Schedule) -> datetime:
    """Return the time of an event, by OpenTrain's clock, before which its attempts may all be used at `asked_at`.

    Its last attempt comes no earlier than all delays after it, and a new event comes after `asked_at`. The time is in
    the middle, so that OpenTrain's clock may differ from ours by half of the delays: over an hour.
    """
    return asked_at - sum(schedule.retry_delays, timedelta()) / 2


def due_by(*, facts: DeliveryFacts, schedule: Schedule) -> datetime | None:
    """Return when the next attempt becomes overdue; None if there is no next attempt."""
    earliest = _earliest(facts=facts, schedule=schedule)
    return None if earliest is None else overdue_after(due=earliest, schedule=schedule)


def due_from(*, due_by: datetime, schedule: Schedule) -> datetime:
    """Return the earliest time of the attempt that becomes overdue at `due_by`."""
    return due_by - GRACE - schedule.run_interval


def state_kind(*, standing: Standing, due_by: datetime | None, endpoint: EndpointFacts, now: datetime) -> StateKind:
    """Return a delivery's state from its row; `delivery_state` returns the same with its words.

    `queries.delivery_list_sql` has the same rule in SQL; a test compares the two.
    """
    if due_by is not None and now > due_by and endpoint.attempts_anything:
        return StateKind.OVERDUE
    return StateKind[standing.name]


def delivery_state(
    *, facts: DeliveryFacts, endpoint: EndpointFacts, now: datetime, schedule: Schedule
) -> DeliveryState:
    """Return a delivery's state, with its words and the time of the next attempt."""
    what = standing(facts=facts, schedule=schedule)
    if what is Standing.REQUESTED_AGAIN:
        return _requested_again(facts=facts, endpoint=endpoint, now=now, schedule=schedule)
    if what is Standing.RETRYING:
        return _awaiting_retry(facts=facts, endpoint=endpoint, now=now, schedule=schedule)
    last = ago(then=facts.last_attempt_at, now=now)
    if what is Standing.DELIVERED:
        return DeliveryState(StateKind.DELIVERED, f"Delivered {last}.", since=facts.last_attempt_at)
    if facts.abandoned_at is not None:
        words = "OpenTrain abandoned it when the endpoint was disabled or deleted, and will not retry automatically."
        return DeliveryState(StateKind.FAILED, words, since=facts.abandoned_at)
    words = f"{schedule.attempts} attempts failed, the last {last}. OpenTrain will not retry automatically."
    return DeliveryState(StateKind.FAILED, words, since=facts.last_attempt_at)


def _earliest(*, facts: DeliveryFacts, schedule: Schedule) -> datetime | None:
    """Return the earliest time of the next attempt; None if there is none."""
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
        words = f"{asked}; deliveries are stopped until the endpoint is re-enabled."
        return DeliveryState(StateKind.REQUESTED_AGAIN, words, since=requested_at)
    latest = requested_at + schedule.run_interval
    if now > overdue_after(due=requested_at, schedule=schedule):
        words = f"{asked} and not received yet; expected {ago(then=latest, now=now)} at the latest."
        return DeliveryState(StateKind.OVERDUE, words, next_due=requested_at, since=latest)
    words = f"{asked}; expected {within(earliest=requested_at, latest=latest, now=now)}."
    return DeliveryState(StateKind.REQUESTED_AGAIN, words, next_due=requested_at, since=requested_at)


def _awaiting_retry(
    *, facts: DeliveryFacts, endpoint: EndpointFacts, now: datetime, schedule: Schedule
) -> DeliveryState:
    attempt = max(facts.attempts_in_round, 1)
    failed = f"Attempt {attempt} of {schedule.attempts} failed"
    if not endpoint.attempts_anything:
        words = f"{failed}; deliveries are stopped until the endpoint is re-enabled."
        return DeliveryState(StateKind.RETRYING, words, since=facts.last_attempt_at)
    due = facts.last_attempt_at + schedule.retry_delays[attempt - 1]
    latest = due + schedule.run_interval
    if now > overdue_after(due=due, schedule=schedule):
        words = f"{failed}; the next is overdue, expected {ago(then=latest, now=now)} at the latest."
        return DeliveryState(StateKind.OVERDUE, words, next_due=due, since=latest)
    words = f"{failed}; next {within(earliest=due, latest=latest, now=now)}."
    return DeliveryState(StateKind.RETRYING, words, next_due=due, since=facts.last_attempt_at)
