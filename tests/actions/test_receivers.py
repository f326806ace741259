"""What receivers say of themselves is stored once for each, and taken away when it is over."""

from datetime import timedelta

import pytest

from dashboard.actions.receivers import forget, report
from dashboard.models import ReceiverReport
from tests.factories import NOON

pytestmark = pytest.mark.django_db


def reports() -> list[tuple[object, ...]]:
    return list(ReceiverReport.objects.values_list("name", "held", "heard_at"))


def test_report_replaces_the_one_before() -> None:
    report(name="web1-a", held=3, now=NOON)
    report(name="web1-b", held=0, now=NOON)
    report(name="web1-a", held=1204, now=NOON + timedelta(seconds=5))
    assert reports() == [("web1-a", 1204, NOON + timedelta(seconds=5)), ("web1-b", 0, NOON)]


def test_forget_takes_away_what_is_named() -> None:
    report(name="web1-a", held=3, now=NOON)
    report(name="web1-b", held=0, now=NOON)
    forget(names=["web1-a", "never heard of"])
    assert reports() == [("web1-b", 0, NOON)]
