"""The engine in production: a Procrastinate worker in its own process, the commands, and the maintenance of jobs."""

import asyncio
import io
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.management import call_command
from django.db import connection
from procrastinate.contrib.django import app

from dashboard.partner_api import tasks
from dashboard.partner_api.engine import Report
from dashboard.partner_api.models import Attempt, Delivery
from tests.partner_api import sink
from tests.partner_api.conftest import emit_one, make_endpoint, make_partner
from tests.partner_api.sink import Received, Sink

ROOT = Path(__file__).parents[2]
SETTINGS = ("--settings", "dashboard.partner_api.settings")

on_commit = pytest.mark.usefixtures("_no_jobs")


def start(environment: dict[str, str], name: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "manage.py", name, *SETTINGS, *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end(process: "subprocess.Popen[str]", *, by: signal.Signals = signal.SIGTERM) -> tuple[str, str]:
    process.send_signal(by)
    return process.communicate(timeout=60)


def jobs() -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT task_name, status::text FROM procrastinate_jobs ORDER BY id")
        return list(cursor.fetchall())


@pytest.mark.slow
@on_commit
def test_a_worker_delivers_and_ends_on_sigterm_with_what_is_in_flight_recorded(
    environment: dict[str, str], receiver: Sink
) -> None:
    partner = make_partner()
    make_endpoint(partner, url=receiver.url)
    emit_one(partner)
    told = threading.Event()
    worker = start(environment, "procrastinate", "worker")
    try:
        sink.wait_until(lambda: Delivery.objects.filter(status="DELIVERED").count() == 1, seconds=60)
        sink.wait_until(lambda: ("partner_api.deliver", "doing") not in jobs())

        def slowly(received: Received) -> int:
            told.wait(60)
            return 200

        receiver.answer = slowly
        emit_one(partner)
        sink.wait_until(lambda: len(receiver.requests) == 2, seconds=60)
    finally:
        worker.send_signal(signal.SIGTERM)
        told.set()  # the answer comes after the signal
        _, log = worker.communicate(timeout=60)
    assert worker.returncode == 0, log
    assert list(Delivery.objects.values_list("status", flat=True)) == ["DELIVERED"] * 2
    assert "Delivery run: 1 attempted, 1 delivered" in log
    assert "whsec_" not in log
    assert partner.token not in log


@pytest.mark.slow
@on_commit
def test_two_workers_share_the_work_and_a_killed_ones_is_done_again(
    environment: dict[str, str], receiver: Sink
) -> None:
    environment |= {"PARTNER_API_TIMEOUT_S": "5", "PARTNER_API_LEASE_S": "6"}
    partner = make_partner()
    make_endpoint(partner, url=receiver.url)
    killed = threading.Event()

    def answer(received: Received) -> int:
        killed.wait(60)
        return 200

    receiver.answer = answer
    emit_one(partner)
    one = start(environment, "procrastinate", "worker")
    try:
        sink.wait_until(lambda: len(receiver.requests) == 1, seconds=60)
    finally:
        end(one, by=signal.SIGKILL)
    assert (Delivery.objects.get().status, Attempt.objects.count()) == ("PENDING", 0)
    killed.set()
    other = start(environment, "procrastinate", "worker")
    try:
        sink.wait_until(lambda: Delivery.objects.get().status == "DELIVERED", seconds=60)
    finally:
        end(other)
    assert len(set(receiver.delivery_ids)) == 1


def leave_behind(*, task: Any) -> None:
    """Leave a job as a dead worker does: "doing", without a heartbeat for an hour."""
    job = task.configure(task_kwargs={"timestamp": 1}).defer()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour') RETURNING id"
        )
        worker = cursor.fetchone()[0]
        cursor.execute("UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s WHERE id = %s", [worker, job])


def requeue_stalled() -> None:
    context = SimpleNamespace(app=app)
    async_to_sync(tasks.requeue_stalled.func)(context, timestamp=1)


@on_commit
def test_a_job_of_a_dead_worker_is_queued_again() -> None:
    leave_behind(task=tasks.deliver)
    requeue_stalled()
    assert jobs() == [("partner_api.deliver", "todo")]


@on_commit
def test_a_job_of_a_dead_worker_is_dropped_when_the_next_waits_already() -> None:
    leave_behind(task=tasks.deliver)
    tasks.deliver.configure(task_kwargs={"timestamp": 2}).defer()
    requeue_stalled()
    assert jobs() == [("partner_api.deliver", "todo")]


@on_commit
def test_finished_jobs_are_purged_after_a_day() -> None:
    for hours in (23, 25):
        job = tasks.purge.configure(task_kwargs={"timestamp": hours}).defer()
        with connection.cursor() as cursor:
            cursor.execute("UPDATE procrastinate_jobs SET status = 'failed' WHERE id = %s", [job])
            cursor.execute(
                "UPDATE procrastinate_events SET at = now() - make_interval(hours => %s) WHERE job_id = %s",
                [hours, job],
            )
    async_to_sync(tasks.purge.func)(SimpleNamespace(app=app), timestamp=1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT args->>'timestamp' FROM procrastinate_jobs")
        assert cursor.fetchall() == [("23",)]


@on_commit
@pytest.mark.parametrize(("unfinished", "queued"), [(True, [("partner_api.deliver", "todo")]), (False, [])])
def test_an_unfinished_run_asks_for_the_next_once(monkeypatch, unfinished: bool, queued: list) -> None:
    async def run() -> Report:
        return Report(attempted=3, delivered=2, unfinished=unfinished)

    monkeypatch.setattr(tasks.engine, "run", run)
    for _ in range(2):
        async_to_sync(tasks.deliver.func)(timestamp=1)
    assert jobs() == queued


@on_commit
@pytest.mark.parametrize(("silent_s", "queued"), [(0.21, [("partner_api.deliver", "todo")]), (0.2, [])])
def test_a_worker_whose_cron_has_gone_silent_for_two_intervals_asks_for_a_run_by_its_monotonic_clock(
    settings, monkeypatch, silent_s: float, queued: list
) -> None:
    settings.PARTNER_API_RUN_INTERVAL_S = 0.1
    looks: list[float] = []

    def monotonic() -> float:
        """Return 0 for the first beat; from then on, the time after `silent_s` of silence."""
        looks.append(silent_s if looks else 0.0)
        return looks[-1]

    monkeypatch.setattr(tasks, "time", SimpleNamespace(monotonic=monotonic, time=lambda: 1))

    async def beat_once() -> None:
        pulse = tasks._Pulse()
        pulse.beat()
        # The second look starts only after the job that the first one queued is stored.
        await asyncio.to_thread(sink.wait_until, lambda: len(looks) >= 3)
        pulse.watch.cancel()

    async_to_sync(beat_once)()
    assert jobs() == queued


def command(*arguments: str) -> list[dict[str, Any]]:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]
