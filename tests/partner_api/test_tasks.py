"""The engine as it runs: a Procrastinate worker in a process of its own, the commands, and the care for jobs."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.db import connection
from procrastinate.contrib.django import app

from dashboard.partner_api import engine, tasks
from dashboard.partner_api.engine import Report
from dashboard.partner_api.models import Attempt, Delivery, Event, EventType, Install, Token
from tests.partner_api import sink
from tests.partner_api.conftest import Partner, emit_one, make_endpoint, make_partner
from tests.partner_api.sink import Received, Sink

ROOT = Path(__file__).parents[2]
SETTINGS = ("--settings", "dashboard.partner_api.settings")

on_commit = pytest.mark.usefixtures("_no_jobs")


@pytest.fixture
def environment(postgres_server: Any) -> dict[str, str]:
    """What a process needs to work on this test's own database."""
    return os.environ | {
        "PARTNER_API_DATABASE_URL": postgres_server.url(connection.settings_dict["NAME"]),
        "PARTNER_API_KEYS": ",".join(django_settings.PARTNER_API_KEYS),
        "PARTNER_API_RUN_INTERVAL_S": "1",
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture
def _no_jobs(transactional_db: None) -> Iterator[None]:
    """Procrastinate's models are unmanaged: Django leaves their rows from one test to the next."""
    _truncate_jobs()
    yield
    _truncate_jobs()


def _truncate_jobs() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs, procrastinate_workers, procrastinate_periodic_defers CASCADE")


def start(environment: dict[str, str], name: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "manage.py", name, *SETTINGS, *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end(process: "subprocess.Popen[str]", *, by: signal.Signals = signal.SIGTERM) -> tuple[str, str]:
    process.send_signal(by)
    return process.communicate(timeout=10)


def jobs() -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT task_name, status::text FROM procrastinate_jobs ORDER BY id")
        return list(cursor.fetchall())


@on_commit
def test_a_worker_delivers_and_ends_on_sigterm_with_what_is_in_flight_recorded(
    environment: dict[str, str], receiver: Sink
) -> None:
    partner = make_partner()
    make_endpoint(partner, url=receiver.url)
    emit_one(partner)
    worker = start(environment, "procrastinate", "worker")
    try:
        sink.wait_until(lambda: Delivery.objects.filter(status="DELIVERED").count() == 1, seconds=30)
        sink.wait_until(lambda: ("partner_api.deliver", "doing") not in jobs())

        def slowly(received: Received) -> int:
            time.sleep(1)
            return 200

        receiver.answer = slowly
        emit_one(partner)
        sink.wait_until(lambda: len(receiver.requests) == 2, seconds=30)
    finally:
        _, log = end(worker)
    assert worker.returncode == 0, log
    assert list(Delivery.objects.values_list("status", flat=True)) == ["DELIVERED"] * 2
    assert "Delivery run: 1 attempted, 1 delivered" in log
    assert "whsec_" not in log
    assert partner.token not in log


@on_commit
def test_two_workers_share_the_work_and_a_killed_ones_is_done_again(
    environment: dict[str, str], receiver: Sink
) -> None:
    environment |= {"PARTNER_API_TIMEOUT_S": "1", "PARTNER_API_LEASE_S": "2"}
    partner = make_partner()
    make_endpoint(partner, url=receiver.url)
    killed: list[bool] = []

    def answer(received: Received) -> int:
        if not killed:
            time.sleep(0.8)
        return 200

    receiver.answer = answer
    emit_one(partner)
    one = start(environment, "procrastinate", "worker")
    try:
        sink.wait_until(lambda: len(receiver.requests) == 1, seconds=30)
    finally:
        end(one, by=signal.SIGKILL)
    assert (Delivery.objects.get().status, Attempt.objects.count()) == ("PENDING", 0)
    killed.append(True)
    other = start(environment, "procrastinate", "worker")
    try:
        sink.wait_until(lambda: Delivery.objects.get().status == "DELIVERED", seconds=30)
    finally:
        end(other)
    assert len(set(receiver.delivery_ids)) == 1


def leave_behind(*, task: Any) -> None:
    """A job of a worker that has died: doing, and no heartbeat for an hour."""
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
@pytest.mark.parametrize(("silent_s", "queued"), [(10, [("partner_api.deliver", "todo")]), (0, [])])
def test_a_worker_whose_cron_has_gone_silent_asks_for_a_run_by_its_monotonic_clock(
    settings, silent_s: int, queued: list
) -> None:
    settings.PARTNER_API_RUN_INTERVAL_S = 0.1

    async def beat_once() -> None:
        pulse = tasks._Pulse()
        pulse.beat()
        pulse.began -= silent_s
        await asyncio.sleep(0.15)
        pulse.watch.cancel()

    async_to_sync(beat_once)()
    assert jobs() == queued


def command(*arguments: str) -> list[dict[str, Any]]:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.urls("dashboard.partner_api.urls")
def test_create_install_prints_one_line_with_a_token_that_works(db: None) -> None:
    [line] = command("create_install", "--organization", "Acme Labs", "--scopes", "contracts:read")
    assert sorted(line) == ["install", "token"]
    answer = Partner(install_id=line["install"], token=line["token"]).call("GET", "/installs/current")
    assert answer.json["install"]["id"] == Install.objects.get().pk
    assert answer.json["install"]["scopes"] == ["contracts:read"]
    assert Token.objects.get().scopes == ["contracts:read"]


def test_create_install_with_an_unknown_scope_says_which_there_are(db: None) -> None:
    with pytest.raises(CommandError, match=r"There is no scope all\. The scopes are project-links:read"):
        command("create_install", "--organization", "Acme", "--scopes", "all")


def test_emit_prints_a_line_for_each_event(partner: Partner) -> None:
    make_endpoint(partner)
    lines = command(
        "emit", "--install", partner.install_id, "--type", "contract.ended", "--resource", "ctr_9", "--count", "3"
    )
    assert [(line["type"], line["deliveries"]) for line in lines] == [("contract.ended", 1)] * 3
    assert list(Event.objects.values_list("resource_id", flat=True)) == ["ctr_9"] * 3
    assert [line["event"] for line in lines] == [event.wire_id for event in Event.objects.order_by("id")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--install", "ins_0"), "Events are emitted for ACTIVE installs only"),
        (("--install", "ins_0", "--forever"), "--forever needs --every"),
        (("--install", "ins_0", "--every", "-1"), "--every"),
    ],
)
def test_emit_that_cannot_says_why(db: None, arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        command("emit", *arguments)


@on_commit
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_emit_forever_goes_on_until_a_signal_and_ends_cleanly(environment: dict[str, str], by: signal.Signals) -> None:
    partner = make_partner()
    make_endpoint(partner, event_types=EventType.values)
    process = start(environment, "emit", "--install", partner.install_id, "--every", "0.02", "--forever")
    try:
        sink.wait_until(lambda: Event.objects.count() >= 5, seconds=30)
    finally:
        out, err = end(process, by=by)
    assert (process.returncode, err) == (0, "")
    assert len(out.splitlines()) == Event.objects.count()


def test_deliveries_shows_every_attempt_with_its_cause_and_detail(partner: Partner) -> None:
    endpoint = make_endpoint(partner, url="http://10.0.0.1/hooks").endpoint
    emit_one(partner)
    async_to_sync(engine.run)()
    [line] = command("deliveries", "--install", partner.install_id, "--status", "PENDING")
    [attempt] = line["attempts"]
    assert (line["endpoint"], line["url"], line["type"]) == (endpoint.pk, endpoint.url, "contract.started")
    assert (attempt["number"], attempt["status"], attempt["cause"]) == (1, None, "denied")
    assert attempt["detail"] == "10.0.0.1 is in a denied range: private"


def test_deliveries_of_another_install_are_not_shown(partner: Partner, outsider: Partner) -> None:
    make_endpoint(partner)
    emit_one(partner)
    out, err = io.StringIO(), io.StringIO()
    call_command("deliveries", "--install", outsider.install_id, stdout=out, stderr=err)
    assert out.getvalue() == ""
    assert err.getvalue().startswith("No deliveries found.")


def test_deliveries_of_an_unknown_install_says_how_to_make_one(db: None) -> None:
    with pytest.raises(CommandError, match=r"There is no install ins_0\. Create one with create_install"):
        command("deliveries", "--install", "ins_0")


@pytest.mark.parametrize("subscribed", [["contract.ended"], []])
def test_emit_that_reaches_nobody_says_so(partner: Partner, subscribed: list[str]) -> None:
    for event_type in subscribed:
        make_endpoint(partner, event_types=[event_type])
    out, err = io.StringIO(), io.StringIO()
    call_command("emit", "--install", partner.install_id, "--type", "contract.started", stdout=out, stderr=err)
    assert json.loads(out.getvalue())["deliveries"] == 0
    assert err.getvalue().startswith("contract.started has no deliveries: no endpoint of this install is ACTIVE")
