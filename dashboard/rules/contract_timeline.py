"""Pure rules: what is known of a contract, its links, the endpoints and the deliveries of its events, in order of time.

Facts go in, moments in words come out: no rows, no clock. Two clocks are told apart: `Clock.OPENTRAIN` is only of what
OpenTrain said, and may differ from Redeliver's by minutes, so the order of moments of different clocks proves nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

from dashboard.rules.causes import describe_cause
from dashboard.rules.reconciliation import Interval, LinkFacts, Period

MOST = 60
"""Moments that a timeline shows. Those in the middle are left out first: how it began and how it ended says most."""


class Clock(StrEnum):
    """Whose clock a time is by. The value is shown."""

    REDELIVER = "Redeliver's clock"
    OPENTRAIN = "OpenTrain's clock"


class Tone(StrEnum):
    """How a moment looks: a class of app.css."""

    OK = "ok"
    INFO = "info"
    WARN = "warn"
    BAD = "bad"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Moment:
    """What happened at a time or, if `not_before` is known, between the two times.

    `place` names the endpoint; empty: it is of none. `delivery` is the key of a delivery in the log.
    """

    at: datetime
    words: str
    tone: Tone = Tone.IDLE
    clock: Clock = Clock.REDELIVER
    not_before: datetime | None = None
    place: str = ""
    delivery: int | None = None

    @property
    def is_opentrains(self) -> bool:
        """Whether the time is by OpenTrain's clock."""
        return self.clock is Clock.OPENTRAIN


@dataclass(frozen=True, slots=True)
class Timeline:
    """Moments, oldest first. `left_out` of them are not shown; those follow the first `gap_after`."""

    moments: tuple[Moment, ...] = ()
    left_out: int = 0
    gap_after: int | None = None

    @property
    def has_two_clocks(self) -> bool:
        return len({moment.clock for moment in self.moments}) > 1


@dataclass(frozen=True, slots=True)
class ContractTimes:
    """The times of a contract; each field is the row's of the same name (models/contracts.py)."""

    status: str
    created_at: datetime | None
    start_date: datetime | None
    end_date: datetime | None
    first_seen_at: datetime
    last_seen_at: datetime
    active_seen_at: datetime | None = None
    ended_seen_at: datetime | None = None
    gone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    """An attempt of a delivery, as the log has it. `is_reported`: by the handler, which the receiver did not see."""

    number: int
    received_at: datetime
    ok: bool
    cause: str = ""
    status: int | None = None
    is_reported: bool = False


@dataclass(frozen=True, slots=True)
class DeliveryTimes:
    """A delivery of an event. `attempts` are those in the log; of older ones only the evidence may be left.

    `pk` is None if retention deleted the delivery.
    """

    event_type: str
    opentrain_id: str
    first_received_at: datetime
    last_attempt_at: datetime
    event_created_at: datetime | None = None
    taken_at: datetime | None = None
    requested_at: datetime | None = None
    last_cause: str = ""
    last_status: int | None = None
    pk: int | None = None
    attempts: tuple[AttemptFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that the receiver refused, and that may have been the event. `why` is a sentence."""

    event_type: str
    received_at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Handed:
    """An event that Redeliver built and sent to the handler. `ended_at` is None while there is no outcome."""

    event_type: str
    delivery_id: str
    by: str
    asked_at: datetime
    ended_at: datetime | None = None
    ok: bool = False
    cause: str = ""
    status: int | None = None


def timeline(moments: Iterable[Moment], *, most: int = MOST) -> Timeline:
    """Return the moments in order of time, each once, without the middle ones if there are more than `most`."""
    ordered = sorted(set(moments), key=lambda one: (one.at, one.clock, one.place, one.words))
    if len(ordered) <= most:
        return Timeline(tuple(ordered))
    first = most // 3
    return Timeline((*ordered[:first], *ordered[first - most :]), len(ordered) - most, first)


def of_contract(times: ContractTimes) -> list[Moment]:
    """Return when it was created, first listed, ended and gone, as far as is known."""
    found = []
    if times.created_at is not None:
        found.append(Moment(times.created_at, "OpenTrain created the contract.", clock=Clock.OPENTRAIN))
    if times.start_date is not None and times.start_date != times.created_at:
        found.append(Moment(times.start_date, "The contract's start date.", clock=Clock.OPENTRAIN))
    if times.end_date is not None:
        found.append(Moment(times.end_date, "The contract's end date.", clock=Clock.OPENTRAIN))
    found.append(_first_listed(times))
    if times.ended_seen_at is not None and times.ended_seen_at != times.first_seen_at:
        words = "OpenTrain listed the contract as ended for the first time."
        found.append(Moment(times.ended_seen_at, words, Tone.INFO, not_before=_before(times.active_seen_at, times)))
    if times.gone_at is not None:
        words = "A complete list of OpenTrain's lacked the contract."
        found.append(Moment(times.gone_at, words, Tone.WARN, not_before=_if_before(times.last_seen_at, times.gone_at)))
    elif times.last_seen_at > max(times.first_seen_at, times.ended_seen_at or times.first_seen_at):
        found.append(Moment(times.last_seen_at, f"OpenTrain last listed it, as {_status(times.status)}."))
    return found


def of_links(links: Iterable[tuple[LinkFacts, str]]) -> list[Moment]:
    """Return when each link was made and gone. Each comes with the name of its project."""
    found = []
    for link, name in links:
        project = f" to {name}" if name else ""
        if link.created_at is not None:
            words = f"The project link {link.id}{project} was created."
            found.append(Moment(link.created_at, words, clock=Clock.OPENTRAIN))
        found.append(Moment(link.first_seen_at, f"OpenTrain listed the project link {link.id} for the first time."))
        if link.gone_at is not None:
            words, before = f"OpenTrain's list lacked the project link {link.id}.", link.last_seen_at
            found.append(Moment(link.gone_at, words, Tone.WARN, not_before=_if_before(before, link.gone_at)))
    return found


def of_registration(*, place: str, created_at: datetime | None, deleted_at: datetime | None) -> list[Moment]:
    """Return when an endpoint was registered, and when OpenTrain stopped listing it."""
    found = []
    if created_at is not None:
        found.append(Moment(created_at, "The endpoint was registered.", clock=Clock.OPENTRAIN, place=place))
    if deleted_at is not None:
        found.append(Moment(deleted_at, "OpenTrain no longer has the endpoint.", Tone.BAD, place=place))
    return found


def of_periods(*, place: str, periods: Sequence[Period], event_types: Iterable[str]) -> list[Moment]:
    """Return what changed at an endpoint from one period to the next, and what was wrong in the first one.

    Of its event types only `event_types` count.
    """
    ordered = sorted(periods, key=lambda one: one.at)
    steps = [(one, _at_first(one, event_types)) for one in ordered[:1]]
    steps += [(after, _changed(before, after, event_types)) for before, after in pairwise(ordered)]
    return [
        Moment(period.at, words, tone, place=place, not_before=_if_before(period.not_before, period.at))
        for period, changes in steps
        for words, tone in changes
    ]


def of_delivery(facts: DeliveryTimes, *, place: str) -> list[Moment]:
    """Return when the event happened, and each attempt in the log; of older ones, what the evidence says."""
    name = f"{facts.event_type} (delivery {facts.opentrain_id})"
    found = []
    if facts.event_created_at is not None:
        words = f"{facts.event_type} happened, as the event itself says."  # once, whatever endpoints got it
        found.append(Moment(facts.event_created_at, words, clock=Clock.OPENTRAIN))
    found += [_attempt(one, name, place=place, pk=facts.pk) for one in facts.attempts]
    known = {one.received_at for one in facts.attempts}
    if facts.first_received_at not in known and facts.taken_at != facts.first_received_at:
        found.append(Moment(facts.first_received_at, f"{name} first arrived.", place=place, delivery=facts.pk))
    if facts.taken_at is not None and facts.taken_at not in known:
        found.append(Moment(facts.taken_at, f"{name}: the handler took it.", Tone.OK, place=place, delivery=facts.pk))
    if facts.taken_at is None and facts.last_attempt_at not in known | {facts.first_received_at}:
        ended = describe_cause(cause=facts.last_cause, status=facts.last_status)
        words = f"{name}: the last attempt failed: {ended}."
        found.append(Moment(facts.last_attempt_at, words, Tone.BAD, place=place, delivery=facts.pk))
    if facts.requested_at is not None:
        words = f"{name}: its redelivery was requested."
        found.append(Moment(facts.requested_at, words, Tone.INFO, place=place, delivery=facts.pk))
    return found


def of_refusals(refusals: Iterable[Refusal], *, place: str) -> list[Moment]:
    return [
        Moment(
            one.received_at, f"A request that says it is {one.event_type} was refused. {one.why}", Tone.BAD, place=place
        )
        for one in refusals
    ]


def of_handovers(handed: Iterable[Handed], *, place: str) -> list[Moment]:
    """Return when someone had Redeliver send an event that is missing, and what the handler returned."""
    found = []
    for one in handed:
        name = f"{one.event_type} that Redeliver built ({one.delivery_id})"
        found.append(Moment(one.asked_at, f"{one.by} handed over a {name}.", Tone.INFO, place=place))
        if one.ended_at is not None:
            ended = describe_cause(cause=one.cause, status=one.status)
            tone = Tone.OK if one.ok else Tone.BAD
            found.append(Moment(one.ended_at, f"A {name}: {ended}.", tone, place=place))
    return found


def of_intervals(intervals: Iterable[Interval], *, began: str, ended: str) -> list[Moment]:
    """Return the begin and the end of each interval, such as those in which no receiver ran."""
    found = []
    for one in intervals:
        found.append(Moment(one.since, began, Tone.BAD))
        if one.until is not None:
            found.append(Moment(one.until, ended))
    return found


def _attempt(one: AttemptFacts, name: str, *, place: str, pk: int | None) -> Moment:
    ended = describe_cause(cause=one.cause, status=one.status)
    reported = ", as the handler reports" if one.is_reported else ""
    words = f"{name}, attempt {one.number}: {ended}{reported}."
    return Moment(one.received_at, words, Tone.OK if one.ok else Tone.BAD, place=place, delivery=pk)


def _first_listed(times: ContractTimes) -> Moment:
    if times.ended_seen_at == times.first_seen_at:
        words = "OpenTrain listed it for the first time, already as ended."
    elif times.active_seen_at is not None:
        words = "OpenTrain listed it for the first time, as active."
    else:
        words = "OpenTrain listed it for the first time."
    return Moment(times.first_seen_at, words)


def _before(at: datetime | None, times: ContractTimes) -> datetime | None:
    return None if at is None or times.ended_seen_at is None else _if_before(at, times.ended_seen_at)


def _if_before(at: datetime | None, than: datetime) -> datetime | None:
    """Return the earlier bound of an interval; None if there is none, or if both are of one second."""
    return at if at is not None and at.replace(microsecond=0) < than.replace(microsecond=0) else None


def _status(status: str) -> str:
    return status or "a contract without a status"


def _at_first(period: Period, event_types: Iterable[str]) -> list[tuple[str, Tone]]:
    """Return what kept events away when the record begins; nothing if nothing did, as far as is known."""
    found = [] if period.is_active else [(f"It was {_stopped(period)} already.", Tone.BAD)]
    if period.is_received is False:
        found.append(("OpenTrain delivered past Redeliver already.", Tone.WARN))
    if period.event_types is not None:
        lacking = [one for one in event_types if one not in period.event_types]
        found += [(f"It was not subscribed to {one}.", Tone.WARN) for one in lacking]
    return found


def _changed(before: Period, after: Period, event_types: Iterable[str]) -> list[tuple[str, Tone]]:
    found: list[tuple[str, Tone]] = []
    if (before.is_active, before.is_paused) != (after.is_active, after.is_paused):
        found.append(
            ("It was active again.", Tone.INFO) if after.is_active else (f"It was {_stopped(after)}.", Tone.BAD)
        )
    if None not in {before.is_received, after.is_received} and before.is_received != after.is_received:
        words = "OpenTrain delivered through Redeliver" if after.is_received else "OpenTrain delivered past Redeliver"
        found.append((f"{words} from here on.", Tone.INFO if after.is_received else Tone.WARN))
    if before.event_types is not None and after.event_types is not None:
        for one in event_types:
            if one in after.event_types and one not in before.event_types:
                found.append((f"It was subscribed to {one}.", Tone.INFO))
            if one in before.event_types and one not in after.event_types:
                found.append((f"It was no longer subscribed to {one}.", Tone.WARN))
    return found


def _stopped(period: Period) -> str:
    return "paused" if period.is_paused else "disabled"
