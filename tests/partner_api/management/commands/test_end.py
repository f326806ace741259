"""end ends a contract once."""

import pytest
from django.core.management import CommandError

from tests.partner_api.conftest import Partner, hire, make_job, make_link
from tests.partner_api.test_tasks import command


def test_end_ends_a_contract_once(partner: Partner) -> None:
    job = make_job(partner)
    make_link(partner, job=job)
    contract = hire(job)
    [line] = command("end", "--contract", contract.pk)
    assert (line["contract"], [event["type"] for event in line["events"]]) == (contract.pk, ["contract.ended"])
    with pytest.raises(CommandError, match="has ended"):
        command("end", "--contract", contract.pk)
