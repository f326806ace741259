"""Runs in rows: their counts, steps and progress, and what a new run would do."""

from datetime import timedelta

import pytest

from dashboard.models import Run, RunItem, RunStep
from dashboard.presenters.runs import (
    LINE_SHOWN_FOR,
    PROBLEMS,
    TITLES,
    active_run,
    newest_run,
    preview,
    problems,
    run_row,
    run_sum,
    step_rows,
    under_way,
)
from dashboard.rules.runs import RECOVERY_STEPS, Step
from tests.factories import NOON, make_delivery, make_endpoint, make_failed_delivery, make_run

SECOND = timedelta(seconds=1)


def test_row_has_the_runs_counts_and_sums_add_up() -> None:
    one, other = Run(counts={"delivered": 2, "waiting": 1}), Run(counts={"delivered": 3, "refused": 1})
    row = run_row(one)
    assert (row.tally.delivered, row.tally.waiting) == (2, 1)
    total = run_sum([row, run_row(other)])
    assert (total.delivered, total.waiting, total.refused, total.requested) == (5, 1, 1, 0)
    assert run_sum([]) == run_row(Run()).tally


def test_every_step_of_a_recovery_has_a_title() -> None:
    assert set(TITLES) == set(RECOVERY_STEPS) == set(Step)


@pytest.mark.django_db
def test_endpoint_shows_its_newest_run_for_a_day_after_its_end() -> None:
    endpoint = make_endpoint()
    assert newest_run(endpoint, now=NOON) is None
    make_run(endpoint=endpoint, created_at=NOON - SECOND, ended_at=None)
    run = make_run(endpoint=endpoint)
    assert newest_run(endpoint, now=NOON + LINE_SHOWN_FOR).run == run
    assert newest_run(endpoint, now=NOON + LINE_SHOWN_FOR + SECOND) is None


@pytest.mark.django_db
def test_active_run_is_the_one_that_holds_the_endpoint() -> None:
    endpoint = make_endpoint()
    make_run(endpoint=endpoint)
    assert active_run(endpoint) is None
    paused = make_run(endpoint=endpoint, state="paused", ended_at=None)
    assert active_run(endpoint).run == paused


@pytest.mark.django_db
def test_steps_are_done_failed_current_or_to_come() -> None:
    run = make_run(state="running", ended_at=None)
    columns = {"run": run, "began_at": NOON}
    RunStep.objects.create(name="probe", ended_at=NOON + timedelta(minutes=2), words="It answers.", **columns)
    RunStep.objects.create(name="enable", ended_at=NOON, ok=False, words="It failed.", **columns)
    RunStep.objects.create(name="canary", **columns)
    rows = step_rows(run, now=NOON + timedelta(minutes=5))
    assert [row.kind for row in rows] == ["done", "failed", "current", "to_come", "to_come", "to_come"]
    assert [row.words for row in rows[:3]] == ["It answers.", "It failed.", ""]
    assert [bool(row.took) for row in rows] == [True, True, True, False, False, False]
    assert (rows[0].took, rows[2].took) == ("2 min", "5 min")
    times = [(row.began_at, row.ended_at) for row in rows[:4]]
    assert times == [(NOON, NOON + timedelta(minutes=2)), (NOON, NOON), (NOON, None), (None, None)]


@pytest.mark.django_db
def test_ended_run_shows_no_step_that_never_began() -> None:
    run = make_run(state="stopped")
    RunStep.objects.create(run=run, name="probe", began_at=NOON, ended_at=NOON, ok=False)
    assert [row.kind for row in step_rows(run, now=NOON)] == ["failed"]


@pytest.mark.django_db
def test_under_way_is_a_pause_or_the_next_delivery_run_or_nothing() -> None:
    run = make_run(state="running", ended_at=None)
    assert under_way(run, now=NOON) == ""
    RunItem.objects.create(run=run, position=0, opentrain_id="dlv_1", state="requested", asked_at=NOON)
    awaited = under_way(run, now=NOON)
    assert awaited
    run.state = "cancelled"
    assert under_way(run, now=NOON).endswith(awaited)
    assert under_way(run, now=NOON) != awaited
    run.state, run.waiting_for, run.not_before = "running", "OpenTrain asked to wait.", NOON + timedelta(seconds=30)
    assert under_way(run, now=NOON).startswith("OpenTrain asked to wait.")
    assert "30 s" in under_way(run, now=NOON)
    assert "30 s" not in under_way(run, now=NOON + timedelta(minutes=1))


@pytest.mark.django_db
def test_problems_are_what_a_person_may_want_to_look_at() -> None:
    run = make_run()
    for position, state in enumerate(RunItem.State):
        RunItem.objects.create(run=run, position=position, opentrain_id=f"dlv_{position}", state=state)
    assert {item.state for item in problems(run)} == {"asking", "failed_again", "not_seen", "unknown", "refused"}
    for position in range(100, 100 + PROBLEMS):
        RunItem.objects.create(run=run, position=position, opentrain_id=f"dlv_{position}", state="refused")
    found = problems(run)
    assert [item.position for item in found] == sorted(item.position for item in found)
    assert len(found) == PROBLEMS


@pytest.mark.django_db
def test_preview_counts_by_cause_and_age_and_reason() -> None:
    now = NOON + timedelta(days=8)
    chosen = [
        make_failed_delivery(),
        make_failed_delivery(first_received_at=now - timedelta(minutes=5)),
        make_failed_delivery(first_received_at=now - timedelta(hours=1), last_cause="timeout"),
        make_delivery(first_received_at=now, last_ok=False, last_cause="status", last_status=503),
    ]
    found = preview(chosen=chosen, left_out=["delivered", "requested", "delivered"], now=now)
    assert (found.chosen, found.retrying) == (4, 1)
    assert [count for _words, count in found.causes] == [3, 1]
    assert [count for _words, count in found.ages] == [2, 1, 1]
    assert list(found.left_out) == [("delivered", 2), ("requested", 1)]
