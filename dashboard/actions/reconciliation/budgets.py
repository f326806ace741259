"""Reads a contract's budget on request, beside those that each sweep reads."""

from collections.abc import Callable
from datetime import datetime

from django.db import transaction

from dashboard.actions.installs import snapshots
from dashboard.actions.operation import failed
from dashboard.actions.reconciliation import rows
from dashboard.actions.reconciliation.reads import read_budget
from dashboard.models import Contract, Install
from dashboard.rules.reads import Read, not_known
from dashboard.services.opentrain import OpenTrainError
from dashboard.vault import Unreadable


def refresh(*, contract: Contract, clock: Callable[[], datetime]) -> str:
    """Read the contract's budget and store it; return why it is not known, in words, or "".

    It calls OpenTrain: never call it for a page view. `contract` is as it was before.
    """
    install = Install.objects.defer("token").get(pk=contract.install_id)
    if install.is_disconnected:
        return "This install is disconnected from Redeliver, so its budgets are not read any more."
    if words := not_known([Read.CONTRACTS], scopes=install.token_scopes):
        return words
    try:
        one = read_budget(contract_id=contract.opentrain_id, token=install.token, at=clock())
    except (OpenTrainError, Unreadable) as error:
        return failed(error).words
    with transaction.atomic():
        snapshots.hold(install_id=install.pk)
        rows.record_budgets(install=install, budgets=[one])
    return "" if one.budget else "OpenTrain has no budget of this contract that Redeliver can read."
