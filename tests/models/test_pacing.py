"""Calls of the observations API are counted per endpoint."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from dashboard.models import Endpoint
from dashboard.models.pacing import count_call
from tests.factories import NOON, make_endpoint


@pytest.fixture
def endpoint(db) -> Endpoint:
    """An endpoint that OpenTrain delivers to directly."""
    return make_endpoint(receiver_key=None, secret=None, url="https://partner.example.com/hook")


@pytest.mark.django_db(transaction=True)
def test_calls_at_once_are_each_counted(endpoint) -> None:
    def count(_number: int) -> int:
        try:
            return count_call(endpoint_id=endpoint.pk, now=NOON)[0]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(count, range(20))) == list(range(1, 21))
