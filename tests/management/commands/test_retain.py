"""`retain` reports what it removed."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from dashboard.actions.deliveries import retention
from tests.actions.deliveries.test_retention import make_old
from tests.factories import NOON, make_endpoint

DAY = timedelta(days=1)
OTHERS = "0 more bodies, 0 refused requests, 0 snapshots, 0 contracts, 0 links, 0 hand-overs."


@pytest.fixture(autouse=True)
def _limits(settings) -> None:
    settings.RETENTION_DAYS, settings.BODY_RETENTION_DAYS = 90, 30


@pytest.mark.django_db
def test_the_command_says_how_far_it_is_and_what_left(monkeypatch) -> None:
    monkeypatch.setattr("dashboard.management.commands.retain.TOLD_EVERY", 2)
    monkeypatch.setattr(retention, "STEP", 1)
    endpoint, age = make_endpoint(), timezone.now() - NOON + 200 * DAY
    for _ in range(3):
        make_old(endpoint=endpoint, age=age, attempts=2)
    said = StringIO()
    call_command("retain", stdout=said)
    assert said.getvalue().splitlines() == [
        f"So far 2 deliveries with 4 attempts, {OTHERS}",
        f"Removed 3 deliveries with 6 attempts, {OTHERS}",
    ]
