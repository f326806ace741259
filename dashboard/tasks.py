"""Background jobs, thin: they call actions. Their worker is `manage.py procrastinate worker --queues console`."""

import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.db import connections
from django.utils import timezone
from procrastinate import JobContext, exceptions
from procrastinate.contrib.django import app
from procrastinate.jobs import Status

from dashboard.actions import accounts, silence
from dashboard.actions.alerts import outbox, watch
from dashboard.actions.alerts.outbox import Sent
from dashboard.actions.deliveries import retention
from dashboard.actions.deliveries.retention import Removed
from dashboard.actions.installs import freshness, poller
from dashboard.actions.installs.poller import Polled
from dashboard.actions.runs import commands, steps
from dashboard.db.advisory_lock import alone
from dashboard.models import Run
from dashboard.services.bulkhead import Full, Waits

logger = logging.getLogger(__name__)
QUEUE = commands.QUEUE
FINISHED_KEPT = timedelta(days=1)
POLL_BUDGET = timedelta(seconds=50)
RETENTION_BUDGET = timedelta(seconds=20)
REFRESHES = 8
"""Refreshes for pages at once in one worker: fewer than its --concurrency, so that other jobs are never held up."""

_refreshers = ThreadPoolExecutor(REFRESHES, thread_name_prefix="refresh")
_refreshing = Waits()


@app.periodic(cron="* * * * * */10")  # the sixth is seconds; how often an install is asked is POLL_EVERY_S
@app.task(queue=QUEUE, queueing_lock="poll", pass_context=False)
def poll_installs(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it
    """Keep every install's snapshot young, so that an auto-disable is known without a visitor."""
    with alone(name="redeliver.poll") as mine:  # or each worker would have POLL_CONCURRENCY calls of its own
        polled = poller.poll(clock=timezone.now, budget=POLL_BUDGET) if mine else Polled()
    if polled.failed:
        logger.warning("%d of %d installs were not refreshed", polled.failed, polled.installs)


@app.task(name=freshness.REFRESH, queue=QUEUE)
async def refresh_install(install_id: int) -> None:
    """Refresh an install that somebody has open.

    In threads of its own: where OpenTrain hangs, these are taken and no others. When all of them are, nothing is done,
    and the page requests it again.
    """
    with contextlib.suppress(Full), _refreshing.one(name=str(install_id), most=REFRESHES, most_of_name=1):
        await sync_to_async(_refresh, thread_sensitive=False, executor=_refreshers)(install_id)


@app.periodic(cron="*/10 * * * *")
@app.task(queue=QUEUE, queueing_lock="notice-silence", pass_context=False)
def notice_silence(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it
    """Find the endpoints whose deliveries have stopped coming."""
    silence.notice(now=timezone.now())


@app.periodic(cron="* * * * * */10")
@app.task(queue=QUEUE, queueing_lock="watch-alerts", pass_context=False)
def watch_alerts(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it
    """Open and end alerts, and make the messages that tell of them."""
    watch.watch(now=timezone.now())


@app.periodic(cron="* * * * * */5")
@app.task(queue=QUEUE, queueing_lock="send-alerts", pass_context=False)
def send_alerts(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it
    """Send the messages that are due; one that hangs holds up the next few seconds' and nothing else."""
    with alone(name="redeliver.send-alerts") as mine:
        sent = outbox.send_due(clock=timezone.now) if mine else Sent()
    if sent.failed:
        logger.warning("%d of %d alert messages were not taken", sent.failed, sent.failed + sent.sent)


@app.task(name=commands.ADVANCE, queue=QUEUE)
async def advance_run(run_id: int) -> None:
    """Do a run's next bit, and see to it that the one after comes: at once, or when there is something to look at.

    Two of a run's at once do no harm: `run_steps` lets one of them in.
    """
    wait = await sync_to_async(_advance, thread_sensitive=False)(run_id)
    if wait is not None:
        await _wake(run_id, later={"schedule_in": {"seconds": wait.total_seconds()}} if wait else {})


@app.periodic(cron="* * * * * */5")
@app.task(queue=QUEUE, queueing_lock="resume-runs")
async def resume_runs(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it
    """Wake every run that has something to come: its worker may have been killed, or all of us restarted."""
    for run_id in await sync_to_async(_to_advance, thread_sensitive=False)():
        await _wake(run_id, later={})


@app.periodic(cron="* * * * *")
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
    watch.forget(now=timezone.now())
    accounts.forget_ended(now=timezone.now())
    if removed != Removed():
        logger.info("retention removed %s", removed)


async def _wake(run_id: int, *, later: dict[str, Any]) -> None:
    """Queue the run's next bit, unless one is queued already."""
    job = advance_run.configure(queueing_lock=commands.lock_of(run_id=run_id), **later)
    with contextlib.suppress(exceptions.AlreadyEnqueued):
        await job.defer_async(run_id=run_id)


def _refresh(install_id: int) -> None:
    try:
        freshness.refresh(install_id=install_id, now=timezone.now())
    finally:
        connections.close_all()


def _advance(run_id: int) -> timedelta | None:
    try:
        return steps.advance(run_id=run_id, clock=timezone.now)
    finally:
        connections.close_all()  # this thread's; it may not come by again


def _to_advance() -> list[int]:
    try:
        return list(Run.objects.to_advance().values_list("pk", flat=True))
    finally:
        connections.close_all()
