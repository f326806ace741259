"""`manage receivers`: it shows reports, and forgets only receivers that do not report."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from dashboard.models import ReceiverReport

pytestmark = pytest.mark.django_db


def said(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("receivers", *arguments, stdout=out)
    return out.getvalue().splitlines()


def test_receivers_are_shown_with_what_they_hold() -> None:
    assert said() == ["No receiver has reported."]
    now = timezone.now()
    for name, held, minutes in [("a", 0, 0), ("b", 1204, 0), ("c", 7, 3)]:
        ReceiverReport.objects.create(name=name, held=held, heard_at=now - timedelta(minutes=minutes))
    assert said() == [
        "Receiver a holds nothing (reported just now).",
        "Receiver b holds 1,204 attempts that are not in the log yet.",
        "Receiver c: last heard of 3 min ago. The log may lag, by how much is not known.",
    ]


def test_receiver_that_is_gone_is_forgotten_and_one_that_reports_is_not() -> None:
    now = timezone.now()
    ReceiverReport.objects.create(name="here", held=0, heard_at=now)
    ReceiverReport.objects.create(name="gone", held=7, heard_at=now - timedelta(minutes=3))
    with pytest.raises(CommandError, match="still reports"):
        said("--forget", "here")
    with pytest.raises(CommandError, match="No receiver named else has reported"):
        said("--forget", "else")
    assert said("--forget", "gone") == ["Receiver gone is forgotten. Its last report: 7 held."]
    assert [one.name for one in ReceiverReport.objects.all()] == ["here"]
