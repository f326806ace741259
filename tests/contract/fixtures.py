"""The fake as a fixture, for every test of the console: `from tests.contract.fixtures import fake_opentrain`."""

import pytest

from dashboard.services import opentrain
from tests.contract.fake import FakeOpenTrain

OPERATIONS = (
    "create_endpoint",
    "delete_endpoint",
    "get_endpoint",
    "get_install",
    "list_endpoints",
    "redeliver",
    "update_endpoint",
)


@pytest.fixture
def fake_opentrain(monkeypatch: pytest.MonkeyPatch) -> FakeOpenTrain:
    """Put the fake in the place of the seven functions of `dashboard.services.opentrain`."""
    fake = FakeOpenTrain()
    for name in OPERATIONS:
        monkeypatch.setattr(opentrain, name, getattr(fake, name))
    return fake
