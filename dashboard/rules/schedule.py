"""OpenTrain's timing: its response timeout and its retry delays.

Source: partner-api, "Deliveries".
"""

from dataclasses import dataclass
from datetime import timedelta

OPENTRAIN_WAITS = timedelta(seconds=10)
"""How long OpenTrain waits for the response to a delivery."""

HANDLER_DEADLINE = timedelta(seconds=9.85)
"""Limit from a delivery's arrival to the handler's response, so that a handler may take 9.8 s. The rest of
OPENTRAIN_WAITS is for the record and the network."""

RECORD_DEADLINE = timedelta(seconds=9.9)
"""Limit from a delivery's arrival until its attempt is recorded."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """OpenTrain's delay after each failed attempt, and the interval of its delivery runs."""

    retry_delays: tuple[timedelta, ...]
    run_interval: timedelta

    @property
    def attempts(self) -> int:
        """Total attempts of a delivery before it is FAILED."""
        return len(self.retry_delays) + 1

    @property
    def retried_for(self) -> timedelta:
        """Time from the first attempt to the last one, if no attempt waits for a delivery run."""
        return sum(self.retry_delays, start=timedelta())

    @property
    def retry_span(self) -> timedelta:
        """Longest time from an event to the last attempt: each attempt may wait for a delivery run."""
        return sum(self.retry_delays, start=self.run_interval * self.attempts)
