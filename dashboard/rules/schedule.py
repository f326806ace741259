"""How long OpenTrain waits after each failed attempt. Source: partner-api, "Deliveries"."""

from dataclasses import dataclass
from datetime import timedelta


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
