"""hire starts a contract on a job that exists or on a new one."""

import pytest
from django.core.management import CommandError

from dashboard.partner_api.models import Contract, Participant
from tests.partner_api.conftest import Partner, make_job
from tests.partner_api.test_tasks import command


def test_hire_starts_a_contract_with_as_many_trainers_as_are_wanted(partner: Partner) -> None:
    job = make_job(partner)
    command("hire", "--job", job.pk, "--trainers", "2", "--payment-type", "PAY_PER_LABEL", "--title", "Signs")
    contract = Contract.objects.get()
    assert (contract.job, contract.title, contract.payment_type, contract.status) == (
        job,
        "Signs",
        "PAY_PER_LABEL",
        "active",
    )
    assert Participant.objects.filter(contract=contract).count() == 2


def test_hire_on_a_new_job_reaches_no_link(partner: Partner) -> None:
    [line] = command("hire", "--new-job", "Traffic", "--install", partner.install_id)
    assert (line["events"], line["lost"], Contract.objects.get().title) == ([], [], "Traffic")
    with pytest.raises(CommandError, match="needs --install"):
        command("hire", "--new-job", "Traffic")
