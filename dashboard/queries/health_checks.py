"""Health checks for background parts: migrations, worker, poller, sweep, queue. Each is one short query."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from django.db import OperationalError, connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from psycopg.errors import DiskFull

from dashboard.rules.deliveries import Standing

WORKER_SILENT_AFTER = timedelta(seconds=60)
"""A worker without a heartbeat for this long counts as gone; each sends one every 10 s."""
METRIC_COUNT_LIMIT = 10_000
"""Maximum number of deliveries to count per standing: a scrape must not read the whole table."""

# The message is a record in the transaction log without a table, and the commit waits for it as for any other. The
# numbers exceed work_mem, so PostgreSQL puts them into a temporary file: on a full disk, tables cannot grow, although
# the log may still have room for a while.
_WRITE = "SELECT pg_logical_emit_message(true, 'redeliver', 'readyz'), count(*) FROM generate_series(1, 20000)"

_WORKER = "SELECT extract(epoch FROM %s - max(last_heartbeat))::float8 FROM procrastinate_workers"
# Uses the index install_due.
_POLLER = """
    SELECT extract(epoch FROM %(now)s - least(
        (SELECT min(poll_after) FROM dashboard_install),
        (SELECT min(connected_at) FROM dashboard_install WHERE poll_after IS NULL AND disconnected_at IS NULL)
    ))::float8
"""
# Uses the index reconciliation_due. An install without a row is entered by the next sweep.
_SWEEP = "SELECT extract(epoch FROM %s - min(due_at))::float8 FROM dashboard_reconciliation"
_QUEUE = """
    SELECT count(*), coalesce(extract(epoch FROM %(now)s - min(coalesce(job.scheduled_at, event.at))), 0)::float8
    FROM procrastinate_jobs AS job
    LEFT JOIN procrastinate_events AS event ON event.job_id = job.id AND event.type = 'deferred'
    WHERE job.queue_name = %(queue)s AND job.status = 'todo'
        AND (job.scheduled_at IS NULL OR job.scheduled_at <= %(now)s)
"""
_STANDING = "SELECT count(*) FROM (SELECT FROM dashboard_delivery WHERE standing = %s LIMIT %s) AS counted"
_ESTIMATE = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'dashboard_delivery'::regclass"


@dataclass(frozen=True, slots=True)
class Queue:
    """The number of due jobs that have not started, and how long the oldest has been due."""

    depth: int
    oldest: timedelta


def why_no_write() -> str:
    """Write something that leaves no trace, about 300 kB; return why that fails, or "".

    Raises: OperationalError, InterfaceError if the database does not answer.
    """
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL work_mem = '64kB'")
            cursor.execute("SELECT current_setting('transaction_read_only')")
            if cursor.fetchone() == ("on",):
                return "the database is read-only"
            cursor.execute(_WRITE)
    except OperationalError as error:
        if not isinstance(error.__cause__, DiskFull):
            raise
        return "the disk of the database is full"
    return ""


def pending_migrations() -> int:
    """Return how many of this code's migrations are not applied. Newer migrations in the database do no harm."""
    applied = MigrationRecorder(connection).applied_migrations()
    return len(_on_disk() - applied.keys())


@lru_cache(maxsize=1)
def _on_disk() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None).disk_migrations or {})


def worker_age(*, now: datetime) -> timedelta | None:
    """Return the time since the last heartbeat of any worker (each sends one every 10 s); None without a worker.

    Reads Procrastinate's table. If the Partner API shares the console's database, its worker is included.
    """
    return _span(_value(_WORKER, [now]))


def has_worker(*, now: datetime) -> bool:
    """Return whether any worker has sent a heartbeat recently."""
    age = worker_age(now=now)
    return age is not None and age <= WORKER_SILENT_AFTER


def poller_lateness(*, now: datetime) -> timedelta:
    """Return how long the most overdue install has been due for polling; zero if none is due."""
    late = _span(_value(_POLLER, {"now": now}))
    return max(late or timedelta(), timedelta())


def sweep_lateness(*, now: datetime) -> timedelta:
    """Return how long the most overdue install has been due for reading its contracts; zero if none is due."""
    late = _span(_value(_SWEEP, [now]))
    return max(late or timedelta(), timedelta())


def queue(*, now: datetime, name: str) -> Queue:
    with connection.cursor() as cursor:
        cursor.execute(_QUEUE, {"now": now, "queue": name})
        depth, oldest_s = cursor.fetchone()
    return Queue(depth, timedelta(seconds=max(oldest_s, 0)))


def standings() -> dict[Standing, int]:
    """Return the number of deliveries per standing, up to METRIC_COUNT_LIMIT each, without DELIVERED."""
    left = [standing for standing in Standing if standing is not Standing.DELIVERED]
    return {standing: int(_value(_STANDING, [standing.value, METRIC_COUNT_LIMIT])) for standing in left}


def deliveries_estimate() -> int:
    """Return PostgreSQL's estimate of the number of deliveries in the log."""
    return int(_value(_ESTIMATE, []))


def _value(sql: str, arguments: object) -> float:
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)  # type: ignore[arg-type]
        row = cursor.fetchone()
    return row[0]  # type: ignore[no-any-return]


def _span(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
