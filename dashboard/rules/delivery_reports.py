"""The report of a delivery. Pure: facts go in, words come out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard.rules.deliveries import StateKind
from dashboard.rules.durations import exactly
from dashboard.rules.reports import Fact, Report, Subject, at, section


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    """An attempt: how it ended, what OpenTrain got, and the result of the signature check, each in words."""

    at: datetime
    words: str


@dataclass(frozen=True, slots=True)
class DeliveryReportFacts:
    """A delivery as its report tells it.

    `attempts` are the known ones, the newest of `attempt_count`, oldest first. `due_at` is the earliest time of the
    next attempt, None if there is none. `is_stopped`: the endpoint is disabled or paused. `deeds` are times and
    sentences. `limits` say what the log cannot tell. `why_not_again` says why it cannot be redelivered, if so.
    """

    delivery_id: str
    event_type: str
    event_id: str
    resource_id: str
    subject: Subject
    address: str
    kind: StateKind
    first_received_at: datetime
    last_attempt_at: datetime
    attempt_count: int
    happened_at: datetime | None = None
    requested_at: datetime | None = None
    abandoned_at: datetime | None = None
    due_at: datetime | None = None
    is_stopped: bool = False
    why_not_again: str = ""
    cause: str = ""
    attempts: Sequence[AttemptFacts] = ()
    deeds: Sequence[tuple[datetime, str]] = ()
    limits: Sequence[str] = ()


def delivery_report(delivery: DeliveryReportFacts, *, now: datetime) -> Report:
    """Return the report of a delivery, as of `now`."""
    return Report(
        title=f"{delivery.event_type} {delivery.delivery_id}: {delivery.subject.customer}",
        headline=_headline(delivery),
        facts=_facts(delivery),
        sections=(
            *section("Cause", delivery.cause),
            *section("Attempts", *_attempts(delivery)),
            *section("Who did what", *(at(*deed) for deed in delivery.deeds)),
            *section("Outcome", _outcome(delivery)),
            *section("What is missing or not known", *_not_known(delivery)),
        ),
        made_at=now,
    )


def _headline(delivery: DeliveryReportFacts) -> str:
    last, count = exactly(delivery.last_attempt_at), _counted(delivery.attempt_count)
    if delivery.kind is StateKind.DELIVERED:
        return f"Delivered at {last}, after {count}."
    if delivery.kind is StateKind.FAILED and delivery.abandoned_at is not None:
        return f"Failed: OpenTrain abandoned it at {exactly(delivery.abandoned_at)}. {_last(delivery)}"
    if delivery.requested_at is not None:
        late = "" if delivery.kind is StateKind.REQUESTED_AGAIN else f"{delivery.kind.label}: "
        asked = f"{late}requested again at {exactly(delivery.requested_at)}, not attempted since."
        return f"{asked[0].upper()}{asked[1:]} {_last(delivery)}"
    which = "the only attempt" if delivery.attempt_count == 1 else f"the last of {count}"
    return f"{delivery.kind.label}: {which} failed at {last}."


def _last(delivery: DeliveryReportFacts) -> str:
    return f"The last of {_counted(delivery.attempt_count)} was at {exactly(delivery.last_attempt_at)}."


def _counted(count: int) -> str:
    return "1 attempt" if count == 1 else f"{count} attempts"


def _facts(delivery: DeliveryReportFacts) -> tuple[Fact, ...]:
    happened = "" if delivery.happened_at is None else f"{exactly(delivery.happened_at)}, by OpenTrain's clock"
    return (
        *delivery.subject.facts,
        Fact("Event type", delivery.event_type, is_code=True),
        Fact("Delivery ID", delivery.delivery_id, is_code=True),
        Fact("Event ID", delivery.event_id, is_code=True),
        Fact("Resource ID", delivery.resource_id, is_code=True),
        Fact("Page", delivery.address, is_code=True),
        Fact("State", delivery.kind.label),
        Fact("Event happened", happened),
        Fact("First received", exactly(delivery.first_received_at)),
        Fact("Last attempt", exactly(delivery.last_attempt_at)),
    )


def _attempts(delivery: DeliveryReportFacts) -> list[str]:
    earlier = delivery.attempt_count - len(delivery.attempts)
    shown = [at(one.at, one.words) for one in delivery.attempts]
    return [f"{_counted(earlier)} before these.", *shown] if earlier > 0 and shown else shown


def _outcome(delivery: DeliveryReportFacts) -> str:
    """Say what happens next."""
    if delivery.kind is StateKind.DELIVERED:
        return "Delivered: OpenTrain does not attempt it again."
    if delivery.kind is StateKind.FAILED:
        why_not = delivery.why_not_again
        again = f"It cannot be redelivered: {why_not}" if why_not else "It can be redelivered."
        return f"Failed: OpenTrain does not retry it automatically. {again}"
    if delivery.why_not_again:
        return f"{delivery.kind.label} when last seen. What became of it is not known: {delivery.why_not_again}"
    if delivery.is_stopped:
        return f"{delivery.kind.label}: nothing is attempted until the endpoint is re-enabled."
    if delivery.due_at is None:
        return f"{delivery.kind.label}."
    return f"{delivery.kind.label}: the next attempt is due from {exactly(delivery.due_at)} on."


def _not_known(delivery: DeliveryReportFacts) -> list[str]:
    """Return what the report cannot say. Only what reached Redeliver is in its log."""
    return [*delivery.limits, "OpenTrain may have made attempts that did not reach Redeliver."]
