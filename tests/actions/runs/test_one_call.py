"""When one call may request all failed deliveries of an endpoint: never if it could undo a later event."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from dashboard.actions.runs import one_call
from dashboard.models import Delivery, Endpoint, EndpointSnapshot, ReceiverReport, User
from tests.actions.runs.by_bits import attempt, go, make_failed, recover, redeliver, redeliveries, states, steps
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON, make_contract, make_entry, make_evidence, make_failed_delivery

pytestmark = pytest.mark.django_db

NOT_REQUESTED = "OpenTrain may have others that never reached Redeliver. Not requested: "
PAGE = "Redeliver all failed on the endpoint's page requests them."


def end(endpoint: Endpoint, delivery: Delivery) -> None:
    make_contract(install=endpoint.install, opentrain_id=delivery.resource_id, status="ended")


def was_routed(endpoint: Endpoint) -> None:
    Endpoint.objects.filter(pk=endpoint.pk).update(routed_at=NOON)


def was_bypassed(endpoint: Endpoint) -> None:
    make_entry(endpoint=endpoint, action="take Redeliver out of the path")


def was_moved(endpoint: Endpoint) -> None:
    make_entry(endpoint=endpoint, action="URL changed elsewhere")


def was_elsewhere(endpoint: Endpoint) -> None:
    EndpointSnapshot.objects.create(endpoint=endpoint, at=NOON, status="ACTIVE", is_received=False)


def has_lag(_endpoint: Endpoint) -> None:
    ReceiverReport.objects.create(name="a", held=3, heard_at=timezone.now())


def is_silent(_endpoint: Endpoint) -> None:
    ReceiverReport.objects.create(name="a", held=0, heard_at=timezone.now() - timedelta(minutes=5))


def is_direct(endpoint: Endpoint) -> None:
    Endpoint.objects.filter(pk=endpoint.pk).update(url="https://acme.example.com/hook", receiver_key=None)


def took_back_an_evidence(endpoint: Endpoint) -> None:
    contract = make_contract(install=endpoint.install, status="ended")
    make_evidence(contract=contract, endpoint=endpoint, event_type="contract.started", standing=3, taken_at=None)


GAPS = [
    (was_routed, "the endpoint existed before it was put behind Redeliver, so its log may lack later events"),
    (was_bypassed, "Redeliver was out of the endpoint's path for a time, so its log may lack later events"),
    (was_moved, "Redeliver was out of the endpoint's path for a time, so its log may lack later events"),
    (was_elsewhere, "Redeliver was out of the endpoint's path for a time, so its log may lack later events"),
    (has_lag, "receivers hold attempts that are not in the log yet, or do not report, so it may lack later events"),
    (is_silent, "receivers hold attempts that are not in the log yet, or do not report, so it may lack later events"),
    (is_direct, "OpenTrain does not deliver this endpoint through Redeliver, so its log may lack later events"),
    (took_back_an_evidence, "1 failed delivery is overtaken by later events, and one call requests it too"),
]


@pytest.mark.parametrize(("happen", "why"), GAPS, ids=[happen.__name__ for happen, _ in GAPS])
def test_call_is_withheld_where_the_log_may_lack_a_later_event(
    endpoint: Endpoint, happen: Callable[[Endpoint], None], why: str
) -> None:
    assert one_call.why_not(endpoint=endpoint, now=timezone.now()) == ""
    happen(endpoint)
    endpoint.refresh_from_db()
    assert one_call.why_not(endpoint=endpoint, now=timezone.now()) == why


def test_call_is_withheld_while_failed_deliveries_are_overtaken_that_nobody_chose(endpoint: Endpoint) -> None:
    first, second = (make_failed_delivery(endpoint=endpoint) for _ in range(2))
    for one in (first, second):
        end(endpoint, one)
    found = [one_call.why_not(endpoint=endpoint, now=NOON, chosen=chosen) for chosen in ((), [first.pk])]
    assert found == [
        "2 failed deliveries are overtaken by later events, and one call requests them too",
        "1 failed delivery is overtaken by later events, and one call requests it too",
    ]
    assert one_call.why_not(endpoint=endpoint, now=NOON, chosen=[first.pk, second.pk]) == ""


def test_recovery_that_left_one_out_makes_no_call_for_all_and_says_so(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=3, unseen=2)
    end(endpoint, endpoint.deliveries.earliest("first_received_at"))
    run = recover(endpoint, support)
    for _ in range(3):
        run = go(run)
        attempt(endpoint)
    run = go(run)
    words = f"{NOT_REQUESTED}1 delivery was left out, and one call requests it too. {PAGE}"
    assert steps(run)[4] == ("others", True, words)
    assert (run.state, states(run)) == ("done", {"delivered": 2, "left_out": 1})
    assert None not in redeliveries(fake_opentrain)


@pytest.mark.parametrize(("happen", "why"), GAPS[:6], ids=[happen.__name__ for happen, _ in GAPS[:6]])
def test_recovery_makes_no_call_for_all_where_the_log_is_incomplete_and_says_so(
    broken: Callable[..., Endpoint],
    support: User,
    fake_opentrain: FakeOpenTrain,
    happen: Callable[[Endpoint], None],
    why: str,
) -> None:
    endpoint = broken(failed=1, unseen=2)
    happen(endpoint)
    run = go(recover(endpoint, support))
    attempt(endpoint)
    run = go(run)
    assert steps(run)[4] == ("others", True, f"{NOT_REQUESTED}{why}. {PAGE}")
    assert (run.state, None in redeliveries(fake_opentrain)) == ("done", False)


def test_run_of_one_call_with_an_overtaken_delivery_goes_in_order_instead(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 3)
    end(endpoint, endpoint.deliveries.earliest("first_received_at"))
    run = go(redeliver(endpoint, support, one_call=True))
    assert (run.one_call, states(run)) == (False, {"requested": 2, "left_out": 1})
    assert None not in redeliveries(fake_opentrain)


@pytest.mark.parametrize("happen", [has_lag, was_bypassed, None])
def test_run_of_one_call_stops_before_the_call_if_it_is_no_longer_safe(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, happen: Any
) -> None:
    make_failed(endpoint, fake_opentrain, 3)
    run = redeliver(endpoint, support, one_call=True)
    if happen is None:
        end(endpoint, endpoint.deliveries.earliest("first_received_at"))
    else:
        happen(endpoint)
    run = go(run)
    assert (run.state, states(run), redeliveries(fake_opentrain)) == ("stopped", {"waiting": 3}, [])
    assert run.why.startswith("Nothing was requested: ")
    assert run.why.endswith(" Continue with what is left to request the others one by one.")
