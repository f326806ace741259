"""The scene of each test: an ended contract, and an endpoint that never got its contract.ended."""

import pytest

from dashboard.models import User
from tests.contract.fake import FakeOpenTrain
from tests.handing_over import Scene, make_scene


@pytest.fixture
def scene(fake_opentrain: FakeOpenTrain, support: User) -> Scene:
    return make_scene(fake_opentrain, actor=support)
