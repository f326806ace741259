"""Pure rules: what became of an event at an endpoint whose log has no delivery of it, though another endpoint's has.

The history of the endpoint decides: what it was when the event happened. What the history does not prove is said to be
not known. All times are on Redeliver's own clock, except those of OpenTrain: `created_at` and `said`.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dashboard.rules.durations import ago, clock
from dashboard.rules.reconciliation_facts import CLOCKS_APART, EndpointFacts, Period
from dashboard.rules.reconciliation_times import (
    Moment,
    holds,
    is_made_after,
    later,
    may_hold,
    retries_over,
    was_disabled,
)
from dashboard.rules.schedule import Schedule


class Absence(StrEnum):
    """Why an endpoint has no delivery of an event. The value names its colour and icon."""

    KEPT = "kept"
    """There was one: retention deleted it."""
    HANDED_OVER = "handed_over"
    REGISTERED_AFTER = "registered_after"
    NOT_SUBSCRIBED = "not_subscribed"
    DIRECT = "direct"
    NOT_REPORTED = "not_reported"
    NOT_KNOWN = "not_known"
    REFUSED = "none_accepted"
    DISABLED = "none_while_disabled"
    PAUSED = "none_while_paused"
    NOT_YET = "none_yet"
    NONE = "none_seen"


LABELS = {
    Absence.KEPT: "Received",
    Absence.HANDED_OVER: "Handed over",
    Absence.REGISTERED_AFTER: "Registered after it",
    Absence.NOT_SUBSCRIBED: "Not subscribed",
    Absence.DIRECT: "Direct: not seen here",
    Absence.NOT_REPORTED: "Not reported",
    Absence.NOT_KNOWN: "Not known",
    Absence.REFUSED: "None accepted; refused then",
    Absence.DISABLED: "None seen; disabled then",
    Absence.PAUSED: "None seen; paused then",
    Absence.NOT_YET: "None seen yet",
    Absence.NONE: "None seen",
}


@dataclass(frozen=True, slots=True)
class Happened:
    """An event. `said` is its own time, None if it has none; `seen_at` is when the first endpoint got it."""

    event_type: str
    said: datetime | None
    seen_at: datetime

    @property
    def moment(self) -> Moment:
        """When it happened: before it arrived, and about when it says."""
        if self.said is None or later(self.said, -CLOCKS_APART) > self.seen_at:
            return Moment(None, self.seen_at, self.seen_at, None)
        first, last = later(self.said, -CLOCKS_APART), later(self.said, CLOCKS_APART)
        return Moment(first, min(last, self.seen_at), self.seen_at, self.said)

    @property
    def since(self) -> datetime:
        """The time from which on the history of endpoints matters."""
        moment = self.moment
        return moment.since or later(moment.until, -CLOCKS_APART)


@dataclass(frozen=True, slots=True)
class EndpointThen:
    """An endpoint without a delivery of the event: its history around it, and what it is now.

    `is_reported`: its handler reports what it took. `refused` is the number of requests of the event's type that the
    receiver refused since the event, at most as long as retries of it come. `kept_at` is when a delivery of it was
    taken or last tried that the log has no longer, `handed_over_at` when its handler took it from Redeliver.
    """

    facts: EndpointFacts
    event_types: frozenset[str]
    is_reported: bool = False
    refused: int = 0
    kept_at: datetime | None = None
    handed_over_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Absent:
    """Why there is none, in a few words and in sentences. `at` is when it was received or handed over, if it was."""

    why: Absence
    label: str
    words: str
    at: datetime | None = None


def retried_until(happened: Happened, *, schedule: Schedule) -> datetime:
    """Return until when an attempt of an event may come that an active endpoint has not got."""
    return later(happened.seen_at, retries_over(schedule))


def absent(then: EndpointThen, *, happened: Happened, schedule: Schedule, now: datetime) -> Absent:
    """Say why an endpoint has no delivery of an event, as far as that is known."""
    if then.kept_at is not None:
        words = f"A delivery of it was tried here {ago(then=then.kept_at, now=now)}. The log has it no longer."
        return _absent(Absence.KEPT, words, at=then.kept_at)
    found = _absence(then, happened=happened, schedule=schedule, now=now)
    if then.handed_over_at is None:
        return found
    words = f"Its handler took it from Redeliver {ago(then=then.handed_over_at, now=now)}. Before that: {found.label}."
    return _absent(Absence.HANDED_OVER, words, at=then.handed_over_at)


def _absence(then: EndpointThen, *, happened: Happened, schedule: Schedule, now: datetime) -> Absent:
    moment = happened.moment
    if is_made_after(then.facts.created_at, happened=moment):
        words = "It was registered after the event: OpenTrain sends a new endpoint no earlier events."
        return _absent(Absence.REGISTERED_AFTER, words)
    found = _choice(then, happened=happened) or _lacks_log(then, happened=happened, schedule=schedule, now=now)
    if found is not None:
        return found
    if then.refused:
        return _absent(Absence.REFUSED, _refused_words(then.refused, happened.event_type))
    if moment.since is None:
        words = "None is in its log. When the event happened is not known, so neither is why."
        return _absent(Absence.NOT_KNOWN, words)
    return _stopped(then.facts, since=moment.since, moment=moment) or _not_seen(happened, schedule=schedule, now=now)


def _not_seen(happened: Happened, *, schedule: Schedule, now: datetime) -> Absent:
    until = retried_until(happened, schedule=schedule)
    if now <= until:
        return _absent(Absence.NOT_YET, f"It may still come until {clock(then=until, now=now)}.")
    return _absent(Absence.NONE, "Whether OpenTrain did not send it or it was lost on the way is not known.")


def _choice(then: EndpointThen, *, happened: Happened) -> Absent | None:
    """Return that the endpoint did not subscribe to the event's type; None if it did, or may have."""
    if holds(lambda one: _lacks_type(one, happened), endpoint=then.facts, happened=happened.moment):
        words = "It did not subscribe to this event type when the event happened, so OpenTrain did not send it."
        return _absent(Absence.NOT_SUBSCRIBED, words)
    if happened.event_type in then.event_types:
        return None
    words = "It does not subscribe to this event type now; whether it did when the event happened is not known."
    return _absent(Absence.NOT_SUBSCRIBED, words, label="Not subscribed now")


def _lacks_type(period: Period, happened: Happened) -> bool:
    return period.event_types is not None and happened.event_type not in period.event_types


def _lacks_log(then: EndpointThen, *, happened: Happened, schedule: Schedule, now: datetime) -> Absent | None:
    """Return why Redeliver has no log of the endpoint from then; None if it has."""
    facts, since = then.facts, happened.since
    if facts.log_began_at is None:
        if then.is_reported:
            words = "Its handler did not report it. Whether OpenTrain sent it is not known."
            return _absent(Absence.NOT_REPORTED, words)
        words = "OpenTrain delivers directly to its handler, so Redeliver does not see whether it got the event."
        return _absent(Absence.DIRECT, words)
    until = min(now, retried_until(happened, schedule=schedule))
    if may_hold(lambda one: one.is_received is False, endpoint=facts, since=since, until=until):
        words = "OpenTrain delivered directly to its handler then, or may have: Redeliver did not see it."
        return _absent(Absence.DIRECT, words, label="Direct then: not seen here")
    if facts.log_began_at > since:
        return _absent(
            Absence.NOT_KNOWN, "Redeliver has no record of whether its deliveries came through Redeliver then."
        )
    return None


def _stopped(facts: EndpointFacts, *, since: datetime, moment: Moment) -> Absent | None:
    """Return that the endpoint was disabled or paused then, or may have been; None if it was active."""
    later_words = "Whether OpenTrain sends such events later is not documented."
    if holds(lambda one: one.is_paused and not one.is_active, endpoint=facts, happened=moment):
        words = f"The endpoint was paused when the event happened. {later_words}"
        return _absent(Absence.PAUSED, words)
    if holds(lambda one: not one.is_active, endpoint=facts, happened=moment) or was_disabled(facts, happened=moment):
        words = f"The endpoint was disabled when the event happened. {later_words}"
        return _absent(Absence.DISABLED, words)
    for why, is_paused, name in ((Absence.DISABLED, False, "disabled"), (Absence.PAUSED, True, "paused")):
        if _may_be_stopped(facts, since=since, until=moment.until, is_paused=is_paused):
            words = (
                f"The endpoint was {name} at about that time. Whether it was when the event happened is not known. "
                f"{later_words}"
            )
            return _absent(why, words, label=f"None seen; {name} about then")
    return None


def _may_be_stopped(facts: EndpointFacts, *, since: datetime, until: datetime, is_paused: bool) -> bool:
    return may_hold(
        lambda one: not one.is_active and one.is_paused is is_paused, endpoint=facts, since=since, until=until
    )


def _refused_words(count: int, event_type: str) -> str:
    requests = f"1 {event_type} request" if count == 1 else f"{count:,} {event_type} requests"
    return f"The receiver refused {requests} after the event, which may have been this one."


def _absent(why: Absence, words: str, *, label: str = "", at: datetime | None = None) -> Absent:
    return Absent(why, label or LABELS[why], words, at)
