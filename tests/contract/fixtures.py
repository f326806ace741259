"""The fake OpenTrain as a fixture for tests of the console: `from tests.contract.fixtures import fake_opentrain`."""

import pytest

from dashboard.services import opentrain
from tests.contract.fake import FakeOpenTrain

OPERATIONS = (
    "create_endpoint",
    "delete_endpoint",
    "get_budget",
    "get_endpoint",
    "get_install",
    "list_contracts",
    "list_endpoints",
    "list_participants",
    "list_project_links",
    "redeliver",
    "update_endpoint",
)


@pytest.fixture
def fake_opentrain(monkeypatch: pytest.MonkeyPatch) -> FakeOpenTrain:
    """Replace the operations of `dashboard.services.opentrain` by the fake's."""
    fake = FakeOpenTrain()
    for name in OPERATIONS:
        monkeypatch.setattr(opentrain, name, getattr(fake, name))
    return fake
