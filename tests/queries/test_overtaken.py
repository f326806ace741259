"""Deliveries that a later event has overtaken, by the log, the evidence and OpenTrain's list of contracts."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.models import Delivery, Endpoint
from dashboard.queries.overtaken import overtaken, overtaken_failed, overtaken_gone
from dashboard.rules.deliveries import Standing
from dashboard.rules.event_order import Event, Other
from tests.factories import (
    NOON,
    make_contract,
    make_delivery,
    make_endpoint,
    make_evidence,
    make_failed_delivery,
    make_install,
)

pytestmark = pytest.mark.django_db
STARTED, ENDED = "contract.started", "contract.ended"
LATER = NOON + timedelta(minutes=1)


@pytest.fixture
def endpoint() -> Endpoint:
    return make_endpoint()


@pytest.fixture
def started(endpoint: Endpoint) -> Delivery:
    return make_failed_delivery(endpoint=endpoint, event_id="evt_1", event_created_at=NOON, resource_id="con_1")


def ended(endpoint: Endpoint, make: Callable[..., Delivery] = make_delivery, **columns: Any) -> Delivery:
    given = {"event_type": ENDED, "event_id": "evt_2", "event_created_at": LATER, "resource_id": "con_1"}
    return make(endpoint=endpoint, **given | columns)


def test_started_without_an_ended_is_not_overtaken(endpoint: Endpoint, started: Delivery) -> None:
    ended(endpoint, resource_id="con_2")
    assert overtaken(deliveries=[started]) == {}


@pytest.mark.parametrize(("make", "taken_at"), [(make_delivery, NOON), (make_failed_delivery, None)])
def test_ended_in_the_log_overtakes_its_started_taken_or_failed(
    endpoint: Endpoint, started: Delivery, make: Callable[..., Delivery], taken_at: Any
) -> None:
    one = ended(endpoint, make)
    by = Other(Event(ENDED, "evt_2", LATER), taken_at)
    assert overtaken(deliveries=[started, one]) == {started.pk: by}
    assert overtaken_failed(endpoint=endpoint) == {started.pk: by}


def test_ended_of_another_endpoint_overtakes_nothing(endpoint: Endpoint, started: Delivery) -> None:
    ended(make_endpoint(install=endpoint.install))
    assert overtaken(deliveries=[started]) == {}


def test_evidence_of_an_ended_counts_after_retention_took_its_delivery(endpoint: Endpoint, started: Delivery) -> None:
    contract = make_contract(install=endpoint.install, opentrain_id="con_1")
    make_evidence(contract=contract, endpoint=endpoint, event_id="evt_2", event_created_at=LATER, taken_at=LATER)
    assert overtaken(deliveries=[started]) == {started.pk: Other(Event(ENDED, "evt_2", LATER), LATER)}


def test_evidence_of_another_install_counts_for_nothing(endpoint: Endpoint, started: Delivery) -> None:
    other = make_endpoint()
    make_evidence(contract=make_contract(install=other.install, opentrain_id="con_1"), endpoint=other)
    make_contract(install=make_install(), opentrain_id="con_1", status="ended")
    assert overtaken(deliveries=[started]) == {}


@pytest.mark.parametrize(("status", "count"), [("ended", 1), ("active", 0), ("", 0)])
def test_contract_that_is_listed_as_ended_overtakes_its_started_without_any_delivery(
    endpoint: Endpoint, started: Delivery, status: str, count: int
) -> None:
    make_contract(install=endpoint.install, opentrain_id="con_1", status=status)
    found = overtaken(deliveries=[started])
    assert len(found) == count
    assert all(by.is_listed for by in found.values())


def test_started_without_a_resource_is_compared_with_nothing(endpoint: Endpoint) -> None:
    started = make_failed_delivery(endpoint=endpoint, resource_id="")
    ended(endpoint, resource_id="")
    assert overtaken(deliveries=[started]) == {}


def test_failed_start_that_retention_took_is_counted_if_it_is_overtaken(endpoint: Endpoint) -> None:
    contract = make_contract(install=endpoint.install, status="ended")
    active = make_contract(install=endpoint.install)
    columns = {"endpoint": endpoint, "event_type": STARTED, "standing": Standing.FAILED, "taken_at": None}
    assert overtaken_gone(endpoint=endpoint) == 0
    make_evidence(contract=contract, **columns)
    make_evidence(contract=active, **columns)
    make_evidence(contract=contract, **columns | {"standing": Standing.DELIVERED})
    there = make_evidence(contract=contract, **columns)
    make_failed_delivery(endpoint=endpoint, opentrain_id=there.opentrain_id, resource_id=contract.opentrain_id)
    assert overtaken_gone(endpoint=endpoint) == 1


def test_number_of_queries_does_not_grow_with_the_deliveries(endpoint: Endpoint) -> None:
    numbers, columns = range(20), {"endpoint": endpoint, "event_created_at": NOON}
    started = [make_failed_delivery(resource_id=f"con_{number}", **columns) for number in numbers]
    for number in numbers[::2]:
        ended(endpoint, resource_id=f"con_{number}")
    with CaptureQueriesContext(connection) as queries:
        found = overtaken(deliveries=started)
    assert (len(found), len(queries)) == (10, 1)
    with CaptureQueriesContext(connection) as none:
        assert overtaken(deliveries=[ended(endpoint, resource_id="con_x")]) == {}
    assert sum("SELECT" in query["sql"] for query in none) == 0
