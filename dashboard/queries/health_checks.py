"""What tells whether the parts that work unseen do: migrations, worker, poller, queue. Each is one short query."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from dashboard.rules.deliveries import Standing

WORKER_SILENT_AFTER = timedelta(seconds=60)
"""A worker says every 10 s that it is alive."""
METRIC_COUNT_LIMIT = 10_000
"""At most so many deliveries of a standing are counted: a scrape must not read a table."""

_WORKER = "SELECT extract(epoch FROM %s - max(last_heartbeat))::float8 FROM procrastinate_workers"
# By the index install_due, whose first rows are those without a time.
_POLLER = """
    SELECT extract(epoch FROM %(now)s - least(
        (SELECT min(poll_after) FROM dashboard_install),
        (SELECT min(connected_at) FROM dashboard_install WHERE poll_after IS NULL)
    ))::float8
"""
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
    """Jobs that are due and not begun, and for how long the oldest of them has been."""

    depth: int
    oldest: timedelta


def pending_migrations() -> int:
    """Return how many migrations of this code the database does not have. Newer ones that it has do no harm."""
    applied = MigrationRecorder(connection).applied_migrations()
    return len(_on_disk() - applied.keys())


@lru_cache(maxsize=1)
def _on_disk() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None).disk_migrations or {})


def worker_age(*, now: datetime) -> timedelta | None:
    """Return how long ago a worker last said that it is alive (each does every 10 s); None when there is none.

    It is Procrastinate's own table. Where the Partner API shares the console's database, its worker is seen here too.
    """
    return _span(_value(_WORKER, [now]))


def has_worker(*, now: datetime) -> bool:
    """Tell whether a worker has said lately that it is alive."""
    age = worker_age(now=now)
    return age is not None and age <= WORKER_SILENT_AFTER


def poller_lateness(*, now: datetime) -> timedelta:
    """Return for how long the install that has waited longest has been due; zero when none is."""
    late = _span(_value(_POLLER, {"now": now}))
    return max(late or timedelta(), timedelta())


def queue(*, now: datetime, name: str) -> Queue:
    with connection.cursor() as cursor:
        cursor.execute(_QUEUE, {"now": now, "queue": name})
        depth, oldest_s = cursor.fetchone()
    return Queue(depth, timedelta(seconds=max(oldest_s, 0)))


def standings() -> dict[Standing, int]:
    """Return how many deliveries stand how, METRIC_COUNT_LIMIT at most of each, without those that are done with."""
    left = [standing for standing in Standing if standing is not Standing.DELIVERED]
    return {standing: int(_value(_STANDING, [standing.value, METRIC_COUNT_LIMIT])) for standing in left}


def deliveries_estimate() -> int:
    """Return about how many deliveries are in the log, as of PostgreSQL's last look."""
    return int(_value(_ESTIMATE, []))


def _value(sql: str, arguments: object) -> float:
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)  # type: ignore[arg-type]
        row = cursor.fetchone()
    return row[0]  # type: ignore[no-any-return]


def _span(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
