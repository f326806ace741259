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
