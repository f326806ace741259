"""Background jobs. They only call actions. The worker is `manage.py procrastinate worker --queues console`."""

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
from dashboard.actions.handovers import asking, sending
from dashboard.actions.installs import freshness, poller
from dashboard.actions.installs.rounds import Done
from dashboard.actions.reconciliation import sweep
from dashboard.actions.reconciliation.rejudge import Rejudged, rejudge
from dashboard.actions.runs import commands, steps
from dashboard.db.advisory_lock import alone
from dashboard.models import Run
from dashboard.services.bulkhead import Full, Waits

logger = logging.getLogger(__name__)
QUEUE = commands.QUEUE
FINISHED_KEPT = timedelta(days=1)
POLL_BUDGET = timedelta(seconds=50)
SWEEP_BUDGET = timedelta(seconds=50)
REJUDGE_BUDGET = timedelta(seconds=4)
RETENTION_BUDGET = timedelta(seconds=20)
REFRESHES = 8
"""Concurrent page refreshes per worker: fewer than its --concurrency, so other jobs are never held up."""
SENDERS = 2
"""Endpoints per worker to whose handlers missing events are sent at once."""
SEND_BUDGET = timedelta(seconds=30)

_refreshers = ThreadPoolExecutor(REFRESHES, thread_name_prefix="refresh")
_refreshing = Waits()
_senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="handover")
_sending = Waits()


@app.periodic(cron="* * * * * */10")  # the sixth field is seconds; POLL_EVERY_S sets how often each install is polled
@app.task(queue=QUEUE, queueing_lock="poll", pass_context=False)
def poll_installs(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it
    """Keep every install's snapshot fresh, so an auto-disable is detected without a page view."""
    with alone(name="redeliver.poll") as mine:  # otherwise each worker would make POLL_CONCURRENCY calls
        polled = poller.poll(clock=timezone.now, budget=POLL_BUDGET) if mine else Done()
    if polled.failed:
        logger.warning("%d of %d installs were not refreshed", polled.failed, polled.installs)


@app.periodic(cron="* * * * * */5")  # RECONCILE_EVERY_S sets how often each install is read
@app.task(queue=QUEUE, queueing_lock="reconcile", pass_context=False)
def reconcile_installs(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it
    """Read every install's links and contracts, so that an event that never came is noticed."""
    with alone(name="redeliver.reconcile") as mine:
        swept = sweep.sweep(clock=timezone.now, budget=SWEEP_BUDGET) if mine else Done()
    if swept.failed:
        logger.warning("the contracts of %d of %d installs were not read", swept.failed, swept.installs)


@app.task(name=freshness.REFRESH, queue=QUEUE)
async def refresh_install(install_id: int) -> None:
    """Refresh an install that is open on a page.

    It has its own threads, so an OpenTrain that hangs takes only these. When all are busy, the job does nothing, and
    the page requests the refresh again.
    """
    with contextlib.suppress(Full), _refreshing.one(name=str(install_id), most=REFRESHES, most_of_name=1):
        await sync_to_async(_refresh, thread_sensitive=False, executor=_refreshers)(install_id)


@app.periodic(cron="* * * * * */5")
@app.task(queue=QUEUE, queueing_lock="judge-contracts", pass_context=False)
def judge_contracts(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it
    """Update the findings about contracts whose time is over or whose deliveries have changed."""
    with alone(name="redeliver.rejudge") as mine:
        judged = rejudge(clock=timezone.now, budget=REJUDGE_BUDGET) if mine else Rejudged()
    if judged.failed:
        logger.warning("the contracts of %d of %d installs were not judged", judged.failed, judged.installs)


@app.periodic(cron="*/10 * * * *")
@app.task(queue=QUEUE, queueing_lock="notice-silence", pass_context=False)
def notice_silence(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it
    """Record the endpoints whose deliveries have stopped arriving."""
    silence.notice(now=timezone.now())


@app.periodic(cron="* * * * * */10")
@app.task(queue=QUEUE, queueing_lock="watch-alerts", pass_context=False)
def watch_alerts(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it
    """Open and close alerts, and create their messages."""
    watch.watch(now=timezone.now())


@app.periodic(cron="* * * * * */5")
@app.task(queue=QUEUE, queueing_lock="send-alerts", pass_context=False)
def send_alerts(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it
    """Send the messages that are due. One that hangs delays only those of the next few seconds."""
    with alone(name="redeliver.send-alerts") as mine:
        sent = outbox.send_due(clock=timezone.now) if mine else Sent()
    if sent.failed:
        logger.warning("%d of %d alert messages were not sent", sent.failed, sent.failed + sent.sent)


@app.task(name=commands.ADVANCE, queue=QUEUE)
async def advance_run(run_id: int) -> None:
    """Advance a run, and queue its next job: at once, or for the time of the next check.

    Two concurrent jobs of one run do no harm: `steps.advance` lets only one of them work.
    """
    wait = await sync_to_async(_advance, thread_sensitive=False)(run_id)
    if wait is not None:
        await _wake(run_id, later={"schedule_in": {"seconds": wait.total_seconds()}} if wait else {})


@app.periodic(cron="* * * * * */5")
@app.task(queue=QUEUE, queueing_lock="resume-runs")
async def resume_runs(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it
    """Wake every run that has work left: its worker may have been killed, or Redeliver restarted."""
    for run_id in await sync_to_async(_to_advance, thread_sensitive=False)():
        await _wake(run_id, later={})


@app.task(name=asking.SEND, queue=QUEUE)
async def send_handovers(endpoint_id: int) -> None:
    """Send the missing events that wait for an endpoint.

    It has its own threads, so handlers that hang take only these. When all are busy, the job does nothing, and
    `resume_handovers` queues it again.
    """
    with contextlib.suppress(Full), _sending.one(name=str(endpoint_id), most=SENDERS, most_of_name=1):
        await sync_to_async(_send_handovers, thread_sensitive=False, executor=_senders)(endpoint_id)


@app.periodic(cron="* * * * * */5")
@app.task(queue=QUEUE, queueing_lock="resume-handovers", pass_context=False)
def resume_handovers(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it
    """Queue the sending of what waits: its worker may have been killed, or been busy."""
    for endpoint_id in asking.endpoints_waiting():
        asking.wake(endpoint_id=endpoint_id)


@app.periodic(cron="* * * * *")
@app.task(queue=QUEUE, queueing_lock="tend-jobs", pass_context=True)
async def tend_jobs(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it
    """Re-queue the jobs of killed workers, which would stay `doing` forever, and delete old jobs."""
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs(queue=QUEUE):
        try:
            await manager.retry_job(job)
        except exceptions.UniqueViolation:  # the next job of its kind is already queued and does the same
            await manager.finish_job_by_id_async(job_id=cast("int", job.id), status=Status.ABORTED, delete_job=True)
    await manager.delete_old_jobs(nb_hours=int(FINISHED_KEPT.total_seconds() // 3600), queue=QUEUE, include_failed=True)


@app.periodic(cron="*/2 * * * *")
@app.task(queue=QUEUE, queueing_lock="retain", pass_context=False)
def retain(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it
    """Delete old rows of the delivery log, a few at a time, so the worker can do other jobs in between."""
    removed = retention.retain(now=timezone.now(), budget=RETENTION_BUDGET)
    watch.forget(now=timezone.now())
    accounts.forget_ended(now=timezone.now())
    if removed != Removed():
        logger.info("retention removed %s", removed)


async def _wake(run_id: int, *, later: dict[str, Any]) -> None:
    """Queue the run's next job, unless one is already queued."""
    job = advance_run.configure(queueing_lock=commands.lock_of(run_id=run_id), **later)
    with contextlib.suppress(exceptions.AlreadyEnqueued):
        await job.defer_async(run_id=run_id)


def _refresh(install_id: int) -> None:
    try:
        freshness.refresh(install_id=install_id, now=timezone.now())
    finally:
        connections.close_all()


def _send_handovers(endpoint_id: int) -> None:
    try:
        sending.send_waiting(endpoint_id=endpoint_id, clock=timezone.now, budget=SEND_BUDGET)
    finally:
        connections.close_all()


def _advance(run_id: int) -> timedelta | None:
    try:
        return steps.advance(run_id=run_id, clock=timezone.now)
    finally:
        connections.close_all()  # this thread's; the thread may not be used again


def _to_advance() -> list[int]:
    try:
        return list(Run.objects.to_advance().values_list("pk", flat=True))
    finally:
        connections.close_all()
