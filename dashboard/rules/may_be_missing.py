"""What is said of a time in which OpenTrain sent an endpoint nothing, until it is proven that nothing is missing. Pure.

OpenTrain does not document whether events of such a time are sent later. A read of contracts can prove that none of
theirs is missing (rules/run_endings.py). Nothing proves it of other events: the log of the install's other endpoints
shows only what happened.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.rules.consequences import joined
from dashboard.rules.durations import clock
from dashboard.rules.lost_window import Stop, others_than_contracts
from dashboard.rules.reconciliation import Event
from dashboard.rules.run_endings import EndingKind

IN_INBOX_FOR = timedelta(days=7)
"""How long after it the inbox shows such a time."""
ON_PAGE_FOR = timedelta(days=30)
"""How long after it the endpoint's page does."""
_OTHER_ENDPOINTS = "The install's other endpoints"
_OTHERS = f"Events other than {Event.STARTED.value} and {Event.ENDED.value}"


@dataclass(frozen=True, slots=True)
class Count:
    """How many events of a type were received, and how many of them are not in the log of the endpoint in question."""

    event_type: str
    events: int
    absent: int
    more: bool = False

    @property
    def words(self) -> str:
        return f"{'at least ' if self.more else ''}{self.events:,} {self.event_type}"


@dataclass(frozen=True, slots=True)
class Received:
    """What one other endpoint received, by its primary key."""

    endpoint: int
    counts: tuple[Count, ...]


@dataclass(frozen=True, slots=True)
class Siblings:
    """What the other endpoints of an install received. `endpoints` is how many there are at OpenTrain now.

    `together` counts an event once that several received. `left` is how many others were not looked at. `stopped` is
    how many were disabled or paused themselves since then, and `unlogged` how many have no log here.
    """

    endpoints: int = 0
    left: int = 0
    stopped: int = 0
    unlogged: int = 0
    together: tuple[Count, ...] = ()
    received: tuple[Received, ...] = ()

    @property
    def absent(self) -> int:
        """How many of these events are not in the log of the endpoint in question."""
        return sum(one.absent for one in self.together)

    @property
    def absent_words(self) -> str:
        """Say how many of them are not in this endpoint's log; empty if the others received none."""
        return f"{self._absent_words} {self._gaps_words}".strip() if self._absent_words else ""

    @property
    def _gaps_words(self) -> str:
        """Say why the others may have received more than their logs show, or none although events happened."""
        were, have = "was" if self.stopped == 1 else "were", "has" if self.unlogged == 1 else "have"
        left = "endpoint of the install was" if self.left == 1 else "endpoints of the install were"
        said = [
            (self.stopped, f"of the other endpoints {were} disabled or paused too, then or later."),
            (self.unlogged, f"of the other endpoints {have} no log here."),
            (self.left, f"more {left} not looked at."),
        ]
        return " ".join(f"{count:,} {words}" for count, words in said if count)

    @property
    def _absent_words(self) -> str:
        total, absent = sum(one.events for one in self.together), self.absent
        more = any(one.more for one in self.together)
        if not total:
            return ""
        if not absent and more:
            return "All that were looked at are in this endpoint's log."
        if not absent:
            return "All of them are in this endpoint's log." if total > 1 else "It is in this endpoint's log."
        if absent == total and not more:
            return "None of them is in this endpoint's log." if total > 1 else "It is not in this endpoint's log."
        least = "At least " if more else ""
        are = "is" if absent == 1 else "are"
        return f"{least}{absent:,} of them {are} not in this endpoint's log."

    @property
    def remark(self) -> str:
        """Say why nothing is known of what the others received; empty if they received any."""
        if self.together:
            return ""
        if not self.endpoints and not self.left:
            return "The install has no other endpoint whose log could show what happened then."
        others = "Those of the install's other endpoints that were looked at" if self.left else _OTHER_ENDPOINTS
        words = f"{others} received none of its event types then, as far as their logs show."
        return f"{words} {self._gaps_words}".strip()

    @property
    def words(self) -> str:
        """Say what the others received, in one paragraph."""
        if not self.together:
            return self.remark
        listed = joined([one.words for one in self.together])
        return f"{_OTHER_ENDPOINTS} received {listed} then. {self.absent_words}"


def is_proven(ending: EndingKind | None, *, event_types: Iterable[str]) -> bool:
    """Return whether nothing is missing: only contracts' events were subscribed, and a read shows all of them."""
    return ending is EndingKind.NOTHING_MISSING and not others_than_contracts(event_types)


def is_said_by_contracts(ending: EndingKind | None, *, event_types: Iterable[str]) -> bool:
    """Return whether what contracts tell says all: which of their events are missing, and no other was subscribed."""
    return ending is EndingKind.MISSING and not others_than_contracts(event_types)


def window_words(
    stop: Stop, ending: EndingKind | None, *, event_types: Iterable[str], now: datetime, where: str = "here"
) -> str:
    """Say of which time events may be missing, and of which events."""
    is_clear = ending is EndingKind.NOTHING_MISSING and others_than_contracts(event_types)
    what = _OTHERS if is_clear else "Events"
    return f"{what} {span_words(stop, now=now)} may be missing {where}."


def span_words(stop: Stop, *, now: datetime) -> str:
    """Return "between 19:56 UTC and 19:57 UTC", "since 19:56 UTC", or what is known of when nothing was sent."""
    since = clock(then=stop.since, now=now)
    if stop.until is None:
        return f"since {since}" if stop.is_begun_known else f"since {since} or earlier"
    until = clock(then=stop.until, now=now)
    if not stop.is_begun_known:
        return f"before {until}"
    return f"at {since}" if since == until else f"between {since} and {until}"


def why_words(stop: Stop) -> str:
    """Say why nothing was sent."""
    state = "paused" if stop.is_paused else "disabled"
    return f"OpenTrain sends nothing while the endpoint is {state}." if stop.until is None else f"It was {state} then."


def clear_words(endpoints: int, *, more: bool = False) -> str:
    """Say what keeps all from being clear; empty if nothing does. `more`: there are more endpoints than counted."""
    if not endpoints:
        return "More endpoints were stopped than are looked at here. Events of them may be missing." if more else ""
    of = "1 endpoint" if endpoints == 1 and not more else f"{'more than ' if more else ''}{endpoints:,} endpoints"
    return f"Events of {of} may be missing, from times in which nothing was sent."
