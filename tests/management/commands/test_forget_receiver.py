"""`forget_receiver` takes away the report of a receiver that is gone, and says what it held."""

import pytest
from django.core.management import CommandError

from dashboard.models import AuditEntry, ReceiverReport
from tests.factories import NOON
from tests.management.commands.test_forget_factors import run

pytestmark = pytest.mark.django_db
SAID = "It last reported at 2026-06-12 12:00:00 UTC, and held 1204 attempts then."


def test_report_is_taken_away_and_the_audit_says_what_it_said() -> None:
    for name in ("web1-a", "web2-a"):
        ReceiverReport.objects.create(name=name, held=1204, heard_at=NOON)
    assert run("forget_receiver", "web2-a") == f"Forgot the receiver web2-a. {SAID}\n"
    assert ReceiverReport.objects.get().name == "web1-a"
    noted = AuditEntry.objects.latest("pk")
    assert (noted.actor_name, noted.action, noted.words) == (
        "command line", "forget receiver", f"Receiver web2-a. {SAID}",
    )  # fmt: skip


def test_name_that_never_reported_changes_nothing() -> None:
    ReceiverReport.objects.create(name="web1-a", held=0, heard_at=NOON)
    with pytest.raises(CommandError, match=r"^No receiver named b has reported\. Those that have: web1-a\.$"):
        run("forget_receiver", "b")
    assert ReceiverReport.objects.count() == 1
