"""`observation_key` prints a working key."""

from io import StringIO

import pytest
from django.core.management import call_command

from dashboard.models import Endpoint
from tests.factories import make_endpoint
from tests.receiver.observing import observe
from tests.receiver.test_observations import ITEM


@pytest.fixture
def endpoint(db) -> Endpoint:
    """An endpoint with direct delivery: OpenTrain calls the handler without the receiver."""
    return make_endpoint(receiver_key=None, secret=None, url="https://partner.example.com/hook")


def test_command_prints_a_key_that_works(endpoint) -> None:
    out, err = StringIO(), StringIO()
    call_command("observation_key", str(endpoint.pk), stdout=out, stderr=err)
    answer = observe(key=out.getvalue().strip(), items=[ITEM])
    assert (answer.status_code, answer.json()) == (200, {"stored": 1, "known": 0})
