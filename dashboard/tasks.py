"""Background jobs, thin: they call actions. Their worker is `manage.py procrastinate worker --queues console`."""

import logging
from datetime import timedelta
from typing import cast

from django.utils import timezone
from procrastinate import JobContext, exceptions
from procrastinate.contrib.django import app
from procrastinate.jobs import Status

from dashboard.actions import installs, retention
from dashboard.actions.retention import Removed
from dashboard.models import Install

logger = logging.getLogger(__name__)
QUEUE = "console"
FINISHED_KEPT = timedelta(days=1)
RETENTION_BUDGET = timedelta(seconds=20)


@app.periodic(cron="* * * * *")
@app.task(queue=QUEUE, queueing_lock="refresh-installs", pass_context=False)
def refresh_installs(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it
    """Keep every install's snapshot no older than a minute, so that an auto-disable is known without a visitor."""
    for install in Install.objects.defer("token").order_by("checked_at"):
        outcome = installs.refresh(install=install, now=timezone.now())
        if outcome is not None:
            logger.warning("install %s was not refreshed: %s", install.pk, outcome.words)


@app.periodic(cron="*/5 * * * *")
@app.task(queue=QUEUE, queueing_lock="tend-jobs", pass_context=True)
async def tend_jobs(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it
    """Re-queue the jobs of workers that died (a killed worker's job stays `doing` for ever), and forget old ones."""
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs(queue=QUEUE):
        try:
            await manager.retry_job(job)
        except exceptions.UniqueViolation:  # the next of its kind is waiting already: it does the same
            await manager.finish_job_by_id_async(job_id=cast("int", job.id), status=Status.ABORTED, delete_job=True)
    await manager.delete_old_jobs(nb_hours=int(FINISHED_KEPT.total_seconds() // 3600), queue=QUEUE, include_failed=True)


@app.periodic(cron="*/2 * * * *")
@app.task(queue=QUEUE, queueing_lock="retain", pass_context=False)
def retain(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it
    """Let what is old leave the delivery log, a little at a time: the worker has other things to do in between."""
    removed = retention.retain(now=timezone.now(), budget=RETENTION_BUDGET)
    if removed != Removed():
        logger.info("retention removed %s", removed)
