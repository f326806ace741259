"""Health checks of background processes: exact to the second, and bounded."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from procrastinate.contrib.django import app

from dashboard import tasks
from dashboard.models import Reconciliation
from dashboard.queries import health_checks
from dashboard.queries.health_checks import Queue
from dashboard.rules.deliveries import Standing
from tests.factories import NOON, make_delivery, make_failed_delivery, make_install

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def execute(sql: str, *arguments: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)


def test_worker_is_as_old_as_the_newest_heartbeat() -> None:
    execute("DELETE FROM procrastinate_workers")
    assert health_checks.worker_age(now=NOON) is None
    for age in (MINUTE, 3 * MINUTE):
        execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (%s)", NOON - age)
    assert health_checks.worker_age(now=NOON) == MINUTE


def test_poller_is_as_late_as_the_install_that_is_due_longest() -> None:
    assert health_checks.poller_lateness(now=NOON) == timedelta()
    make_install(poll_after=NOON + MINUTE)
    assert health_checks.poller_lateness(now=NOON) == timedelta()
    make_install(poll_after=NOON - MINUTE)
    make_install(poll_after=NOON - 5 * MINUTE)
    assert health_checks.poller_lateness(now=NOON) == 5 * MINUTE


def test_sweep_is_as_late_as_the_install_that_is_due_longest() -> None:
    assert health_checks.sweep_lateness(now=NOON) == timedelta()
    for minutes in (1, -1, -5):
        Reconciliation.objects.create(install=make_install(), due_at=NOON + minutes * MINUTE)
    assert health_checks.sweep_lateness(now=NOON) == 5 * MINUTE


def test_install_that_was_never_polled_is_due_from_its_connection_on() -> None:
    install = make_install()
    assert health_checks.poller_lateness(now=install.connected_at + MINUTE) == MINUTE


def test_queue_counts_what_is_due_and_says_for_how_long() -> None:
    execute("DELETE FROM procrastinate_jobs")
    now = timezone.now()
    assert health_checks.queue(now=now, name="console") == Queue(0, timedelta())
    for name, due in (("console", -2 * MINUTE), ("console", -MINUTE), ("console", MINUTE), ("other", -9 * MINUTE)):
        execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args, scheduled_at)"
            " VALUES (%s, 'x', 0, '{}', %s)",
            name,
            now + due,
        )
    assert health_checks.queue(now=now, name="console") == Queue(2, 2 * MINUTE)
    execute("UPDATE procrastinate_jobs SET status = 'doing' WHERE scheduled_at < %s", now - 1.5 * MINUTE)
    assert health_checks.queue(now=now, name="console") == Queue(1, MINUTE)


def test_job_without_a_time_is_due_since_it_was_queued() -> None:
    execute("DELETE FROM procrastinate_jobs")
    app.configure_task(tasks.advance_run.name, queue="console").defer(run_id=0)
    found = health_checks.queue(now=timezone.now() + 9 * MINUTE, name="console")
    assert found.depth == 1
    assert 8 * MINUTE < found.oldest < 11 * MINUTE


def test_deliveries_that_are_done_with_are_not_counted_and_no_standing_beyond_its_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_delivery()
    for _ in range(3):
        make_failed_delivery()
    make_delivery(last_ok=False)
    expected = {Standing.RETRYING: 1, Standing.FAILED: 3, Standing.REQUESTED_AGAIN: 0}
    assert health_checks.standings() == expected
    monkeypatch.setattr(health_checks, "METRIC_COUNT_LIMIT", 2)
    assert health_checks.standings() == expected | {Standing.FAILED: 2}


def test_estimate_is_what_postgresql_saw_last() -> None:
    for _ in range(3):
        make_delivery()
    execute("ANALYZE dashboard_delivery")
    assert health_checks.deliveries_estimate() == 3


def test_migrations_that_the_database_lacks_are_pending_and_newer_ones_do_no_harm() -> None:
    assert health_checks.pending_migrations() == 0
    recorder = MigrationRecorder(connection)
    recorder.record_applied("dashboard", "9999_of_a_later_version")
    assert health_checks.pending_migrations() == 0
    recorder.record_unapplied("dashboard", "0001_initial")
    assert health_checks.pending_migrations() == 1


def test_write_goes_into_the_log_and_takes_room_on_the_disk() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_insert_lsn()")
        before = cursor.fetchone()
        assert health_checks.why_no_write() == ""
        cursor.execute("SELECT pg_current_wal_insert_lsn() > %s::pg_lsn", before)
        assert cursor.fetchone() == (True,)
    execute("SET LOCAL temp_file_limit = '200kB'")
    with pytest.raises(OperationalError, match="temporary file size exceeds"):
        health_checks.why_no_write()


def test_write_to_a_database_that_only_reads_says_so() -> None:
    execute("SET TRANSACTION READ ONLY")
    assert health_checks.why_no_write() == "the database is read-only"


def test_write_to_a_full_disk_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """As PostgreSQL says it; tests/launch fills a real disk."""
    full = "DO $$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
    monkeypatch.setattr(health_checks, "_WRITE", full)
    assert health_checks.why_no_write() == "the disk of the database is full"
