"""What /metrics reads from the database. tests/views/test_probes.py has the values, as a scrape shows them."""

import pytest
from django.db import OperationalError, connection

from dashboard.actions.runs.commands import QUEUE
from dashboard.queries.vitals import Vitals


@pytest.mark.django_db
def test_database_that_answers_is_up() -> None:
    found = {family.name: family for family in Vitals(queue=QUEUE).collect()}
    assert found["redeliver_database_up"].samples[0].value == 1.0
    assert "redeliver_deliveries_estimate" in found


def test_database_that_is_away_is_down_and_no_other_value_is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(connection, "cursor", refuse)
    [family] = Vitals(queue=QUEUE).collect()
    assert (family.name, family.samples[0].value) == ("redeliver_database_up", 0.0)
