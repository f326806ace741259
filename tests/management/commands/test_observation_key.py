"""`observation_key` prints a working key."""

from io import StringIO

import pytest
from django.core.management import call_command

from dashboard.models import Endpoint
from tests.factories import make_endpoint
from tests.views.test_observations import ITEM, answered

URL = "/api/v1/observations"


@pytest.fixture
def endpoint(db) -> Endpoint:
    """An endpoint with direct delivery: OpenTrain calls the handler without the receiver."""
    return make_endpoint(receiver_key=None, secret=None, url="https://partner.example.com/hook")


def test_command_prints_a_key_that_works(client, endpoint) -> None:
    out, err = StringIO(), StringIO()
    call_command("observation_key", str(endpoint.pk), stdout=out, stderr=err)
    response = client.post(
        URL, {"observations": [ITEM]}, "application/json", headers={"Authorization": f"Bearer {out.getvalue().strip()}"}
    )
    assert answered(response) == (200, {"stored": 1, "known": 0})
