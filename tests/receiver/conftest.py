"""A receiver on an event loop of its own, for tests of deliveries."""

import pytest

from tests.receiver.delivering import receiving


@pytest.fixture
def receiver(db):
    with receiving() as running:
        yield running
