"""What receivers last reported."""

from datetime import datetime

from dashboard.models import ReceiverReport
from dashboard.rules.receivers import Report


def reports() -> list[Report]:
    """Return the last report of each receiver, by name."""
    return [Report(*row) for row in ReceiverReport.objects.values_list("name", "held", "heard_at")]


def lagging(*, now: datetime) -> list[Report]:
    """Return the reports of receivers that hold attempts, or that do not report any more."""
    return [report for report in reports() if report.held or report.is_silent(now=now)]
