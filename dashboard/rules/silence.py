"""Pure rules of silence: when deliveries that came regularly have stopped coming.

An endpoint to which deliveries came in every one of so many stretches of time, one after the other up to the last
delivery, had no pause as long as two stretches. A pause that is longer than that is one that it never had then.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.rules.durations import span


@dataclass(frozen=True, slots=True)
class Rhythm:
    """At least one delivery in each of `times` stretches, each `stretch` long, up to the last delivery."""

    name: str
    stretch: timedelta
    times: int

    @property
    def silent_after(self) -> timedelta:
        """How long a pause is longer than any there can have been."""
        return 2 * self.stretch

    @property
    def known_for(self) -> timedelta:
        """How long the rhythm was kept before the last delivery. A week, so that weekends are part of it."""
        return self.stretch * self.times


RHYTHMS = (
    Rhythm("hours", timedelta(hours=6), 28),
    Rhythm("days", timedelta(days=1), 7),
)
"""The closest first: what came every six hours also came every day."""
FORGOTTEN_AFTER = timedelta(days=14)
"""Who has not missed the deliveries for so long does not expect them."""


def is_silent(*, rhythm: Rhythm, kept: int, last_at: datetime, now: datetime) -> bool:
    """Tell whether an endpoint is silent that kept the rhythm in `kept` stretches up to its last delivery."""
    return kept >= rhythm.times and rhythm.silent_after < now - last_at < FORGOTTEN_AFTER


def silence_words(*, rhythm: Rhythm, last_at: datetime, now: datetime) -> str:
    """Say what was expected and what came."""
    often = "every day" if rhythm.stretch >= timedelta(days=1) else f"every {span(duration=rhythm.stretch)}"
    week = span(duration=rhythm.known_for)
    return (
        f"Deliveries came {often} for {week}, and none has come for {span(duration=now - last_at)}. "
        "Either nothing happened, or OpenTrain does not send, or something before Redeliver turns them away."
    )
