"""What a receiver's report means for the log: attempts that it holds, or that it does not report. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.rules.durations import ago

SILENT_AFTER = timedelta(seconds=30)
"""A receiver reports every 5 s. Without a report for this long, what it holds is not known any more."""

SILENT_ADVICE = "A receiver that does not report has ended or cannot reach the database: look at its own log."


@dataclass(frozen=True, slots=True)
class Report:
    """A receiver's last report: how many attempts it held that were not in the log, and when it said so."""

    name: str
    held: int
    heard_at: datetime

    def is_silent(self, *, now: datetime) -> bool:
        """Return whether the report is too old to say anything about now."""
        return now - self.heard_at > SILENT_AFTER

    def words(self, *, now: datetime) -> str:
        """Say what the log may lack; empty if it lacks nothing of this receiver."""
        if self.is_silent(now=now):
            heard = ago(then=self.heard_at, now=now)
            return f"Receiver {self.name}: last heard of {heard}. The log may lag, by how much is not known."
        if self.held:
            are = "1 attempt that is" if self.held == 1 else f"{self.held:,} attempts that are"
            return f"Receiver {self.name} holds {are} not in the log yet."
        return ""


def lag_words(reports: Sequence[Report], *, now: datetime) -> str:
    """Say in one sentence, without names and numbers of receivers, what the log may lack; empty if nothing."""
    if any(report.is_silent(now=now) for report in reports):
        return "A receiver of Redeliver does not report, so this log may lag. By how much is not known."
    if any(report.held for report in reports):
        return "Redeliver holds attempts that are not in this log yet. It adds them as soon as it can."
    return ""
