"""Steps of a bulk run: select, request, pause, cancel and continue."""

import pytest
from django.utils import timezone

from dashboard.models import Endpoint, User
from dashboard.rules.runs import LeftOut
from tests.actions.runs.by_bits import attempt, go, make_failed, redeliver, redeliveries, states
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_delivery, make_failed_delivery

pytestmark = pytest.mark.django_db


def test_bulk_asks_for_each_and_leaves_out_what_is_delivered(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 3)
    make_delivery(endpoint=endpoint, opentrain_id="dlv_done")
    make_failed_delivery(endpoint=endpoint, opentrain_id="dlv_asked", requested_at=timezone.now())
    make_failed_delivery(opentrain_id="dlv_of_another_endpoint")
    run = go(redeliver(endpoint, support))
    assert states(run) == {"requested": 3, "left_out": 2}
    assert run.items.get(opentrain_id="dlv_done").words == LeftOut.DELIVERED.words
    attempt(endpoint, most=2)
    attempt(endpoint, ok=False)
    run = go(run)
    assert run.state == "done"
    assert run.steps.get(name="rest").words == "All 3 requested again."
    assert run.why.startswith("2 of 3 delivered, 1 failed again, in ")


def test_bulk_with_delivered_ones_sends_them_again(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    [opentrain_id] = fake_opentrain.add_deliveries(endpoint.opentrain_id, delivered=1)
    make_delivery(endpoint=endpoint, opentrain_id=opentrain_id)
    run = go(redeliver(endpoint, support, include_delivered=True))
    assert states(run) == {"requested": 1}


def test_bulk_of_all_failed_is_one_call(endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain) -> None:
    make_failed(endpoint, fake_opentrain, 40)
    run = go(redeliver(endpoint, support, one_call=True))
    assert redeliveries(fake_opentrain) == [None]
    assert (states(run), run.others) == ({"requested": 40}, 40)
    attempt(endpoint)
    run = go(run)
    assert (run.state, run.why[:22]) == ("done", "40 of 40 delivered in ")
