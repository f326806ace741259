"""The facts of one event at the endpoints of its install: each endpoint once, and nothing of other installs."""

from datetime import timedelta

import pytest

from dashboard.models import Endpoint, EndpointSnapshot, Install
from dashboard.queries import event_endpoints
from dashboard.queries.event_endpoints import of_event
from tests.factories import (
    NOON,
    make_contract,
    make_delivery,
    make_endpoint,
    make_evidence,
    make_refused_attempt,
)

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
LATER = NOON + timedelta(days=1)


@pytest.fixture
def here(acme: Install) -> Endpoint:
    return make_endpoint(install=acme)


@pytest.fixture
def other(acme: Install) -> Endpoint:
    return make_endpoint(install=acme, event_types=["contract.started", "contract.ended"])


def test_each_endpoint_of_the_install_is_told_once(acme: Install, here: Endpoint, other: Endpoint) -> None:
    make_delivery(endpoint=other, event_id="evt_1", first_received_at=NOON - MINUTE)
    newest = make_delivery(endpoint=other, event_id="evt_1")
    make_delivery(event_id="evt_1")
    gone = make_endpoint(install=acme, deleted_at=LATER)
    make_endpoint(install=acme, deleted_at=NOON - MINUTE)
    make_endpoint(install=acme, opentrain_id=None)
    one = make_delivery(endpoint=here, event_id="evt_1", event_created_at=NOON - 2 * MINUTE)
    found = of_event(one, now=LATER)
    assert found is not None
    assert found.endpoints == (here, other, gone)
    assert found.deliveries == {here.pk: one, other.pk: newest}
    assert set(found.absent) == {gone.pk}
    assert (found.happened.said, found.happened.seen_at) == (NOON - 2 * MINUTE, NOON - MINUTE)


@pytest.mark.parametrize("event_id", ["", "e" * 199 + "…"])
def test_event_without_a_whole_id_is_no_one_event(here: Endpoint, other: Endpoint, event_id: str) -> None:
    make_delivery(endpoint=other, event_id=event_id)
    assert of_event(make_delivery(endpoint=here, event_id=event_id), now=LATER) is None


def test_only_endpoint_of_an_install_has_no_others(here: Endpoint) -> None:
    make_endpoint()
    assert of_event(make_delivery(endpoint=here), now=LATER) is None


def test_history_refusals_and_what_was_handed_over_are_the_endpoints_own(
    acme: Install, here: Endpoint, other: Endpoint
) -> None:
    third = make_endpoint(install=acme)
    contract = make_contract(install=acme, opentrain_id="con_1")
    one = make_delivery(
        endpoint=here, event_id="evt_1", event_type="contract.ended", resource_id="con_1", event_created_at=NOON
    )
    EndpointSnapshot.objects.create(
        endpoint=other, at=NOON - 30 * MINUTE, status="DISABLED", consecutive_failures=0, is_received=True,
        event_types=["contract.ended"],
    )  # fmt: skip
    for at, event_type in ((MINUTE, "contract.ended"), (MINUTE, "contract.started"), (-60 * MINUTE, "contract.ended")):
        make_refused_attempt(endpoint=other, received_at=NOON + at, claimed_event_type=event_type)
    make_evidence(contract=contract, endpoint=other, opentrain_id="redeliver-delivery-1", taken_at=NOON + MINUTE)
    make_evidence(contract=contract, endpoint=third, event_id="evt_1", taken_at=None, last_attempt_at=NOON + MINUTE)
    make_evidence(contract=contract, endpoint=third, event_id="evt_2")
    found = of_event(one, now=LATER)
    assert found is not None
    then = found.absent[other.pk]
    assert [(period.is_active, period.is_paused) for period in then.facts.periods] == [(False, True)]
    assert (then.refused, then.handed_over_at, then.kept_at) == (1, NOON + MINUTE, None)
    assert (found.absent[third.pk].refused, found.absent[third.pk].kept_at) == (0, NOON + MINUTE)
    assert found.absent[third.pk].handed_over_at is None


def test_many_endpoints_are_bounded_and_said_to_be_more(
    acme: Install, here: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_endpoints, "MOST_ENDPOINTS", 2)
    for _ in range(3):
        make_endpoint(install=acme)
    found = of_event(make_delivery(endpoint=here), now=LATER)
    assert found is not None
    assert (len(found.endpoints), found.has_more) == (2, True)
