"""fund adds a milestone."""

from decimal import Decimal

import pytest
from django.core.management import CommandError

from dashboard.partner_api.models import Milestone
from tests.partner_api.conftest import Partner, hire, make_job, make_link
from tests.partner_api.test_tasks import command


def test_fund_adds_a_milestone_and_announces_it(partner: Partner) -> None:
    job = make_job(partner)
    make_link(partner, job=job)
    contract = hire(job)
    [line] = command("fund", "--contract", contract.pk, "--amount", "280.50", "--volume", "20", "--name", "Week 1")
    milestone = Milestone.objects.get()
    assert (line["milestone"], [event["type"] for event in line["events"]]) == (milestone.pk, ["milestone.funded"])
    assert (milestone.amount_usd, milestone.volume, milestone.name) == (Decimal("280.50"), Decimal(20), "Week 1")


@pytest.mark.parametrize("amount", ["0", "-1", "1.001", "much", "NaN", "1e12"])
def test_fund_refuses_what_is_no_amount(db: None, amount: str) -> None:
    with pytest.raises(CommandError, match="more than 0, with at most two decimals"):
        command("fund", "--contract", "ctr_1", f"--amount={amount}")
