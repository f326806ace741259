"""The state of a run: changed by compare-and-set, so concurrent changes are never overwritten."""

from datetime import timedelta
from typing import Any

import pytest

from dashboard.actions.runs import state
from dashboard.config.schedule import schedule
from dashboard.models import Run, RunItem, RunStep
from dashboard.rules.runs import BULK_STEPS, ONE_CALL_STEPS, RECOVERY_STEPS
from tests.factories import NOON, make_run

pytestmark = pytest.mark.django_db


def make_running(**columns: Any) -> Run:
    run = make_run(**{"state": "running", "step": "probe", "ended_at": None, **columns})
    RunStep.objects.create(run=run, name=run.step, began_at=NOON)
    return run


@pytest.mark.parametrize(("left", "ok"), [("done", True), ("stopped", False)])
def test_run_that_ends_ends_its_step_too(left: str, ok: bool) -> None:
    run = make_running(waiting_for="OpenTrain", not_before=NOON)
    assert state.leave(run, now=NOON, state=Run.State(left), why="So it is.") is None
    run.refresh_from_db()
    assert (run.state, run.why, run.waiting_for, run.not_before) == (left, "So it is.", "", None)
    step = run.steps.get()
    assert run.ended_at == step.ended_at is not None
    assert (step.ok, step.words) == (ok, "So it is.")


def test_run_that_pauses_has_not_ended_and_neither_has_its_step() -> None:
    run = make_running()
    state.leave(run, now=NOON, state=Run.State.PAUSED, why="Paused.")
    run.refresh_from_db()
    assert (run.state, run.ended_at, run.steps.get().ended_at) == ("paused", None, None)


def test_run_that_someone_has_cancelled_meanwhile_stays_cancelled() -> None:
    run = make_running()
    Run.objects.update(state="cancelled", why="Cancelled by ana.")
    state.leave(run, now=NOON, state=Run.State.DONE, why="All delivered.")
    run.refresh_from_db()
    assert (run.state, run.why, run.steps.get().ended_at) == ("cancelled", "Cancelled by ana.", None)


def test_next_step_ends_the_one_and_begins_the_other() -> None:
    run = make_running(failed_calls=2)
    assert state.next_step(run, now=NOON, words="It answers.") == timedelta()
    run.refresh_from_db()
    assert (run.step, run.failed_calls) == (RECOVERY_STEPS[1], 0)
    step = run.steps.get(name="probe")
    assert (step.ok, step.words, step.ended_at is not None) == (True, "It answers.", True)


def test_after_the_last_step_there_is_none() -> None:
    run = make_running(step=RECOVERY_STEPS[-1])
    state.next_step(run, now=NOON, words="", ok=False)
    run.refresh_from_db()
    assert (run.step, run.steps.get().ok) == (RECOVERY_STEPS[-1], False)


@pytest.mark.parametrize(
    ("columns", "steps"),
    [
        ({"kind": "recovery"}, RECOVERY_STEPS),
        ({"kind": "bulk"}, BULK_STEPS),
        ({"kind": "bulk", "one_call": True}, ONE_CALL_STEPS),
    ],
)
def test_steps_are_those_of_its_kind(columns: dict[str, Any], steps: tuple[str, ...]) -> None:
    assert state.steps_of(Run(**columns)) == steps


def test_keep_saves_these_fields_and_never_the_state() -> None:
    run = make_running()
    Run.objects.update(state="paused", note="theirs")
    state.keep(run, others=3)
    assert run.others == 3
    run.refresh_from_db()
    assert (run.others, run.state, run.note) == (3, "paused", "theirs")


def test_what_was_not_requested_is_counted_or_not_spoken_of() -> None:
    run = make_running()
    assert state.not_requested(run) == ""
    before = state.left_active(run)
    for position, kind in enumerate(("waiting", "waiting", "delivered")):
        RunItem.objects.create(run=run, position=position, opentrain_id=f"dlv_{position}", state=kind)
    assert state.not_requested(run).startswith("2 ")
    assert "2" not in before
    assert "2" in state.left_active(run)


def test_schedule_is_the_settings(settings: Any) -> None:
    settings.OPENTRAIN_RETRY_DELAYS_S, settings.OPENTRAIN_RUN_INTERVAL_S = (4, 8), 2
    found = schedule()
    assert (found.retry_delays, found.run_interval) == (
        (timedelta(seconds=4), timedelta(seconds=8)), timedelta(seconds=2),
    )  # fmt: skip
    assert state.look_again() == timedelta(seconds=1)
    settings.OPENTRAIN_RUN_INTERVAL_S = 300
    assert state.look_again() == state.LOOK_EVERY


def test_fields_are_kept_only_while_the_run_runs() -> None:
    run = make_running()
    assert state.keep_running(run, others_asked_at=NOON) is True
    Run.objects.update(state="paused", others_asked_at=None)
    run.others_asked_at = None
    assert state.keep_running(run, others_asked_at=NOON) is False
    assert run.others_asked_at is None
    run.refresh_from_db()
    assert run.others_asked_at is None
