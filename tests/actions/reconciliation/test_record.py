"""Readings that fail, that are older than others, or that cannot be stored."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from dashboard.actions.installs.rounds import Done
from dashboard.actions.reconciliation import reads, rows, sweep
from dashboard.models import Contract, Install, ProjectLink, Reconciliation
from dashboard.services import opentrain
from dashboard.vault import Secret
from tests.actions.reconciliation.sweeping import MINUTE, TEN, Judged, changes, go, make_read, state
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON

pytestmark = pytest.mark.django_db


def test_token_that_was_refused_and_install_that_is_not_active_are_said(fake_opentrain: FakeOpenTrain) -> None:
    refused, inactive = make_read(fake_opentrain), make_read(fake_opentrain)
    for install in (refused, inactive):
        fake_opentrain.add_link(install.token, job_id=f"job_{install.pk}")
        fake_opentrain.hire(f"job_{install.pk}")
    go()
    fake_opentrain.revoke(refused.token)
    fake_opentrain.set_status(inactive.token, "SUSPENDED")
    judge = Judged()
    assert go(NOON + TEN, judge) == Done(installs=2, failed=2)
    assert "OpenTrain refused: “The token is not valid" in state(refused).error
    assert "The install is SUSPENDED, not ACTIVE" in state(inactive).error
    for known in (state(refused), state(inactive)):
        assert (known.failures, known.contracts_read_at) == (1, NOON)
        assert NOON + 2 * TEN <= known.due_at <= NOON + 3 * TEN
    assert Contract.objects.filter(gone_at=None, last_seen_at=NOON).count() == 2
    assert len(judge.installs) == 2


@pytest.mark.parametrize("retry_after_s", [None, 7200])
def test_429_in_the_middle_keeps_what_was_read_and_waits(fake_opentrain: FakeOpenTrain, retry_after_s) -> None:
    install = make_read(fake_opentrain)
    fake_opentrain.add_link(install.token, job_id="job_1")
    fake_opentrain.hire("job_1")
    error = opentrain.RateLimited("Too many.", retry_after_s=retry_after_s)
    fake_opentrain.before("list_contracts", lambda: fake_opentrain.fail_next(error), at=2)
    assert go() == Done(installs=1, failed=1)
    known = state(install)
    assert (known.error, known.links_read_at, known.contracts_read_at) == ("Too many.", NOON, None)
    assert Contract.objects.get().active_seen_at == NOON
    wait = known.due_at - NOON
    assert wait == timedelta(hours=2) if retry_after_s else TEN <= wait <= 2 * TEN
    go(known.due_at)
    known = state(install)
    assert (known.error, known.failures, known.contracts_read_at) == ("", 0, known.links_read_at)


def test_time_outs_make_the_pauses_longer(fake_opentrain: FakeOpenTrain) -> None:
    install, at = make_read(fake_opentrain), NOON
    for failures in (1, 2, 3):
        error = opentrain.Unavailable("No answer.", reason=opentrain.Reason.TIMEOUT)
        fake_opentrain.fail_next(error, operation="list_project_links")
        go(at)
        known = state(install)
        assert (known.failures, known.error) == (failures, "No answer.")
        assert known.due_at - at >= min(TEN * 2 ** (failures - 1), 30 * MINUTE)
        at = known.due_at


def test_sweep_that_is_killed_while_it_records_leaves_nothing_half_stored(
    fake_opentrain: FakeOpenTrain, monkeypatch
) -> None:
    install = make_read(fake_opentrain)
    fake_opentrain.add_link(install.token, job_id="job_1")
    fake_opentrain.hire("job_1")

    class Killed(BaseException):
        pass

    def killed(**_given: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(rows, "record_budgets", killed)
        with pytest.raises(Killed):
            go()
    assert (ProjectLink.objects.count(), Contract.objects.count()) == (0, 0)
    go(NOON + sweep.LEASE)
    assert (ProjectLink.objects.count(), Contract.objects.count()) == (1, 1)


def test_answer_that_cannot_be_stored_is_said_and_the_others_are_read(fake_opentrain: FakeOpenTrain, caplog) -> None:
    several = [make_read(fake_opentrain) for _ in range(2)]
    odd = fake_opentrain.add_link(several[0].token, job_id="job_1")
    fake_opentrain.add_link(several[1].token, job_id="job_2")
    beyond = dataclasses.replace(odd, job_id="a\0b")  # past the limits of the client
    fake_opentrain._links[odd.id] = (several[0].opentrain_id, beyond)
    assert go() == Done(installs=2, failed=1)
    assert "cannot be stored" in state(several[0]).error
    assert ProjectLink.objects.get().job_id == "job_2"
    assert "its contracts could not be stored" in caplog.text


def test_reading_that_is_older_than_a_newer_one_undoes_nothing(fake_opentrain: FakeOpenTrain) -> None:
    install = make_read(fake_opentrain)
    link = fake_opentrain.add_link(install.token, job_id="job_1")
    contract, other = fake_opentrain.hire("job_1"), fake_opentrain.hire("job_1")
    go(budget=timedelta(0))
    [subject] = sweep.take(now=NOON, failing=False, most=4)
    slow = reads.read(subject, clock=lambda: NOON)
    fake_opentrain.end(contract)
    del fake_opentrain._hires[other]
    go(NOON + TEN)
    fake_opentrain.remove_link(link.id)
    go(NOON + 2 * TEN)
    Contract.objects.filter(opentrain_id=other).delete()  # they have been gone for long
    ProjectLink.objects.all().delete()
    before = list(Contract.objects.values()), list(ProjectLink.objects.values()), changes()
    assert sweep.record(slow) == ""
    assert (list(Contract.objects.values()), list(ProjectLink.objects.values()), changes()) == before
    known = state(install)
    assert known.contracts_read_at == NOON + 2 * TEN


def test_reading_that_is_older_than_a_part_of_a_newer_one_undoes_nothing(fake_opentrain: FakeOpenTrain) -> None:
    install = make_read(fake_opentrain)
    fake_opentrain.add_link(install.token, job_id="job_1")
    contract = fake_opentrain.hire("job_1")
    go(budget=timedelta(0))
    [subject] = sweep.take(now=NOON, failing=False, most=4)
    slow = reads.read(subject, clock=lambda: NOON)
    hire = fake_opentrain._hires[contract]
    hire.contract = dataclasses.replace(hire.contract, title="Renamed")
    error = opentrain.RateLimited("Too many.", retry_after_s=None)
    fake_opentrain.before("list_contracts", lambda: fake_opentrain.fail_next(error), at=2)
    go(NOON + TEN)
    sweep.record(slow)
    row = Contract.objects.get()
    assert (row.title, row.last_seen_at, changes()) == ("Renamed", NOON + TEN, [])


def test_reading_with_an_old_token_says_nothing_about_the_new_one(fake_opentrain: FakeOpenTrain) -> None:
    install = make_read(fake_opentrain)
    go(budget=timedelta(0))
    [subject] = sweep.take(now=NOON, failing=False, most=4)
    fake_opentrain.replace_token(install.token, Secret("ot_ptk_new"))
    refused = reads.read(subject, clock=lambda: NOON)
    Install.objects.update(token_id="tok_new")
    Reconciliation.objects.update(due_at=None)
    sweep.record(refused)
    known = state(install)
    assert (known.failures, known.error, known.due_at) == (0, "", None)
