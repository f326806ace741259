"""The engine as periodic jobs of `manage.py procrastinate --settings dashboard.partner_api.settings worker`.

(In this order: Procrastinate's subcommands do not accept Django's options.)

Procrastinate's cron follows the host's wall clock, and pauses for an hour if that is set back by an hour. So each
worker also has a pulse on its monotonic clock, which queues a run if none has started for two intervals.

A queueing lock allows at most one waiting run, even if the current one is slow. Workers on other hosts may each run one
and share the due deliveries. Procrastinate leaves the job of a killed worker in `doing` forever; `requeue_stalled`
requeues it.
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
    """When a run last started in this process (monotonic time, in seconds), and the task that checks it."""

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
                ):  # the database is unavailable: the next check tries again
                    await _ask_for_a_run(timestamp=int(time.time()))


_pulse = _Pulse()


async def _ask_for_a_run(*, timestamp: int) -> None:
    """Queue a run unless one is already waiting."""
    with contextlib.suppress(exceptions.AlreadyEnqueued):
        await deliver.configure(task_kwargs={"timestamp": timestamp}).defer_async()


@app.periodic(cron=conf.cron(interval=conf.knobs().run_interval))
@app.task(name="partner_api.deliver", queue=QUEUE, queueing_lock="partner_api.deliver")
async def deliver(timestamp: int) -> None:
    """Make a delivery run. If its time budget ends before the work is done, queue the next one at once."""
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
    """Requeue the jobs of killed workers, or delete them if the next job of their kind is already waiting."""
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs(queue=QUEUE):
        assert job.id is not None  # noqa: S101 - it comes from the table
        try:
            await manager.retry_job(job)
        except exceptions.UniqueViolation:
            await manager.finish_job_by_id_async(job_id=job.id, status=Status.ABORTED, delete_job=True)
        logger.warning("The worker of job %d (%s) is gone", job.id, job.task_name)


@app.periodic(cron="17 * * * *")
@app.task(name="partner_api.purge", queue=QUEUE, queueing_lock="partner_api.purge", pass_context=True)
async def purge(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 - Procrastinate's signature
    """Delete failed, cancelled and aborted jobs after a day. Successful jobs are deleted when they end."""
    await context.app.job_manager.delete_old_jobs(
        nb_hours=KEEP_FINISHED_H, queue=QUEUE, include_failed=True, include_cancelled=True, include_aborted=True
    )
