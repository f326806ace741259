"""A run that a person pauses: at any moment, between two deliveries, and across restarts of its worker."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from dashboard.actions.installs import sync
from dashboard.actions.runs import commands, one_call, steps
from dashboard.models import AuditEntry, Endpoint, Run, RunItem, User
from dashboard.rules.runs import RECOVERY_STEPS, Step
from tests.actions.runs.by_bits import attempt, go, make_failed, recover, redeliver, redeliveries, states
from tests.contract.fake import FakeOpenTrain

pytestmark = pytest.mark.django_db
WRITES = ("redeliver", "update_endpoint")


def writes(fake: FakeOpenTrain) -> list[str]:
    return [call.operation for call in fake.calls if call.operation in WRITES]


def to_step(run: Run, endpoint: Endpoint, step: Step) -> Run:
    """Advance the run until it is at this step."""
    for _ in range(40):
        run.refresh_from_db()
        if run.step == step:
            return run
        if steps.advance(run_id=run.pk, clock=timezone.now) != timedelta():
            attempt(endpoint)
    pytest.fail(f"The run never came to {step}.")


def to_end(run: Run, endpoint: Endpoint) -> Run:
    for _ in range(10):
        run = go(run)
        attempt(endpoint)
        Run.objects.filter(others__gt=0).update(others_asked_at=timezone.now() - timedelta(minutes=7))
    return run


@pytest.mark.parametrize("step", RECOVERY_STEPS)
def test_recovery_can_be_paused_at_every_step_and_goes_on_from_there(
    step: Step, broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=7)
    run = to_step(recover(endpoint, support), endpoint, step)
    assert commands.pause(actor=support, run=run) is True
    before = writes(fake_opentrain)
    for _ in range(3):
        run = go(run)
        attempt(endpoint)
    assert (run.state, run.why, run.by_person, run.step) == ("paused", "Paused by ana.", True, step)
    assert writes(fake_opentrain) == before
    assert commands.resume(actor=support, run=run) is True
    run = to_end(run, endpoint)
    assert (run.state, states(run)) == ("done", {"delivered": 7})
    each = [one for one in redeliveries(fake_opentrain) if one is not None]
    assert len(each) == len(set(each)) == 7
    assert writes(fake_opentrain).count("update_endpoint") == 1


def test_pause_holds_the_batch_between_two_deliveries(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_failed(endpoint, fake_opentrain, 5)
    run, original = redeliver(endpoint, support), steps._ask

    def ask_then_pause(run: Run, item: RunItem, clock: steps.Clock) -> timedelta | None:
        wait = original(run, item, clock)
        if item.position == 1:
            commands.pause(actor=support, run=run)
        return wait

    monkeypatch.setattr(steps, "_ask", ask_then_pause)
    assert (go(run).state, states(run)) == ("paused", {"requested": 2, "waiting": 3})
    commands.resume(actor=support, run=run)
    assert states(go(run)) == {"requested": 5}


def test_second_click_changes_nothing_and_is_not_in_the_audit(
    broken: Callable[..., Endpoint], support: User, partner_admin: User
) -> None:
    run = recover(broken(failed=1), support)
    assert [commands.pause(actor=who, run=run) for who in (support, partner_admin, support)] == [True, False, False]
    assert Run.objects.get().why == "Paused by ana."
    assert [commands.resume(actor=who, run=run) for who in (partner_admin, support)] == [True, False]
    entries = AuditEntry.objects.filter(action__in=(commands.PAUSE, commands.RESUME)).order_by("id")
    assert list(entries.values_list("action", "actor_name")) == [("pause run", "ana"), ("resume run", "paul")]


def test_pause_while_opentrain_is_asked_for_the_endpoint_enables_nothing(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, original = recover(broken(failed=1), support), sync.refresh

    def refresh_then_pause(**options: Any) -> Any:
        commands.pause(actor=support, run=run)
        return original(**options)

    monkeypatch.setattr(sync, "refresh", refresh_then_pause)
    assert (go(run).state, writes(fake_opentrain)) == ("paused", [])


def test_pause_just_before_the_call_for_all_failed_ones_makes_no_call(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = broken(failed=0, unseen=2)
    run, original = recover(endpoint, support), one_call.why_withheld

    def look_then_pause(**options: Any) -> str:
        commands.pause(actor=support, run=run)
        return original(**options)

    with monkeypatch.context() as patch:
        patch.setattr(one_call, "why_withheld", look_then_pause)
        run = go(run)
    assert (run.state, run.step, run.others_asked_at, redeliveries(fake_opentrain)) == ("paused", "others", None, [])
    commands.resume(actor=support, run=run)
    assert (go(run).others, redeliveries(fake_opentrain)) == (2, [None])


def test_worker_killed_while_the_run_is_paused_leaves_it_paused(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 3)
    run = redeliver(endpoint, support)
    run.items.filter(position=0).update(state="asking", asked_at=timezone.now())  # the call was in progress
    commands.pause(actor=support, run=run)
    assert list(Run.objects.to_advance()) == [run]  # the next worker looks what became of the call
    assert (go(run).state, states(run)) == ("paused", {"unknown": 1, "waiting": 2})
    assert redeliveries(fake_opentrain) == []
    assert list(Run.objects.to_advance()) == []
    commands.resume(actor=support, run=run)
    assert states(go(run)) == {"unknown": 1, "requested": 2}
    assert len(redeliveries(fake_opentrain)) == 2


def test_failures_during_a_pause_stop_the_recovery_when_it_is_resumed(
    broken: Callable[..., Endpoint], support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint = broken(failed=9)
    run = to_step(recover(endpoint, support), endpoint, Step.REST)
    run = go(run)
    commands.pause(actor=support, run=run)
    attempt(endpoint, ok=False)
    run = go(run)
    assert (run.state, states(run)) == ("paused", {"delivered": 1, "failed_again": 4, "waiting": 4})
    asked = len(redeliveries(fake_opentrain))
    commands.resume(actor=support, run=run)
    run = go(run)
    assert (run.state, run.why[:34]) == ("stopped", "4 of the first 5 failed again (han")
    assert len(redeliveries(fake_opentrain)) == asked
