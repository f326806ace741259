"""OpenTrain's pace: how long it waits for an answer, and after each failed attempt.

Source: partner-api, "Deliveries".
"""

from dataclasses import dataclass
from datetime import timedelta

OPENTRAIN_WAITS = timedelta(seconds=10)
"""How long OpenTrain waits for an answer to a delivery."""

HANDLER_DEADLINE = timedelta(seconds=9.5)
"""From a delivery's arrival to our answer, the handler's among it; the rest of OPENTRAIN_WAITS is for the way."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long OpenTrain waits after each failed attempt, and how often its delivery run looks for what is due."""

    retry_delays: tuple[timedelta, ...]
    run_interval: timedelta

    @property
    def attempts(self) -> int:
        """How many attempts a delivery gets in all before it is FAILED."""
        return len(self.retry_delays) + 1

    @property
    def retry_span(self) -> timedelta:
        """The longest time from a delivery's event to its last attempt: each attempt may wait for a delivery run."""
        return sum(self.retry_delays, start=self.run_interval * self.attempts)
