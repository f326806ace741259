"""What the other endpoints of an install received in a time in which OpenTrain sent one of them nothing."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.models import Endpoint
from dashboard.queries import siblings
from dashboard.queries.siblings import Window, siblings_of
from dashboard.rules.may_be_missing import Count, Received, Siblings
from tests.factories import NOON, make_delivery, make_endpoint

MINUTE = timedelta(minutes=1)
TYPES = ["contract.ended", "milestone.funded"]


@pytest.fixture
def endpoint(db: None) -> Endpoint:
    return make_endpoint(event_types=TYPES)


def window(endpoint: Endpoint, key: int = 1) -> Window:
    return Window(key, endpoint, NOON, NOON + 2 * MINUTE)


def got(endpoint: Endpoint, event_id: str, event_type: str = "contract.ended", *, minutes: float = 1) -> None:
    make_delivery(
        endpoint=endpoint, event_id=event_id, event_type=event_type, first_received_at=NOON + minutes * MINUTE
    )


def test_events_are_counted_by_endpoint_and_together_once(endpoint: Endpoint) -> None:
    first, second = make_endpoint(install=endpoint.install), make_endpoint(install=endpoint.install)
    for event_id in ("evt_1", "evt_2"):
        got(first, event_id)
        got(second, event_id)
    got(first, "evt_3", "milestone.funded")
    got(endpoint, "evt_2", minutes=30)
    assert siblings_of([window(endpoint)])[1] == Siblings(
        endpoints=2,
        together=(Count("contract.ended", 2, 1), Count("milestone.funded", 1, 1)),
        received=(
            Received(first.pk, (Count("contract.ended", 2, 1), Count("milestone.funded", 1, 1))),
            Received(second.pk, (Count("contract.ended", 2, 1),)),
        ),
    )


def test_only_what_the_endpoint_subscribes_to_counts_and_only_of_that_time(endpoint: Endpoint) -> None:
    sibling = make_endpoint(install=endpoint.install)
    got(sibling, "evt_1", "contract.started")
    got(sibling, "evt_2", minutes=-1)
    got(sibling, "evt_3", minutes=2)
    got(make_endpoint(), "evt_4")
    assert siblings_of([window(endpoint)])[1] == Siblings(endpoints=1)


def test_log_of_an_endpoint_that_was_deleted_since_counts(endpoint: Endpoint) -> None:
    deleted = make_endpoint(install=endpoint.install, deleted_at=NOON + 5 * MINUTE)
    earlier = make_endpoint(install=endpoint.install, deleted_at=NOON - MINUTE)
    got(deleted, "evt_1")
    got(earlier, "evt_2")
    found = siblings_of([window(endpoint)])[1]
    assert (found.endpoints, [one.endpoint for one in found.received]) == (0, [deleted.pk])


def test_more_than_is_counted_is_known_to_be_more(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siblings, "COUNTED", 2)
    sibling = make_endpoint(install=endpoint.install)
    for number in range(5):
        got(sibling, f"evt_{number}")
    assert siblings_of([window(endpoint)])[1].together == (Count("contract.ended", 3, 3, more=True),)


def test_endpoints_that_are_not_looked_at_are_counted(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siblings, "SIBLINGS", 2)
    got(make_endpoint(install=endpoint.install), "evt_1")
    make_endpoint(install=endpoint.install, deleted_at=NOON + 5 * MINUTE)
    make_endpoint(install=endpoint.install, deleted_at=NOON - MINUTE)
    assert siblings_of([window(endpoint)])[1].left == 0
    make_endpoint(install=endpoint.install)
    assert siblings_of([window(endpoint)])[1] == Siblings(endpoints=2, left=1)


def test_others_that_could_not_receive_or_have_no_log_are_counted(endpoint: Endpoint) -> None:
    install = endpoint.install
    make_endpoint(install=install, stopped_seen_at=NOON - MINUTE)
    make_endpoint(install=install, status="DISABLED", stopped_seen_at=NOON + MINUTE)
    make_endpoint(install=install, receiver_key=None)
    got(make_endpoint(install=install, receiver_key=None), "evt_1", "contract.started")  # it had a log then
    make_endpoint(install=install, receiver_key=None, observation_key_sha256="0" * 64)
    make_endpoint(install=install, receiver_key="k1", url="https://elsewhere.example.com/")
    make_endpoint(install=install, receiver_key=None, deleted_at=NOON - MINUTE, stopped_seen_at=NOON + MINUTE)
    make_endpoint(receiver_key=None, stopped_seen_at=NOON + MINUTE)
    assert siblings_of([window(endpoint)])[1] == Siblings(endpoints=6, stopped=1, unlogged=2)


def test_many_windows_are_two_queries(endpoint: Endpoint) -> None:
    for number in range(5):
        got(make_endpoint(install=endpoint.install), f"evt_{number}")
    assert siblings_of([]) == {}
    with CaptureQueriesContext(connection) as queries:
        found = siblings_of([window(endpoint, key) for key in range(5)])
    assert (len(queries), {one.absent for one in found.values()}) == (2, {5})
