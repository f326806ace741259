"""The refreshes that pages have requested, done as a worker would: `run_queued()`."""

from django.db import connection
from django.utils import timezone

from dashboard.actions.installs import freshness

_TAKE = "DELETE FROM procrastinate_jobs WHERE task_name = %s AND status = 'todo' RETURNING (args->>'install_id')::int"


def queued() -> list[int]:
    """Return the installs whose refresh waits for a worker."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (args->>'install_id')::int FROM procrastinate_jobs WHERE task_name = %s AND status = 'todo'"
            " ORDER BY id",
            [freshness.REFRESH],
        )
        return [pk for (pk,) in cursor.fetchall()]


def run_queued() -> list[int]:
    """Do each refresh that waits; return whose."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [freshness.REFRESH])
        taken = [pk for (pk,) in cursor.fetchall()]
    for pk in taken:
        freshness.refresh(install_id=pk, now=timezone.now())
    return taken
