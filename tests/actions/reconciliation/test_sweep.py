"""The sweep: every install in its time, by one worker, and what a killed one leaves."""

import threading
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from dashboard.actions.installs import sync
from dashboard.actions.installs.rounds import Done
from dashboard.actions.reconciliation import sweep
from dashboard.models import Contract, Finding, Reconciliation
from dashboard.services import opentrain
from tests.actions.reconciliation.sweeping import MINUTE, TEN, calls, go, make_read
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON, make_endpoint, make_user

pytestmark = pytest.mark.django_db


def test_install_is_read_once_in_its_time_and_new_ones_at_once(fake_opentrain: FakeOpenTrain) -> None:
    make_read(fake_opentrain)
    assert go() == Done(installs=1)
    make_read(fake_opentrain)
    assert go(NOON + TEN - MINUTE) == Done(installs=1)
    assert go(NOON + TEN) == Done(installs=1)


def test_what_a_killed_sweep_had_taken_is_due_again(fake_opentrain: FakeOpenTrain) -> None:
    install = make_read(fake_opentrain)
    go(budget=timedelta(0))  # enters it
    [taken] = sweep.take(now=NOON, failing=False, most=4)
    assert taken.install == install
    assert go(NOON + sweep.LEASE - MINUTE) == Done()
    assert go(NOON + sweep.LEASE) == Done(installs=1)


def test_threads_that_ask_have_no_database(fake_opentrain: FakeOpenTrain, monkeypatch) -> None:
    make_read(fake_opentrain)
    real, seen = opentrain.list_contracts, []

    def list_contracts(**given: Any) -> tuple:
        seen.append((threading.current_thread() is threading.main_thread(), connection.connection))
        return real(**given)

    monkeypatch.setattr(opentrain, "list_contracts", list_contracts)
    go()
    assert seen == [(False, None)] * 2


def test_sweep_calls_opentrain_half_as_often_at_a_time_as_the_poller(fake_opentrain, settings, monkeypatch) -> None:
    settings.POLL_CONCURRENCY = 4
    for _ in range(12):
        make_read(fake_opentrain)
    at_once, both = threading.Barrier(2), []
    real, lock, under_way = opentrain.list_project_links, threading.Lock(), 0

    def list_project_links(**given: Any) -> tuple:
        nonlocal under_way
        with lock:
            under_way += 1
            both.append(under_way)
        at_once.wait(60)
        with lock:
            under_way -= 1
        return real(**given)

    monkeypatch.setattr(opentrain, "list_project_links", list_project_links)
    monkeypatch.setattr("dashboard.actions.installs.rounds.SLOW_AFTER_LEAST_S", 60)
    monkeypatch.setattr("dashboard.actions.installs.rounds.SLOW_AFTER_MOST_S", 60)
    assert go() == Done(installs=12)
    assert max(both) == 2


def test_budgets_are_read_of_installs_that_get_events_about_them(fake_opentrain: FakeOpenTrain) -> None:
    told, direct, other = (make_read(fake_opentrain) for _ in range(3))
    for install in (told, direct, other):
        fake_opentrain.add_link(install.token, job_id=f"job_{install.pk}")
        for _ in range(12):
            fake_opentrain.hire(f"job_{install.pk}")
    make_endpoint(install=told, event_types=["milestone.budget_low"])
    make_endpoint(install=direct, event_types=["milestone.budget_low"], receiver_key=None)
    make_endpoint(install=other, event_types=["contract.ended"])
    for number, read in enumerate((0, 10, 12)):
        go(NOON + number * TEN)
        assert Contract.objects.exclude(budget_read_at=None).count() == read
    assert set(Contract.objects.exclude(budget_read_at=None).values_list("install", flat=True)) == {told.pk}
    assert calls(fake_opentrain).count("get_budget") == 20


def test_two_installs_of_one_organization_are_kept_apart(fake_opentrain: FakeOpenTrain) -> None:
    """An install that was reconnected under another ID is another one: nothing is moved."""
    before = make_read(fake_opentrain)
    fake_opentrain.add_link(before.token, job_id="job_1")
    fake_opentrain.hire("job_1")
    go()
    after = make_read(fake_opentrain, organization_id=before.organization_id, app_id=before.app_id)
    fake_opentrain.add_link(after.token, job_id="job_1")
    fake_opentrain.revoke(before.token)
    go(NOON + TEN)
    kept = Contract.objects.order_by("install").values_list("install", "last_seen_at", "gone_at")
    assert list(kept) == [(before.pk, NOON, None), (after.pk, NOON + TEN, None)]


def test_install_that_is_connected_again_is_read_at_once(fake_opentrain: FakeOpenTrain) -> None:
    install = make_read(fake_opentrain)
    go()
    Reconciliation.objects.update(failures=9, due_at=NOON + 60 * MINUTE)
    sync.connect(actor=make_user(), token=install.token, name="", now=NOON, operation=uuid.uuid4())
    assert go(NOON + MINUTE) == Done(installs=1)


def test_mistake_in_judging_one_install_does_not_stop_the_others(fake_opentrain: FakeOpenTrain, caplog) -> None:
    several = [make_read(fake_opentrain) for _ in range(3)]
    judged = []

    def judge(*, install_id: int, now: datetime) -> None:
        judged.append(install_id)
        if install_id == several[0].pk:
            raise RuntimeError("a mistake of ours")

    assert sweep.sweep(clock=lambda: NOON, budget=MINUTE, judge=judge) == Done(installs=3, failed=1)
    assert sorted(judged) == [install.pk for install in several]
    assert "its contracts could not be judged" in caplog.text


def test_sweep_judges_what_it_has_read(fake_opentrain: FakeOpenTrain) -> None:
    install = make_read(fake_opentrain)
    fake_opentrain.add_link(install.token, job_id="job_1")
    contract = fake_opentrain.hire("job_1")
    make_endpoint(install=install, event_types=["contract.started"], created_at=NOON)  # after the contract started
    sweep.sweep(clock=lambda: NOON, budget=MINUTE)
    found = Finding.objects.open().values_list("contract__opentrain_id", "event_type", "kind", "reason")
    assert list(found) == [(contract, "contract.started", "missing", "registered_after")]
