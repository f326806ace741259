"""What /metrics reads from the database. tests/views/test_probes.py has the values, as a scrape shows them."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from dashboard.actions.runs.commands import QUEUE
from dashboard.models import ReceiverReport
from dashboard.queries.vitals import Vitals


@pytest.mark.django_db
def test_database_that_answers_is_up() -> None:
    found = {family.name: family for family in Vitals(queue=QUEUE, clock=timezone.now).collect()}
    assert found["redeliver_database_up"].samples[0].value == 1.0
    assert "redeliver_deliveries_estimate" in found


@pytest.mark.django_db
def test_receiver_that_does_not_report_has_no_number_of_attempts() -> None:
    now = timezone.now()
    ReceiverReport.objects.create(name="a", held=7, heard_at=now)
    ReceiverReport.objects.create(name="b", held=9, heard_at=now - timedelta(minutes=3))
    found = {family.name: family.samples for family in Vitals(queue=QUEUE, clock=timezone.now).collect()}
    held, ages = found["redeliver_receiver_held_attempts"], found["redeliver_receiver_report_age_seconds"]
    assert [(one.labels["receiver"], one.value) for one in held] == [("a", 7)]
    assert [(one.labels["receiver"], one.value >= least) for one, least in zip(ages, (0, 180), strict=True)] == [
        ("a", True),
        ("b", True),
    ]


def test_database_that_is_away_is_down_and_no_other_value_is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(connection, "cursor", refuse)
    [family] = Vitals(queue=QUEUE, clock=timezone.now).collect()
    assert (family.name, family.samples[0].value) == ("redeliver_database_up", 0.0)
