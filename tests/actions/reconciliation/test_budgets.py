"""A contract's budget on request."""

import pytest
from cryptography.fernet import Fernet

from dashboard.actions.reconciliation import budgets
from dashboard.models import Contract, Install
from dashboard.services import opentrain
from tests.actions.reconciliation.sweeping import MINUTE, go, make_read
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON

pytestmark = pytest.mark.django_db


def refresh(contract: Contract, *, minutes: int = 1) -> str:
    return budgets.refresh(contract=contract, clock=lambda: NOON + minutes * MINUTE)


def make_contract_there(fake: FakeOpenTrain) -> Contract:
    install = make_read(fake)
    fake.add_link(install.token, job_id="job_1")
    contract_id = fake.hire("job_1")
    fake.fund(contract_id, hours=10)
    fake.work(contract_id, hours=10)
    go()
    return Contract.objects.get()


def test_budget_is_read_and_stored(fake_opentrain: FakeOpenTrain) -> None:
    contract = make_contract_there(fake_opentrain)
    assert refresh(contract) == ""
    contract.refresh_from_db()
    assert (contract.budget_state, contract.budget_consumed, contract.budget_read_at) == ("DEPLETED", 1, NOON + MINUTE)


def test_older_budget_does_not_undo_a_newer_one(fake_opentrain: FakeOpenTrain) -> None:
    contract = make_contract_there(fake_opentrain)
    refresh(contract, minutes=2)
    fake_opentrain.work(contract.opentrain_id, hours=1)
    refresh(contract, minutes=1)
    contract.refresh_from_db()
    assert contract.budget_state == "DEPLETED"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (opentrain.Unavailable("No answer.", reason=opentrain.Reason.TIMEOUT), "No answer."),
        (opentrain.BadResponse("It is HTML.", status=200), "OpenTrain has no budget of this contract"),
    ],
)
def test_budget_that_does_not_come_is_said(fake_opentrain: FakeOpenTrain, error, words: str) -> None:
    contract = make_contract_there(fake_opentrain)
    fake_opentrain.fail_next(error)
    assert words in refresh(contract)
    contract.refresh_from_db()
    assert contract.budget_state == ""


def test_token_without_the_scope_or_that_cannot_be_read_asks_nobody(fake_opentrain: FakeOpenTrain, settings) -> None:
    contract = make_contract_there(fake_opentrain)
    fake_opentrain.calls.clear()
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    assert "cannot be read with the keys in FIELD_KEYS" in refresh(contract)
    Install.objects.update(token_scopes=[])
    assert refresh(contract).startswith("Not known, because this token lacks contracts:read.")
    assert fake_opentrain.calls == []
