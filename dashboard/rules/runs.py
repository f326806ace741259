"""Pure rules of a run: what to request next, when to stop because of failures, how to react to OpenTrain's responses.

Facts and the time go in, decisions come out: no rows, no clock, no HTTP.

A recovery requests deliveries in waves, because OpenTrain attempts only every few minutes and ten consecutive failures
disable the endpoint again: one delivery (the canary), four more once it is delivered, the rest once those have
outcomes. Which deliveries are safe to send, and in which order, is in event_order.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum

from dashboard.rules.durations import span
from dashboard.rules.schedule import Schedule

TRIAL = 5
"""Outcomes required (canary included) before the rest are requested."""
TRIAL_FAILURES = 3
LAST = 10
LAST_FAILURES = 5
GIVE_UP_AFTER = 3
"""Consecutive calls without a usable response after which a run pauses itself."""
SLOWEST_MS = 5000
"""Longest pause between two requests, in ms. Each 429 from OpenTrain doubles the pause up to this limit."""
RETRY_FIRST = timedelta(seconds=5)
LONGEST_WAIT = timedelta(hours=1)
"""A longer Retry-After pauses the run, so that a person decides."""


class Step(StrEnum):
    PROBE = "probe"
    ENABLE = "enable"
    CANARY = "canary"
    REST = "rest"
    OTHERS = "others"
    WATCH = "watch"


RECOVERY_STEPS = (Step.PROBE, Step.ENABLE, Step.CANARY, Step.REST, Step.OTHERS, Step.WATCH)
BULK_STEPS = (Step.REST, Step.WATCH)
ONE_CALL_STEPS = (Step.OTHERS, Step.WATCH)


class Then(StrEnum):
    """The reaction of a run to a call."""

    GO_ON = "go_on"
    WAIT = "wait"
    PAUSE = "pause"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class CallFacts:
    """A finished call. `slow_down_s` is the wait in seconds that a 429 asked for; `words` are shown to people."""

    ok: bool
    words: str
    refused: bool = False
    slow_down_s: int | None = None


@dataclass(frozen=True, slots=True)
class Reaction:
    """The next step of a run, with the reason. `wait` is set with WAIT only; the run stores the other fields."""

    then: Then
    why: str = ""
    wait: timedelta = timedelta()
    failed_calls: int = 0
    pace_ms: int = 0


def react(*, call: CallFacts, failed_calls: int, pace_ms: int) -> Reaction:
    """Decide what follows a call. `failed_calls` counts the consecutive calls without a usable response before it."""
    if call.ok:
        return Reaction(Then.GO_ON, pace_ms=pace_ms)
    if call.refused:
        return Reaction(Then.STOP, call.words, failed_calls=failed_calls, pace_ms=pace_ms)
    if call.slow_down_s is not None:
        return _slow_down(seconds=call.slow_down_s, failed_calls=failed_calls, pace_ms=pace_ms)
    failed = failed_calls + 1
    if failed >= GIVE_UP_AFTER:
        why = f"{failed} consecutive calls got no usable response. The last: {call.words}"
        return Reaction(Then.PAUSE, why, failed_calls=0, pace_ms=pace_ms)
    return Reaction(Then.WAIT, call.words, RETRY_FIRST * 2 ** (failed - 1), failed, pace_ms)


def _slow_down(*, seconds: int, failed_calls: int, pace_ms: int) -> Reaction:
    wait, slower = timedelta(seconds=max(seconds, 1)), min(max(pace_ms, 1) * 2, SLOWEST_MS)
    if wait > LONGEST_WAIT:
        why = f"OpenTrain asked to wait {span(duration=wait)}. Resume the run after that."
        return Reaction(Then.PAUSE, why, failed_calls=failed_calls, pace_ms=slower)
    why = f"OpenTrain limits the rate of this install's requests and asked to wait {span(duration=wait)}."
    return Reaction(Then.WAIT, why, wait, failed_calls, slower)


def failures_returned(*, first: Sequence[bool], last: Sequence[bool]) -> str | None:
    """Return in words that too many deliveries failed again; None if not too many did.

    `first` and `last` are the first TRIAL and the last LAST outcomes so far (True: delivered), in any order.
    """
    failed = list(first).count(False)
    if failed >= TRIAL_FAILURES:
        return f"{failed} of the first {TRIAL} failed again"
    failed = list(last).count(False)
    if len(last) >= LAST and failed >= LAST_FAILURES:
        return f"{failed} of the last {LAST} failed again"
    return None


def may_ask(*, tally: "Tally") -> bool:
    """Return whether a recovery may request one more delivery: within the trial, or once the trial has outcomes.

    The canary is included. A delivery that OpenTrain refused is none of the trial: it proves nothing.
    """
    return tally.asked - tally.refused < TRIAL or tally.settled - tally.refused >= TRIAL


def next_run_words(*, asked_at: datetime, now: datetime, schedule: Schedule) -> str:
    """Say when to expect the delivery run that attempts what was requested at `asked_at`."""
    left = asked_at + schedule.run_interval - now
    return f"within {span(duration=left)}" if left >= timedelta(seconds=1) else "any moment now"


class LeftOut(Enum):
    """Why a run leaves out a chosen delivery. The run stores the words."""

    DELIVERED = "already delivered"
    REQUESTED = "already requested again, attempt pending"
    NOT_FAILED = "no longer failed when the call for all failed ones was made"
    OVERTAKEN = "overtaken by a later event of the same resource"

    @property
    def words(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Tally:
    """How many deliveries of a run are in each state. The total excludes those left out."""

    waiting: int = 0
    asking: int = 0
    requested: int = 0
    delivered: int = 0
    failed_again: int = 0
    not_seen: int = 0
    unknown: int = 0
    refused: int = 0
    left_out: int = 0

    @property
    def total(self) -> int:
        return self.asked + self.waiting

    @property
    def asked(self) -> int:
        """Deliveries requested from OpenTrain, including requests still in progress and refused ones."""
        return self.asking + self.requested + self.settled

    @property
    def requeued(self) -> int:
        """Deliveries that OpenTrain is known to have requeued. A request that it refused or lost is none."""
        return self.requested + self.delivered + self.failed_again + self.not_seen

    @property
    def settled(self) -> int:
        return self.delivered + self.failed_again + self.not_seen + self.unknown + self.refused

    @property
    def all_delivered(self) -> bool:
        return self.delivered == self.total

    @property
    def parts(self) -> tuple[tuple[str, str, int], ...]:
        """The parts that all chosen deliveries fall into, those above 0: kind, label and count of each."""
        all_parts = (
            ("delivered", "Delivered", self.delivered),
            ("failed_again", "Failed again", self.failed_again),
            ("refused", "Refused", self.refused),
            ("unknown_outcome", "Outcome unknown", self.not_seen + self.unknown),
            ("requested", "Requested, awaited", self.asking + self.requested),
            ("waiting", "Not requested", self.waiting),
            ("left_out", "Left out", self.left_out),
        )
        return tuple(part for part in all_parts if part[2])

    @property
    def words(self) -> str:
        """Return "411 requested again, 260 delivered, 0 failed again", and any other counts above 0."""
        parts = [f"{self.requeued} requested again", f"{self.delivered} delivered", f"{self.failed_again} failed again"]
        return ", ".join(parts + self._rest())

    def requests(self, *, has_canary: bool) -> str:
        """Return "All 411 requested again.", or how many were and what became of the other requests.

        `has_canary`: the first delivery, which was delivered, has a step of its own and is left out.
        """
        requeued = self.requeued - has_canary
        others = [(self.unknown, "with unknown outcome"), (self.refused, "refused")]
        said = [f"{count} {words}" for count, words in others if count]
        if said:
            return f"{', '.join([f'{requeued} requested again', *said])}."
        if requeued <= 0:
            return "None left to request."
        return f"{'All ' * (requeued > 1)}{requeued} requested again."

    def outcome(self, *, took: timedelta) -> str:
        """Return "412 of 412 delivered in 9 min.", and the outcomes of the others."""
        if not self.total:
            return "No failed deliveries were known."
        failed = [f"{self.failed_again} failed again"] if self.failed_again else []
        said = ", ".join([f"{self.delivered} of {self.total} delivered", *failed, *self._rest()])
        return f"{said}, in {span(duration=took)}." if failed or self._rest() else f"{said} in {span(duration=took)}."

    def _rest(self) -> list[str]:
        named = [
            (self.not_seen, "not seen in time"),
            (self.unknown, "with unknown outcome"),
            (self.refused, "refused"),
            (self.waiting, "not requested"),
        ]
        return [f"{count} {words}" for count, words in named if count]


UNSEEN = "did not reach Redeliver in time."
UNSEEN_DIRECT = "Their outcome is unknown here: deliveries go directly to the endpoint's URL."
UNANSWERED = "Whether OpenTrain requested its other failed deliveries again is not known."
"""What the reason of a run that is done says of deliveries that no number of its tally counts."""


def is_whole(*, tally: Tally, why: str) -> bool:
    """Return whether all that a run that is done was to redeliver is known to be delivered."""
    return tally.all_delivered and not any(words in why for words in (UNSEEN, UNSEEN_DIRECT, UNANSWERED))
