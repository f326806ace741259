"""Each observation becomes one attempt in the log."""

import base64
from datetime import timedelta

import pytest

from dashboard.actions import observation_keys
from dashboard.models import Attempt, Delivery, Endpoint
from tests.factories import NOON, make_attempt, make_delivery, make_endpoint
from tests.receiver.observing import observe
from tests.receiver.test_observations import ITEM, answered, at


@pytest.fixture
def endpoint(db) -> Endpoint:
    """An endpoint with direct delivery: OpenTrain calls the handler without the receiver."""
    return make_endpoint(receiver_key=None, secret=None, url="https://partner.example.com/hook")


@pytest.fixture
def key(endpoint) -> str:
    return observation_keys.issue(actor=None, endpoint=endpoint, now=NOON).reveal()


@pytest.fixture
def tell(key):
    """Send observations."""

    def tell(*items):
        return observe(key=key, items=items)

    return tell


def test_event_that_redeliver_handed_over_is_known_and_no_delivery(tell) -> None:
    handed = ITEM | {"deliveryId": "redeliver-delivery-0123456789abcdef0123456789abcdef"}
    assert answered(tell(handed, ITEM)) == (200, {"stored": 1, "known": 1})
    assert [row.opentrain_id for row in Delivery.objects.all()] == ["dlv_1"]


def test_observation_becomes_an_attempt_of_a_delivery(tell, endpoint) -> None:
    item = ITEM | {"eventId": "evt_1", "resourceId": "con_1", "signature": "verified", "body": '{"ü": 1}'}
    assert answered(tell(item)) == (200, {"stored": 1, "known": 0})
    row = Delivery.objects.get()
    assert (row.endpoint, row.opentrain_id, row.event_id, row.event_type, row.resource_id, bytes(row.body)) == (
        endpoint, "dlv_1", "evt_1", "contract.started", "con_1", '{"ü": 1}'.encode(),
    )  # fmt: skip
    assert (row.first_received_at, row.last_attempt_at, row.last_ok, row.last_status, row.last_latency_ms) == (
        NOON, NOON, True, 200, 35,
    )  # fmt: skip
    attempt = row.attempts.get()
    assert (attempt.number, attempt.received_at, attempt.source, attempt.signature, attempt.cause) == (
        1, NOON, "observed", "verified", "",
    )  # fmt: skip


def test_observation_without_a_body_has_none_and_base64_is_any_bytes(tell) -> None:
    tell(ITEM, ITEM | {"deliveryId": "dlv_2", "bodyBase64": base64.b64encode(bytes(range(256))).decode()})
    bodies = dict(Delivery.objects.values_list("opentrain_id", "body"))
    assert (bodies["dlv_1"], bytes(bodies["dlv_2"])) == (None, bytes(range(256)))
    assert Attempt.objects.filter(signature="").count() == 2


def test_delivery_has_what_was_reported_of_its_last_signature(tell) -> None:
    later, before = ITEM | {"receivedAt": "2026-06-12T12:05:00Z"}, ITEM | {"receivedAt": "2026-06-12T11:55:00Z"}
    found = []
    for item in (ITEM, later | {"signature": "mismatch"}, before | {"signature": "verified"}):
        tell(item)
        found.append(Delivery.objects.get().last_signature)
    assert found == ["", "mismatch", "mismatch"]


def test_observation_that_is_told_again_is_known_within_a_call_and_between_calls(tell) -> None:
    assert answered(tell(ITEM, ITEM)) == (200, {"stored": 1, "known": 1})
    again = ITEM | {"status": 500, "receivedAt": "2026-06-12T14:00:00+02:00"}
    assert answered(tell(again, ITEM | {"receivedAt": at(1)})) == (200, {"stored": 1, "known": 1})
    assert list(Attempt.objects.values_list("number", "answered_status")) == [(1, 200), (2, 200)]


def test_observations_of_a_call_are_numbered_by_time(tell) -> None:
    statuses = {5: 200, 1: 503, 3: 500}
    tell(*[ITEM | {"receivedAt": at(minute), "status": status} for minute, status in statuses.items()])
    row = Delivery.objects.get()
    assert [(a.number, a.answered_status, a.cause) for a in row.attempts.all()] == [
        (1, 503, "status"), (2, 500, "status"), (3, 200, ""),
    ]  # fmt: skip
    assert (row.attempt_count, row.attempts_in_round, row.last_ok, row.standing) == (3, 3, True, 1)


def test_observation_that_comes_late_leaves_the_last_attempt_alone(tell) -> None:
    tell(ITEM | {"receivedAt": at(5)})
    tell(ITEM | {"receivedAt": at(1), "status": 503, "eventId": "evt_1"})
    row = Delivery.objects.get()
    assert (row.first_received_at, row.last_attempt_at, row.last_ok, row.event_id) == (
        NOON + timedelta(minutes=1), NOON + timedelta(minutes=5), True, "evt_1",
    )  # fmt: skip
    assert [(a.number, a.answered_status) for a in row.attempts.all()] == [(1, 200), (2, 503)]


def test_observation_of_what_the_receiver_has_is_its_next_attempt(tell, endpoint) -> None:
    make_attempt(delivery=make_delivery(endpoint=endpoint, opentrain_id="dlv_1"))
    tell(ITEM | {"receivedAt": at(1), "status": 500})
    row = Delivery.objects.get()
    assert (row.attempt_count, row.attempts_in_round, row.last_ok, row.standing) == (2, 1, False, 2)
    assert [(a.number, a.source) for a in row.attempts.all()] == [(1, "receiver"), (2, "observed")]


def test_thousand_observations_are_a_dozen_statements(tell, django_assert_max_num_queries) -> None:
    items = [ITEM | {"deliveryId": f"dlv_{number}"} for number in range(1000)]
    with django_assert_max_num_queries(12):
        assert answered(tell(*items)) == (200, {"stored": 1000, "known": 0})
    with django_assert_max_num_queries(16):
        assert answered(tell(*[item | {"receivedAt": at(1)} for item in items])) == (200, {"stored": 1000, "known": 0})
    assert (Delivery.objects.filter(attempt_count=2).count(), Attempt.objects.count()) == (1000, 2000)
