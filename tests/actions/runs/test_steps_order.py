"""The order guard of runs: what is left out, which delivery goes first, and which one waits for another."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from dashboard.actions.runs import commands, items
from dashboard.config.schedule import schedule
from dashboard.models import Delivery, Endpoint, Run, User
from tests.actions.runs.by_bits import attempt, go, recover, redeliver, redeliveries, states, steps
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_contract, make_delivery, make_failed_delivery

pytestmark = pytest.mark.django_db

STARTED, ENDED = "contract.started", "contract.ended"
FUNDED, LOW, DEPLETED = "milestone.funded", "milestone.budget_low", "milestone.budget_depleted"
Fail = Callable[..., Delivery]


@pytest.fixture
def began() -> datetime:
    return timezone.now() - timedelta(hours=2)


@pytest.fixture
def fail(endpoint: Endpoint, fake_opentrain: FakeOpenTrain, began: datetime) -> Fail:
    """Return a function that adds a failed delivery of a resource: it happened and arrived these minutes later."""

    def add(event_type: str, resource: str, minute: int, *, arrived: int | None = None, **columns: Any) -> Delivery:
        [opentrain_id] = fake_opentrain.add_deliveries(endpoint.opentrain_id, failed=1)
        at = began + timedelta(minutes=minute if arrived is None else arrived)
        return make_failed_delivery(
            endpoint=endpoint,
            opentrain_id=opentrain_id,
            event_type=event_type,
            resource_id=resource,
            event_created_at=began + timedelta(minutes=minute),
            **{"first_received_at": at, "last_attempt_at": at} | columns,
        )

    return add


def taken(endpoint: Endpoint, event_type: str, resource: str, at: datetime) -> Delivery:
    return make_delivery(
        endpoint=endpoint,
        event_type=event_type,
        resource_id=resource,
        event_created_at=at,
        first_received_at=at,
        last_attempt_at=at,
    )


def in_order(run: Run) -> list[tuple[str, str]]:
    return list(run.items.order_by("position").values_list("event_type", "state"))


def test_started_is_left_out_once_its_ended_exists_and_the_ended_goes(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, fail: Fail, began: datetime
) -> None:
    started = fail(STARTED, "con_1", 0)
    ended = fail(ENDED, "con_1", 9)
    other = fail(STARTED, "con_2", 1)
    gone = fail(STARTED, "con_3", 2)
    taken(endpoint, ENDED, "con_3", began + timedelta(minutes=5))
    run = go(redeliver(endpoint, support))
    assert states(run) == {"requested": 2, "left_out": 3}
    assert redeliveries(fake_opentrain) == [other.opentrain_id, ended.opentrain_id]
    kept = run.items.filter(is_overtaken=True).order_by("position").values_list("delivery", "words")
    effect = "redelivering contract.started may give access back"
    assert list(kept) == [
        (started.pk, f"contract.ended of this contract exists, and no attempt of it was taken yet; {effect}"),
        (gone.pk, f"contract.ended of this contract was taken; {effect}"),
    ]
    attempt(endpoint)
    run = go(run)
    assert run.why.startswith("2 of 2 delivered in ")
    assert run.why.endswith(" 2 left out: overtaken by a later event of the same resource.")


def test_started_is_left_out_of_a_contract_that_is_listed_as_ended(
    endpoint: Endpoint, support: User, fail: Fail
) -> None:
    fail(STARTED, "con_1", 0)
    make_contract(install=endpoint.install, opentrain_id="con_1", status="ended")
    with pytest.raises(commands.NothingLeft):
        redeliver(endpoint, support)
    assert not Run.objects.exists()


def test_delivered_started_that_is_sent_again_is_left_out_too(
    endpoint: Endpoint, support: User, fail: Fail, began: datetime
) -> None:
    taken(endpoint, STARTED, "con_1", began)
    fail(ENDED, "con_1", 9)
    run = redeliver(endpoint, support, include_delivered=True)
    assert in_order(run) == [(ENDED, "waiting"), (STARTED, "left_out")]


def test_started_that_was_chosen_all_the_same_is_requested(
    endpoint: Endpoint, support: User, fail: Fail, began: datetime
) -> None:
    started, second = fail(STARTED, "con_1", 0), fail(STARTED, "con_2", 1)
    for resource in ("con_1", "con_2"):
        taken(endpoint, ENDED, resource, began + timedelta(minutes=5))
    run = go(redeliver(endpoint, support, overtaken_chosen=[started.pk]))
    found = {item.delivery_id: item.state for item in run.items.filter(is_overtaken=True)}
    assert found == {started.pk: "requested", second.pk: "left_out"}


def test_ended_that_arrives_while_the_run_goes_on_leaves_its_started_out(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, fail: Fail
) -> None:
    first, started, last = (fail(STARTED, f"con_{number}", number) for number in range(3))
    run = redeliver(endpoint, support)
    taken(endpoint, ENDED, "con_1", timezone.now())
    run = go(run)
    assert redeliveries(fake_opentrain) == [first.opentrain_id, last.opentrain_id]
    item = run.items.get(delivery=started)
    assert (item.state, item.is_overtaken) == ("left_out", True)
    assert item.words == "contract.ended of this contract was taken; redelivering contract.started may give access back"


def test_run_that_leaves_its_last_delivery_out_goes_on(endpoint: Endpoint, support: User, fail: Fail) -> None:
    fail(STARTED, "con_1", 0)
    run = redeliver(endpoint, support)
    taken(endpoint, ENDED, "con_1", timezone.now())
    run = go(run)
    assert (run.state, states(run)) == ("done", {"left_out": 1})


def test_recovery_whose_canary_is_overtaken_meanwhile_takes_the_next(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, fail: Fail
) -> None:
    fail(STARTED, "con_1", 0)
    second = fail(STARTED, "con_2", 1)
    run = recover(endpoint, support)
    taken(endpoint, ENDED, "con_1", timezone.now())
    run = go(run)
    assert (run.step, redeliveries(fake_opentrain)) == ("canary", [second.opentrain_id])
    Delivery.objects.filter(resource_id="con_2").update(last_ok=True, last_cause="", last_attempt_at=timezone.now())
    run = go(run)
    assert (run.state, states(run)) == ("done", {"delivered": 1, "left_out": 1})


def test_recovery_whose_every_delivery_is_overtaken_meanwhile_ends(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, fail: Fail
) -> None:
    fail(STARTED, "con_1", 0)
    run = recover(endpoint, support)
    taken(endpoint, ENDED, "con_1", timezone.now())
    run = go(run)
    assert (run.state, states(run), redeliveries(fake_opentrain)) == ("done", {"left_out": 1}, [])


def test_events_of_one_resource_go_one_after_the_other_in_the_order_in_which_they_happened(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, fail: Fail
) -> None:
    depleted = fail(DEPLETED, "mil_1", 3, arrived=1)
    low = fail(LOW, "mil_1", 2, arrived=2)
    funded = fail(FUNDED, "mil_1", 1, arrived=3)
    other = fail(LOW, "mil_2", 4)
    run = go(redeliver(endpoint, support))
    assert redeliveries(fake_opentrain) == [funded.opentrain_id, other.opentrain_id]
    assert (run.step, states(run)) == ("rest", {"requested": 2, "waiting": 2})
    attempt(endpoint)
    run = go(run)
    assert redeliveries(fake_opentrain)[2:] == [low.opentrain_id]
    attempt(endpoint)
    run = go(run)
    assert redeliveries(fake_opentrain)[3:] == [depleted.opentrain_id]
    attempt(endpoint)
    assert (go(run).state, states(run)) == ("done", {"delivered": 4})


def test_next_event_waits_for_the_retries_of_one_that_failed_again(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, fail: Fail
) -> None:
    first, second = fail(FUNDED, "mil_1", 1), fail(LOW, "mil_1", 2)
    run = go(redeliver(endpoint, support))
    attempt(endpoint, ok=False)
    run = go(run)
    assert (run.state, states(run)) == ("running", {"failed_again": 1, "waiting": 1})
    retried = schedule().retry_span
    run.items.filter(delivery=first).update(asked_at=timezone.now() - retried + timedelta(minutes=1))
    assert states(go(run)) == {"failed_again": 1, "waiting": 1}
    run.items.filter(delivery=first).update(asked_at=timezone.now() - retried - timedelta(seconds=1))
    assert states(go(run)) == {"failed_again": 1, "requested": 1}
    assert redeliveries(fake_opentrain) == [first.opentrain_id, second.opentrain_id]


@pytest.mark.parametrize("state", ["unknown", "not_seen"])
def test_next_event_waits_while_one_of_unknown_outcome_may_still_come(
    endpoint: Endpoint, support: User, fail: Fail, state: str
) -> None:
    first, now = fail(FUNDED, "mil_1", 1), timezone.now()
    fail(LOW, "mil_1", 2)
    run = redeliver(endpoint, support)
    run.items.filter(delivery=first).update(state=state, asked_at=now)
    items.release(run=run, now=now + schedule().retry_span, schedule=schedule())
    assert items.claim_next(run=run, now=now) is None
    items.release(run=run, now=now + schedule().retry_span + timedelta(seconds=1), schedule=schedule())
    assert items.claim_next(run=run, now=now) is not None


@pytest.mark.parametrize("state", ["refused", "left_out", "delivered"])
def test_next_event_goes_when_the_one_before_is_settled(
    endpoint: Endpoint, support: User, fail: Fail, state: str
) -> None:
    first, now = fail(FUNDED, "mil_1", 1), timezone.now()
    second = fail(LOW, "mil_1", 2)
    run = redeliver(endpoint, support)
    run.items.filter(delivery=first).update(state=state, asked_at=now)
    items.release(run=run, now=now, schedule=schedule())
    claimed = items.claim_next(run=run, now=now)
    assert claimed is not None
    assert claimed.delivery == second


def test_ended_never_waits(endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, fail: Fail) -> None:
    low, ended = fail(LOW, "con_1", 1), fail(ENDED, "con_1", 2)
    run = go(redeliver(endpoint, support))
    assert (states(run), redeliveries(fake_opentrain)) == ({"requested": 2}, [low.opentrain_id, ended.opentrain_id])


def test_state_is_left_out_once_a_later_one_was_taken(
    endpoint: Endpoint, support: User, fail: Fail, began: datetime
) -> None:
    fail(DEPLETED, "mil_1", 1)
    fail(LOW, "mil_2", 1)
    taken(endpoint, FUNDED, "mil_1", began + timedelta(minutes=5))
    run = redeliver(endpoint, support)
    assert in_order(run) == [(LOW, "waiting"), (DEPLETED, "left_out"), (FUNDED, "left_out")]
    assert run.items.get(is_overtaken=True).event_type == DEPLETED


def test_canary_is_the_oldest_delivery_that_is_safe(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, fail: Fail, began: datetime
) -> None:
    fail(STARTED, "con_1", 0)
    taken(endpoint, ENDED, "con_1", began + timedelta(minutes=5))
    fail(LOW, "mil_1", 3, arrived=1)
    oldest = fail(FUNDED, "mil_1", 2, arrived=9)
    fail(STARTED, "con_2", 4)
    run = go(recover(endpoint, support))
    assert (run.step, redeliveries(fake_opentrain)) == ("canary", [oldest.opentrain_id])
    assert states(run) == {"requested": 1, "waiting": 2, "left_out": 1}


def test_canary_is_safe_even_if_overtaken_ones_were_chosen(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, fail: Fail
) -> None:
    started, ended = fail(STARTED, "con_1", 0), fail(ENDED, "con_1", 1)
    run = go(recover(endpoint, support, include_overtaken=True))
    assert redeliveries(fake_opentrain) == [ended.opentrain_id]
    attempt(endpoint)
    run = go(run)
    # Everything was chosen, so the call for all failed ones requests nothing that was not.
    assert redeliveries(fake_opentrain)[1:] == [started.opentrain_id, None]
    attempt(endpoint)
    run = go(run)
    assert (run.state, states(run)) == ("done", {"delivered": 2})
    assert run.chosen == "all failed deliveries of the endpoint, overtaken ones too"
    assert steps(run)[4] == ("others", True, "OpenTrain has no other failed deliveries.")


def test_recovery_of_overtaken_deliveries_alone_requests_the_oldest_if_they_were_chosen(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, fail: Fail
) -> None:
    started = fail(STARTED, "con_1", 0)
    make_contract(install=endpoint.install, opentrain_id="con_1", status="ended")
    go(recover(endpoint, support, include_overtaken=True))
    assert redeliveries(fake_opentrain) == [started.opentrain_id]


def test_continued_run_keeps_what_was_chosen_although_it_is_overtaken(
    endpoint: Endpoint, support: User, fail: Fail, began: datetime
) -> None:
    started = fail(STARTED, "con_1", 0)
    newly = fail(STARTED, "con_2", 1)
    taken(endpoint, ENDED, "con_1", began + timedelta(minutes=5))
    run = redeliver(endpoint, support, overtaken_chosen=[started.pk])
    commands.stop(actor=support, run=run, now=timezone.now())
    taken(endpoint, ENDED, "con_2", timezone.now())
    again = commands.continue_run(actor=support, run=run, now=timezone.now(), operation=uuid.uuid4())
    found = {item.delivery_id: item.state for item in again.items.all()}
    assert found == {started.pk: "waiting", newly.pk: "left_out"}
