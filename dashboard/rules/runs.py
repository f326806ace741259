"""Pure rules of a run: what is asked for next, when failures have returned, what an answer of OpenTrain means for it.

Facts and the time go in, decisions come out: no rows, no clock, no HTTP.

A recovery asks in waves, because OpenTrain attempts only every few minutes and ten failures in a row disable the
endpoint anew: one delivery first, four more when that one was delivered, the rest when those have come back too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum

from dashboard.rules.durations import span
from dashboard.rules.schedule import Schedule

TRIAL = 5
"""So many come back, the canary among them, before a recovery asks for the rest."""
TRIAL_FAILURES = 3
LAST = 10
LAST_FAILURES = 5
GIVE_UP_AFTER = 3
"""Calls in a row without a usable answer after which a run pauses itself."""
SLOWEST_MS = 5000
"""The longest pause between two requests; OpenTrain's 429 doubles it up to here."""
RETRY_FIRST = timedelta(seconds=5)
LONGEST_WAIT = timedelta(hours=1)
"""A Retry-After that is longer pauses the run, so that a person decides."""


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
    """What a run does after an answer."""

    GO_ON = "go_on"
    WAIT = "wait"
    PAUSE = "pause"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class CallFacts:
    """A call that is over. `slow_down_s` is how long OpenTrain asked to wait (429), `words` what a person is told."""

    ok: bool
    words: str
    refused: bool = False
    slow_down_s: int | None = None


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a run does next, and why; `wait` with WAIT alone. The rest is what the run keeps for the next time."""

    then: Then
    why: str = ""
    wait: timedelta = timedelta()
    failed_calls: int = 0
    pace_ms: int = 0


def react(*, call: CallFacts, failed_calls: int, pace_ms: int) -> Reaction:
    """Decide what follows a call. `failed_calls` counts those before it, in a row, that brought no usable answer."""
    if call.ok:
        return Reaction(Then.GO_ON, pace_ms=pace_ms)
    if call.refused:
        return Reaction(Then.STOP, call.words, failed_calls=failed_calls, pace_ms=pace_ms)
    if call.slow_down_s is not None:
        return _slow_down(seconds=call.slow_down_s, failed_calls=failed_calls, pace_ms=pace_ms)
    failed = failed_calls + 1
    if failed >= GIVE_UP_AFTER:
        why = f"{failed} calls in a row brought no usable answer. The last: {call.words}"
        return Reaction(Then.PAUSE, why, failed_calls=0, pace_ms=pace_ms)
    return Reaction(Then.WAIT, call.words, RETRY_FIRST * 2 ** (failed - 1), failed, pace_ms)


def _slow_down(*, seconds: int, failed_calls: int, pace_ms: int) -> Reaction:
    wait, slower = timedelta(seconds=max(seconds, 1)), min(max(pace_ms, 1) * 2, SLOWEST_MS)
    if wait > LONGEST_WAIT:
        why = f"OpenTrain asked to wait {span(duration=wait)}. Resume it when that time is over."
        return Reaction(Then.PAUSE, why, failed_calls=failed_calls, pace_ms=slower)
    why = f"OpenTrain gets too many requests from this install and asked to wait {span(duration=wait)}."
    return Reaction(Then.WAIT, why, wait, failed_calls, slower)


def failures_returned(*, first: Sequence[bool], last: Sequence[bool]) -> str | None:
    """Say so when too many failed again.

    `first` and `last` are the first TRIAL and the last LAST outcomes so far (delivered or not), in any order.
    """
    failed = list(first).count(False)
    if failed >= TRIAL_FAILURES:
        return f"{failed} of the first {TRIAL} failed again"
    failed = list(last).count(False)
    if len(last) >= LAST and failed >= LAST_FAILURES:
        return f"{failed} of the last {LAST} failed again"
    return None


def may_ask(*, asked: int, settled: int) -> bool:
    """Tell whether a recovery may ask for one more: within the trial, or when the trial has come back.

    `asked` counts those that were asked for, the canary among them, `settled` those of them that have an outcome.
    """
    return asked < TRIAL or settled >= TRIAL


def next_run_words(*, asked_at: datetime, now: datetime, schedule: Schedule) -> str:
    """Say when the delivery run is expected that attempts what was asked for at `asked_at`."""
    left = asked_at + schedule.run_interval - now
    return f"within {span(duration=left)}" if left >= timedelta(seconds=1) else "any moment now"


class LeftOut(Enum):
    """Why a run does not ask for a delivery that was chosen; its words are kept with the run."""

    DELIVERED = "it was delivered already"
    REQUESTED = "it was requested again already, and is still to come"

    @property
    def words(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Tally:
    """How many deliveries of a run are in each state. Those left out are not part of the whole."""

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
        """Those that OpenTrain was asked for, as far as anybody knows."""
        return self.asking + self.requested + self.settled

    @property
    def settled(self) -> int:
        return self.delivered + self.failed_again + self.not_seen + self.unknown + self.refused

    @property
    def all_delivered(self) -> bool:
        return self.delivered == self.total

    @property
    def words(self) -> str:
        """Return "411 requested again, 260 delivered, 0 failed again", and what else there is."""
        parts = [f"{self.asked} requested again", f"{self.delivered} delivered", f"{self.failed_again} failed again"]
        return ", ".join(parts + self._rest())

    def outcome(self, *, took: timedelta) -> str:
        """Return "412 of 412 delivered in 9 min.", and what became of the others."""
        if not self.total:
            return "No failed delivery was known here."
        failed = [f"{self.failed_again} failed again"] if self.failed_again else []
        said = ", ".join([f"{self.delivered} of {self.total} delivered", *failed, *self._rest()])
        return f"{said}, in {span(duration=took)}." if failed or self._rest() else f"{said} in {span(duration=took)}."

    def _rest(self) -> list[str]:
        named = [
            (self.not_seen, "not seen in time"),
            (self.unknown, "of unknown outcome"),
            (self.refused, "refused"),
            (self.waiting, "not requested"),
        ]
        return [f"{count} {words}" for count, words in named if count]
