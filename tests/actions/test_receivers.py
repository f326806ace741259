"""What receivers say of themselves is stored once for each, and taken away when it is over."""

from datetime import timedelta

import pytest

from dashboard.actions.receivers import forget, mark_present, report
from dashboard.models import ReceiverPresence, ReceiverReport
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


def test_each_process_of_a_receiver_has_one_row_that_says_how_long_it_ran() -> None:
    begun, again = NOON, NOON + timedelta(minutes=10)
    for second in (0, 5, 10):
        mark_present(name="web1-a", began_at=begun, now=NOON + timedelta(seconds=second))
    mark_present(name="web1-a", began_at=again, now=again)
    assert list(ReceiverPresence.objects.order_by("began_at").values_list("name", "began_at", "last_at")) == [
        ("web1-a", begun, NOON + timedelta(seconds=10)),
        ("web1-a", again, again),
    ]
