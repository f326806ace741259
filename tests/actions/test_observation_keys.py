"""Keys of the observations API: one per endpoint, stored as a hash."""

import hashlib

import pytest
from django.utils import timezone

from dashboard.actions import observation_keys
from dashboard.models import AuditEntry, Endpoint
from tests.factories import NOON, make_endpoint
from tests.receiver.observing import observe
from tests.receiver.test_observations import ITEM


@pytest.fixture
def endpoint(db) -> Endpoint:
    """An endpoint with direct delivery: OpenTrain calls the handler without the receiver."""
    return make_endpoint(receiver_key=None, secret=None, url="https://partner.example.com/hook")


@pytest.fixture
def key(endpoint) -> str:
    return observation_keys.issue(actor=None, endpoint=endpoint, now=NOON).reveal()


def test_key_is_stored_as_its_hash_and_audited_and_ends_the_one_before(endpoint, key, support) -> None:
    endpoint.refresh_from_db()
    assert (endpoint.observation_key_sha256, endpoint.is_logged) == (hashlib.sha256(key.encode()).hexdigest(), True)
    second = observation_keys.issue(actor=support, endpoint=endpoint, now=timezone.now()).reveal()
    statuses = [observe(key=one, items=[ITEM]).status_code for one in (key, second)]
    assert statuses == [401, 200]
    entries = AuditEntry.objects.order_by("pk").values_list("action", "phase", "actor_name", "words")
    assert [entry[:3] for entry in entries] == [
        ("issue observation key", "done", "command line"), ("issue observation key", "done", "ana"),
    ]  # fmt: skip
    assert key not in str(list(entries))
