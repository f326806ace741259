"""The deliveries of a run: each is requested once and followed to its outcome."""

import pytest
from django.utils import timezone

from dashboard.models import Delivery, Endpoint, Run, User
from dashboard.services.opentrain import OutcomeUnknown
from tests.actions.runs.by_bits import attempt, go, make_failed, redeliver, redeliveries, states
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_failed_delivery

pytestmark = pytest.mark.django_db


def test_delivery_that_opentrain_does_not_know_is_refused_and_the_run_goes_on(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed_delivery(endpoint=endpoint, opentrain_id="dlv_forgotten")
    make_failed(endpoint, fake_opentrain, 1)
    assert states(go(redeliver(endpoint, support))) == {"refused": 1, "requested": 1}


def test_item_that_was_in_flight_when_the_worker_died_is_marked_and_not_repeated(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 3)
    run = redeliver(endpoint, support)
    run.items.filter(position=0).update(state="asking", asked_at=timezone.now())
    run = go(run)
    assert states(run) == {"unknown": 1, "requested": 2}
    item = run.items.get(position=0)
    assert item.words == "Redeliver stopped while requesting it: check before you request it again"
    assert item.opentrain_id not in redeliveries(fake_opentrain)


def test_one_call_that_was_in_flight_when_the_worker_died_is_not_repeated(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 3)
    run = redeliver(endpoint, support, one_call=True)
    Run.objects.update(others_asked_at=timezone.now())
    run = go(run)
    assert (run.state, states(run), redeliveries(fake_opentrain)) == ("done", {"unknown": 3}, [])


def test_unknown_one_that_arrives_after_all_is_delivered(endpoint: Endpoint, support: User) -> None:
    delivery = make_failed_delivery(endpoint=endpoint)
    run = redeliver(endpoint, support)
    run.items.update(state="unknown", asked_at=timezone.now())
    Delivery.objects.filter(pk=delivery.pk).update(last_ok=True, last_attempt_at=timezone.now(), last_cause="")
    assert (go(run).state, states(run)) == ("done", {"delivered": 1})


def test_words_longer_than_their_column_are_cut_with_a_mark(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 1)
    fake_opentrain.fail_next(OutcomeUnknown("x" * 1000), operation="redeliver")
    run = go(redeliver(endpoint, support))
    assert run.items.values_list("state", "words").get() == ("unknown", "x" * 299 + "…")


def test_delivered_one_whose_answer_did_not_reach_opentrain_has_failed_again(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 2)
    run = go(redeliver(endpoint, support))
    attempt(endpoint, most=1)
    assert states(go(run)) == {"delivered": 1, "requested": 1}
    Delivery.objects.filter(last_ok=True).update(last_ok=False, last_cause="gone")
    assert states(go(run)) == {"failed_again": 1, "requested": 1}
    assert run.items.get(state="failed_again").words == "the answer did not reach OpenTrain in time"
    attempt(endpoint)
    assert states(go(run)) == {"failed_again": 1, "delivered": 1}
