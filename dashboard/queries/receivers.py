"""What receivers last reported."""

from datetime import datetime

from django.db.models import Q

from dashboard.models import ReceiverReport
from dashboard.rules.receivers import SILENT_AFTER, Report


def reports() -> list[Report]:
    """Return the last report of each receiver, by name."""
    return [Report(*row) for row in ReceiverReport.objects.values_list("name", "held", "heard_at")]


def lagging(*, now: datetime) -> list[Report]:
    """Return the reports of receivers that hold attempts, or that do not report any more."""
    lags = Q(held__gt=0) | Q(heard_at__lt=now - SILENT_AFTER)
    return [Report(*row) for row in ReceiverReport.objects.filter(lags).values_list("name", "held", "heard_at")]
