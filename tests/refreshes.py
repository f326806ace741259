"""Runs the refreshes that pages have queued, as a worker would: `run_queued()`."""

from django.db import connection
from django.utils import timezone

from dashboard.actions.installs import freshness

_TAKE = "DELETE FROM procrastinate_jobs WHERE task_name = %s AND status = 'todo' RETURNING (args->>'install_id')::int"


def queued() -> list[int]:
    """Return the IDs of the installs whose refresh is queued."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (args->>'install_id')::int FROM procrastinate_jobs WHERE task_name = %s AND status = 'todo'"
            " ORDER BY id",
            [freshness.REFRESH],
        )
        return [pk for (pk,) in cursor.fetchall()]


def run_queued() -> list[int]:
    """Run each queued refresh; return the IDs of its installs."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [freshness.REFRESH])
        taken = [pk for (pk,) in cursor.fetchall()]
    for pk in taken:
        freshness.refresh(install_id=pk, now=timezone.now())
    return taken
