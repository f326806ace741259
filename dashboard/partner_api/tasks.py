"""The engine as periodic jobs of `manage.py procrastinate --settings dashboard.partner_api.settings worker`.

(In this order: Procrastinate's sub-commands know nothing of Django's options.)

Procrastinate's cron follows the host's wall clock, and waits for an hour where that is set back by an hour. So each
worker has a pulse on its monotonic clock too, which asks for a run where none has begun for two intervals.

A queueing lock keeps one run waiting at most, however slow the one before is; workers on other hosts may each have one
under way, and share what is due. Procrastinate leaves the job of a killed worker in `doing` for ever: `requeue_stalled`
sees to those.
"""

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass

from procrastinate import JobContext, exceptions
from procrastinate.contrib.django import app
from procrastinate.jobs import Status

from dashboard.partner_api import conf, engine

logger = logging.getLogger(__name__)

QUEUE = "partner_api"
KEEP_FINISHED_H = 24


@dataclass(slots=True)
class _Pulse:
    """When a run last began in this process, by the monotonic clock; and the task that watches over it."""

    began: float = 0.0
    watch: asyncio.Task[None] | None = None

    def beat(self) -> None:
        self.began = time.monotonic()
        if self.watch is None or self.watch.done():
            self.watch = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        interval_s = conf.knobs().run_interval.total_seconds()
        while True:
            await asyncio.sleep(interval_s)
            if time.monotonic() - self.began > 2 * interval_s:
                with contextlib.suppress(
                    exceptions.ConnectorException
                ):  # the database is away: the next beat asks again
                    await _ask_for_a_run(timestamp=int(time.time()))


_pulse = _Pulse()


async def _ask_for_a_run(*, timestamp: int) -> None:
    """Put a run in the queue unless one waits there already."""
    with contextlib.suppress(exceptions.AlreadyEnqueued):
        await deliver.configure(task_kwargs={"timestamp": timestamp}).defer_async()


@app.periodic(cron=conf.cron(interval=conf.knobs().run_interval))
@app.task(name="partner_api.deliver", queue=QUEUE, queueing_lock="partner_api.deliver")
async def deliver(timestamp: int) -> None:
    """Make a delivery run; when its time was up before the work was done, ask for the next one at once."""
    _pulse.beat()
    report = await engine.run()
    if report.attempted:
        logger.info("Delivery run: %d attempted, %d delivered", report.attempted, report.delivered)
    if report.unfinished:
        await _ask_for_a_run(timestamp=timestamp)


@app.periodic(cron="* * * * *")
@app.task(
    name="partner_api.requeue_stalled", queue=QUEUE, queueing_lock="partner_api.requeue_stalled", pass_context=True
)
async def requeue_stalled(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 - Procrastinate's signature
    """Run again what a killed worker left behind, or drop it where the next of its kind is waiting already."""
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs(queue=QUEUE):
        assert job.id is not None  # noqa: S101 - it comes from the table
        try:
            await manager.retry_job(job)
        except exceptions.UniqueViolation:
            await manager.finish_job_by_id_async(job_id=job.id, status=Status.ABORTED, delete_job=True)
        logger.warning("Job %d (%s) had lost its worker", job.id, job.task_name)


@app.periodic(cron="17 * * * *")
@app.task(name="partner_api.purge", queue=QUEUE, queueing_lock="partner_api.purge", pass_context=True)
async def purge(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 - Procrastinate's signature
    """Delete finished jobs after a day; those that succeeded are deleted when they end."""
    await context.app.job_manager.delete_old_jobs(
        nb_hours=KEEP_FINISHED_H, queue=QUEUE, include_failed=True, include_cancelled=True, include_aborted=True
    )
