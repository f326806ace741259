"""Pure rules of silence: when regular deliveries have stopped.

If every one of several consecutive stretches of time, up to the last delivery, had a delivery, then no pause was as
long as two stretches. A longer pause is therefore new.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.rules.durations import span


@dataclass(frozen=True, slots=True)
class Rhythm:
    """At least one delivery in each of `times` consecutive stretches of length `stretch`, up to the last delivery."""

    name: str
    stretch: timedelta
    times: int

    @property
    def silent_after(self) -> timedelta:
        """Pause from which the endpoint is silent: no earlier pause can have been as long."""
        return 2 * self.stretch

    @property
    def known_for(self) -> timedelta:
        """How long the rhythm held before the last delivery. A week, so that it includes a weekend."""
        return self.stretch * self.times


RHYTHMS = (
    Rhythm("hours", timedelta(hours=6), 28),
    Rhythm("days", timedelta(days=1), 7),
)
"""Shortest stretch first: deliveries every six hours are also deliveries every day."""
FORGOTTEN_AFTER = timedelta(days=14)
"""How long a silence is shown. After that, the deliveries are no longer expected."""


def is_silent(*, rhythm: Rhythm, kept: int, last_at: datetime, now: datetime) -> bool:
    """Return whether an endpoint is silent; it kept the rhythm for `kept` stretches up to its last delivery."""
    return kept >= rhythm.times and rhythm.silent_after < now - last_at < FORGOTTEN_AFTER


def silence_words(*, rhythm: Rhythm, last_at: datetime, now: datetime) -> str:
    """Say how regular the deliveries were, how long they have stopped, and possible reasons."""
    often = "every day" if rhythm.stretch >= timedelta(days=1) else f"every {span(duration=rhythm.stretch)}"
    week = span(duration=rhythm.known_for)
    return (
        f"Deliveries came {often} for {week}, but none in the last {span(duration=now - last_at)}. "
        "Either no events happened, or OpenTrain is not sending, or something in front of Redeliver rejects deliveries."
    )
