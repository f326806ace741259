"""Steps of a bulk run: select, request, pause, cancel and continue."""

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from dashboard.actions import endpoints
from dashboard.actions.runs import items
from dashboard.config.schedule import schedule
from dashboard.models import Delivery, Endpoint, Run, User
from dashboard.rules.runs import LeftOut
from dashboard.services.opentrain import Redelivery
from tests.actions.runs.by_bits import attempt, go, make_failed, redeliver, redeliveries, requeues, states, steps
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


def arrive(endpoint: Endpoint, opentrain_id: str) -> None:
    """Record a successful attempt of a delivery that nobody is known to have requested."""
    now = timezone.now()
    Delivery.objects.filter(endpoint=endpoint, opentrain_id=opentrain_id).update(
        last_ok=True, last_status=200, last_cause="", last_attempt_at=now, attempts_in_round=1, standing=1
    )


def test_item_that_opentrain_did_not_requeue_is_not_called_requested(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 3)
    requeues(fake_opentrain, 1, 0, 2)
    run = go(redeliver(endpoint, support))
    assert states(run) == {"requested": 2, "refused": 1}
    refused = run.items.get(state="refused")
    assert (refused.position, refused.words) == (1, items.NOT_REQUEUED)
    assert refused.delivery.requested_at is None
    assert run.steps.get(name="rest").words == "2 requested again, 1 refused."
    assert endpoint.deliveries.failed().count() == 1
    attempt(endpoint)
    run = go(run)
    assert run.state == "done"
    assert run.why.startswith("2 of 3 delivered, 1 refused, in ")


def test_answers_of_0_are_usable_answers_and_pause_nothing(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 5)
    requeues(fake_opentrain, 0, 0, 0, 0, 0)
    run = go(redeliver(endpoint, support))
    assert (run.state, states(run), run.failed_calls) == ("done", {"refused": 5}, 0)
    assert run.steps.get(name="rest").words == "0 requested again, 5 refused."


def ask_for_all(endpoint: Endpoint, actor: User, fake: FakeOpenTrain, *, failed: int, requeued: int) -> Run:
    """Advance a bulk run that requests all failed deliveries with one call; OpenTrain answers with `requeued`."""
    make_failed(endpoint, fake, failed)
    requeues(fake, requeued)
    return go(redeliver(endpoint, actor, one_call=True))


def test_one_call_that_requeued_fewer_than_failed_here_claims_none_and_waits_for_their_attempts(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    run = ask_for_all(endpoint, support, fake_opentrain, failed=3, requeued=1)
    said = "OpenTrain requeued 1; 3 are failed here, and it does not say which. Each changes when its attempt arrives."
    assert steps(run)[0] == ("others", False, said)
    assert (run.state, run.step, states(run)) == ("running", "watch", {"unknown": 3})
    assert endpoint.deliveries.failed().count() == 3
    arrive(endpoint, run.items.get(position=1).opentrain_id)
    run = go(run)
    assert (run.state, states(run)) == ("done", {"delivered": 1, "unknown": 2})
    assert run.why.startswith("1 of 3 delivered, 2 with unknown outcome, in ")
    assert "did not reach" not in run.why


def test_one_call_that_requeued_fewer_ends_when_none_of_them_arrives_in_time(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    run = ask_for_all(endpoint, support, fake_opentrain, failed=3, requeued=1)
    earlier = run.others_asked_at - timedelta(minutes=7)
    run.items.update(asked_at=earlier)
    Run.objects.update(others_asked_at=earlier)
    run = go(run)
    assert (run.state, states(run)) == ("done", {"unknown": 3})
    assert run.why.endswith("1 that OpenTrain requeued did not reach Redeliver in time.")


def test_one_call_that_requeued_nothing_claims_none(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    run = ask_for_all(endpoint, support, fake_opentrain, failed=3, requeued=0)
    assert (run.state, states(run), endpoint.deliveries.failed().count()) == ("done", {"refused": 3}, 3)
    assert steps(run)[0][2].startswith("OpenTrain requeued nothing; 3 are failed here, and stay failed.")
    assert run.why.startswith("0 of 3 delivered, 3 refused, in ")


def test_one_call_that_requeued_more_adds_those_that_were_not_known(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    run = ask_for_all(endpoint, support, fake_opentrain, failed=2, requeued=3)
    said = "3 requeued: the 2 that were failed here, and 1 that only OpenTrain had as failed."
    assert (steps(run)[0], states(run)) == (("others", True, said), {"requested": 2})
    attempt(endpoint)
    assert go(run).state == "running"  # the third one is awaited
    now = timezone.now()
    new = now - timedelta(seconds=30)
    make_delivery(endpoint=endpoint, event_created_at=new, first_received_at=now, last_attempt_at=now)
    assert go(run).state == "running"  # a new event is not the third one
    before = now - schedule().retry_span - timedelta(minutes=1)
    make_delivery(endpoint=endpoint, event_created_at=before, first_received_at=now, last_attempt_at=now)
    run = go(run)
    assert (run.state, states(run)) == ("done", {"delivered": 3})


def test_one_call_leaves_out_what_was_not_failed_any_more_when_it_was_made(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 2)
    run = redeliver(endpoint, support, one_call=True)
    arrive(endpoint, run.items.get(position=0).opentrain_id)
    requeues(fake_opentrain, 1)
    run = go(run)
    assert states(run) == {"left_out": 1, "requested": 1}
    assert run.items.get(position=0).words == LeftOut.NOT_FAILED.words


def test_refused_item_that_is_attempted_after_all_has_its_outcome(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 2)
    requeues(fake_opentrain, 0)
    run = go(redeliver(endpoint, support))
    arrive(endpoint, run.items.get(position=0).opentrain_id)
    assert states(go(run)) == {"delivered": 1, "requested": 1}


@pytest.mark.parametrize(
    ("answered", "why"),
    [
        (
            {"status": "HIBERNATING"},
            (
                "OpenTrain gives its status as HIBERNATING, which Redeliver does not know. It may not attempt any "
                "deliveries. Recover the endpoint, or resume when it is active."
            ),
        ),
        (
            {"status": "DISABLED"},
            "The endpoint is disabled, so deliveries are stopped. Re-enable it, then resume.",
        ),
    ],
)
def test_bulk_pauses_at_the_first_answer_that_does_not_say_active(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, answered: dict[str, Any], why: str
) -> None:
    make_failed(endpoint, fake_opentrain, 5)

    def change(answer: Redelivery) -> Redelivery:
        return replace(answer, endpoint=replace(answer.endpoint, **answered))

    fake_opentrain.change_answer(change, operation="redeliver")
    run = go(redeliver(endpoint, support))
    assert (run.state, run.why, states(run)) == ("paused", why, {"requested": 1, "waiting": 4})
    assert len(redeliveries(fake_opentrain)) == 1


def test_bulk_waits_for_results_although_the_status_is_unknown(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 1)
    run = go(redeliver(endpoint, support))
    assert run.step == "watch"
    Endpoint.objects.update(status="HIBERNATING")
    assert go(run).state == "running"
    attempt(endpoint)
    assert go(run).state == "done"


def test_person_who_redelivers_all_meanwhile_is_told_the_truth_too(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 2)
    go(redeliver(endpoint, support))
    outcome = endpoints.redeliver_failed(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
    assert outcome.words == "OpenTrain requeued nothing: it has no failed deliveries on this endpoint."
