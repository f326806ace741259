"""Runs: which block their endpoint, which need a worker, and who sees them."""

import pytest
from django.db import IntegrityError, transaction

from dashboard.models import Run, RunItem, RunStep, User
from tests.factories import NOON, make_endpoint, make_grant, make_run, make_user

pytestmark = pytest.mark.django_db
ACTIVE = {Run.State.RUNNING, Run.State.PAUSED}


def add_item(run: Run, state: str, *, position: int = 0, opentrain_id: str = "dlv_1") -> RunItem:
    return RunItem.objects.create(run=run, position=position, opentrain_id=opentrain_id, state=state)


@pytest.mark.parametrize("state", list(Run.State))
def test_running_and_paused_ones_hold_their_endpoint(state: Run.State) -> None:
    run = make_run(state=state)
    assert run.is_active is Run.objects.active().exists() is (state in ACTIVE)


@pytest.mark.parametrize("state", list(Run.State))
def test_second_run_of_an_endpoint_is_refused_while_one_is_active(state: Run.State) -> None:
    endpoint = make_endpoint()
    make_run(endpoint=endpoint, state=state)
    if state not in ACTIVE:
        make_run(endpoint=endpoint, state="running")
        return
    with pytest.raises(IntegrityError), transaction.atomic():
        make_run(endpoint=endpoint, state="running")


@pytest.mark.parametrize("item", list(RunItem.State))
def test_ended_run_is_advanced_while_an_outcome_is_to_come(item: RunItem.State) -> None:
    add_item(make_run(state="cancelled"), item)
    assert Run.objects.to_advance().exists() is (item in {RunItem.State.ASKING, RunItem.State.REQUESTED})


def test_running_run_is_advanced_and_a_paused_one_is_not() -> None:
    running = make_run(state="running")
    add_item(make_run(state="paused"), RunItem.State.WAITING)
    assert list(Run.objects.to_advance()) == [running]


def test_run_is_visible_with_its_endpoint(support: User, outsider: User) -> None:
    run = make_run()
    viewer = make_user(role="viewer")
    make_grant(user=viewer, install=run.endpoint.install)
    assert [list(Run.objects.visible_to(user)) for user in (support, viewer, outsider)] == [[run], [run], []]


@pytest.mark.parametrize("changed", [{"opentrain_id": "dlv_2"}, {"position": 1}])
def test_delivery_and_place_are_once_in_a_run(changed: dict[str, object]) -> None:
    run = make_run()
    add_item(run, "waiting")
    with pytest.raises(IntegrityError), transaction.atomic():
        add_item(run, "waiting", **changed)
    add_item(run, "waiting", position=1, opentrain_id="dlv_2")


def test_step_is_once_in_a_run() -> None:
    run = make_run()
    RunStep.objects.create(run=run, name="probe", began_at=NOON)
    with pytest.raises(IntegrityError), transaction.atomic():
        RunStep.objects.create(run=run, name="probe", began_at=NOON)
