"""The console's background jobs, run as Procrastinate runs them."""

import contextlib
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.utils import timezone
from procrastinate.contrib.django import app

from dashboard import tasks
from dashboard.actions.installs import freshness
from dashboard.launch import site
from dashboard.models import Finding, Handover, Install, Reconciliation, User
from dashboard.rules.reconciliation import Kind
from dashboard.services.opentrain import Reason, Unavailable
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON, make_contract, make_finding, make_install
from tests.handing_over import make_scene, queued
from tests.services.misbehaving import answer, misbehaving


@pytest.fixture
def _no_jobs(transactional_db: None) -> Iterator[None]:
    """Procrastinate's models are unmanaged: Django does not empty their tables between tests."""
    yield
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs, procrastinate_workers, procrastinate_periodic_defers CASCADE")


@pytest.mark.django_db
def test_poll_installs_goes_on_after_one_that_fails(fake_opentrain: FakeOpenTrain) -> None:
    for _ in range(2):
        make_install(token=fake_opentrain.add_install(), described_at=timezone.now())
    fake_opentrain.fail_next(Unavailable("OpenTrain cannot be reached.", reason=Reason.DNS))
    before = timezone.now()
    tasks.poll_installs(timestamp=0)
    assert Install.objects.filter(last_error="OpenTrain cannot be reached.").count() == 1
    assert Install.objects.filter(last_error="", checked_at__gte=before).count() == 1


@pytest.mark.django_db
def test_poll_installs_leaves_it_to_the_worker_that_is_at_it(fake_opentrain: FakeOpenTrain) -> None:
    install = make_install(token=fake_opentrain.add_install(), described_at=timezone.now())
    asked = Install.objects.filter(pk=install.pk, checked_at__gte=timezone.now())
    lock, other = "hashtextextended('redeliver.poll', 0)", connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute(f"SELECT pg_advisory_lock({lock})")
            tasks.poll_installs(timestamp=0)
            assert not asked.exists()
            cursor.execute(f"SELECT pg_advisory_unlock({lock})")  # closing releases it only a moment later
    finally:
        other.close()
    tasks.poll_installs(timestamp=0)
    assert asked.exists()


@pytest.mark.django_db
def test_reconcile_installs_leaves_it_to_the_worker_that_is_at_it(fake_opentrain: FakeOpenTrain) -> None:
    install = make_install(token=fake_opentrain.add_install(), token_scopes=["contracts:read"])
    read = Reconciliation.objects.filter(install=install, contracts_read_at__isnull=False)
    lock, other = "hashtextextended('redeliver.reconcile', 0)", connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute(f"SELECT pg_advisory_lock({lock})")
            tasks.reconcile_installs(timestamp=0)
            assert not read.exists()
            cursor.execute(f"SELECT pg_advisory_unlock({lock})")  # closing releases it only a moment later
    finally:
        other.close()
    tasks.reconcile_installs(timestamp=0)
    assert read.exists()


@pytest.mark.django_db
def test_judge_contracts_leaves_it_to_the_worker_that_is_at_it() -> None:
    make_finding(contract=make_contract(), kind=Kind.NOT_SEEN_YET, until=NOON)  # which is over
    lock, other = "hashtextextended('redeliver.rejudge', 0)", connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute(f"SELECT pg_advisory_lock({lock})")
            tasks.judge_contracts(timestamp=0)
            assert Finding.objects.open().exists()
            cursor.execute(f"SELECT pg_advisory_unlock({lock})")  # closing releases it only a moment later
    finally:
        other.close()
    tasks.judge_contracts(timestamp=0)
    assert not Finding.objects.open().exists()


@pytest.mark.usefixtures("_no_jobs")
def test_refresh_install_is_the_job_that_a_page_queues(fake_opentrain: FakeOpenTrain) -> None:
    install = make_install(token=fake_opentrain.add_install(), described_at=timezone.now())
    freshness.look(install=install, now=timezone.now())
    with connection.cursor() as cursor:
        cursor.execute("SELECT task_name, queue_name, priority, args->>'install_id' FROM procrastinate_jobs")
        [(name, queue, priority, sent)] = cursor.fetchall()
    assert (app.tasks[name], queue, priority) == (tasks.refresh_install, tasks.QUEUE, freshness.PRIORITY)
    async_to_sync(tasks.refresh_install.func)(int(sent))
    assert [call.operation for call in fake_opentrain.calls] == ["list_endpoints"]


@pytest.mark.usefixtures("_no_jobs")
def test_refresh_install_does_nothing_while_all_its_threads_wait(fake_opentrain: FakeOpenTrain) -> None:
    """The job returns at once: the worker keeps its slots for other jobs, and the page requests the refresh again."""
    install = make_install(token=fake_opentrain.add_install(), described_at=timezone.now())
    with contextlib.ExitStack() as others:
        for number in range(tasks.REFRESHES):
            others.enter_context(tasks._refreshing.one(name=f"other {number}", most=tasks.REFRESHES, most_of_name=1))
        async_to_sync(tasks.refresh_install.func)(install.pk)
    assert fake_opentrain.calls == []


def test_worker_has_more_slots_than_refreshes_and_slow_handlers_can_take() -> None:
    [at] = [number for number, word in enumerate(site.worker()) if word == "--concurrency"]
    assert int(site.worker()[at + 1]) - tasks.REFRESHES - tasks.SENDERS >= 4


@pytest.mark.usefixtures("_no_jobs")
def test_send_handovers_is_the_job_that_a_button_queues_and_it_closes_the_finding(
    fake_opentrain: FakeOpenTrain, support: User
) -> None:
    with misbehaving(answer(200)) as server:
        scene = make_scene(fake_opentrain, actor=support, handler_url=server.url)
        scene.ask(support)
        with connection.cursor() as cursor:
            cursor.execute("SELECT task_name, queue_name FROM procrastinate_jobs")
            [(name, queue)] = cursor.fetchall()
        assert (app.tasks[name], queue) == (tasks.send_handovers, tasks.QUEUE)
        async_to_sync(tasks.send_handovers.func)(scene.endpoint.pk)
        assert len(server.requests) == 1
    assert Handover.objects.get().ok
    assert not Finding.objects.open().exists()


@pytest.mark.usefixtures("_no_jobs")
def test_send_handovers_does_nothing_while_its_threads_wait_for_handlers_and_is_queued_again(
    fake_opentrain: FakeOpenTrain, support: User
) -> None:
    scene = make_scene(fake_opentrain, actor=support)
    row = scene.ask(support)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")
    with contextlib.ExitStack() as others:
        for number in range(tasks.SENDERS):
            others.enter_context(tasks._sending.one(name=f"other {number}", most=tasks.SENDERS, most_of_name=1))
        async_to_sync(tasks.send_handovers.func)(scene.endpoint.pk)
    row.refresh_from_db()
    assert row.ended_at is None
    tasks.resume_handovers(timestamp=0)
    tasks.resume_handovers(timestamp=1)
    assert queued() == [scene.endpoint.pk]


@pytest.mark.usefixtures("_no_jobs")
def test_two_jobs_of_one_endpoint_send_once(fake_opentrain: FakeOpenTrain, support: User) -> None:
    with misbehaving(answer(200)) as server:
        scene = make_scene(fake_opentrain, actor=support, handler_url=server.url)
        scene.ask(support)
        threads = [threading.Thread(target=tasks._send_handovers, args=[scene.endpoint.pk]) for _ in range(2)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert len(server.requests) == 1


@pytest.mark.usefixtures("_no_jobs")
@pytest.mark.parametrize("another_is_waiting", [False, True])
def test_tend_jobs_runs_again_what_a_killed_worker_left_once(another_is_waiting: bool) -> None:
    left = tasks.poll_installs.configure(task_kwargs={"timestamp": 1}).defer()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET status = 'doing', worker_id = NULL WHERE id = %s", [left])
    if another_is_waiting:
        tasks.poll_installs.configure(task_kwargs={"timestamp": 2}).defer()
    async_to_sync(tasks.tend_jobs.func)(SimpleNamespace(app=app), timestamp=3)
    with connection.cursor() as cursor:
        cursor.execute("SELECT status::text, args->>'timestamp' FROM procrastinate_jobs ORDER BY id")
        assert cursor.fetchall() == [("todo", "2" if another_is_waiting else "1")]
