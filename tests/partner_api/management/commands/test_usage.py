"""usage reports a day's work."""

from datetime import date
from decimal import Decimal

import pytest
from django.core.management import CommandError

from dashboard.partner_api import contracts
from dashboard.partner_api.announcements import Announcer
from dashboard.partner_api.models import Usage
from tests.partner_api.conftest import THEN, Partner, hire, make_job, make_link
from tests.partner_api.test_tasks import command


def test_usage_reports_a_day_and_announces_what_it_crosses(partner: Partner) -> None:
    job = make_job(partner)
    make_link(partner, job=job)
    contract = hire(job)
    contracts.fund(
        contract_id=contract.pk,
        name="Week 1",
        amount_usd=Decimal(9),
        volume=Decimal(1),
        announcer=Announcer(),
        now=THEN,
    )
    [line] = command("usage", "--contract", contract.pk, "--day", "2026-06-12", "--seconds", "3000", "--tasks", "4")
    assert (line["state"], [event["type"] for event in line["events"]]) == ("LOW", ["milestone.budget_low"])
    stored = Usage.objects.get()
    assert (stored.work_date, stored.total_seconds, stored.tasks_completed, stored.labels_completed) == (
        date(2026, 6, 12),
        3000,
        4,
        0,
    )


@pytest.mark.parametrize("option", ["--seconds=86401", "--seconds=-1", "--labels=many", "--tasks=2147483648"])
def test_usage_refuses_what_cannot_be_stored(db: None, option: str) -> None:
    with pytest.raises(CommandError, match="whole number from 0 to"):
        command("usage", "--contract", "ctr_1", option)
