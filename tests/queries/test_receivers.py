"""Reports of receivers: all, and those that say that the log lags."""

from datetime import timedelta

import pytest

from dashboard.models import ReceiverReport
from dashboard.queries import receivers
from dashboard.rules.receivers import SILENT_AFTER, Report
from tests.factories import NOON

pytestmark = pytest.mark.django_db


def test_lagging_receivers_hold_attempts_or_are_silent() -> None:
    old = NOON - SILENT_AFTER - timedelta(seconds=1)
    for name, held, heard_at in [("c", 0, old), ("a", 0, NOON), ("b", 7, NOON)]:
        ReceiverReport.objects.create(name=name, held=held, heard_at=heard_at)
    assert receivers.reports() == [Report("a", 0, NOON), Report("b", 7, NOON), Report("c", 0, old)]
    assert receivers.lagging(now=NOON) == [Report("b", 7, NOON), Report("c", 0, old)]
