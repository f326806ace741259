"""Commands on runs: start, pause, resume, stop, and continue with what is left.

steps.py has the work of a run. A command only changes the run's state, by compare-and-set. The worker checks the state
before each call, so at most the call in progress is still made.
"""

import contextlib
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from procrastinate import exceptions
from procrastinate.contrib.django import app

from dashboard.actions import audit
from dashboard.actions.runs import items
from dashboard.models import Delivery, Endpoint, Run, RunItem, User
from dashboard.models.deliveries import DeliveryQuerySet
from dashboard.rules.outside_texts import cut, storable
from dashboard.rules.runs import BULK_STEPS, ONE_CALL_STEPS, LeftOut, Step

ADVANCE = "advance-run"
"""Name of the job that advances a run (dashboard/tasks.py)."""
QUEUE = "console"
CHOSEN_CHARS, NOTE_CHARS = 500, 300
_UNCHECKED = "Started without the check of the handler."


class AlreadyRunning(Exception):
    """The endpoint already has an active run, `run`. An endpoint has at most one."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"Run {run.pk} is active on this endpoint.")
        self.run = run


class NothingLeft(Exception):
    """No delivery is left to request: each was delivered, requested again, or deleted."""


def start_recovery(
    *,
    actor: User,
    endpoint: Endpoint,
    note: str,
    now: datetime,
    operation: uuid.UUID,
    checks_handler: bool = True,
) -> Run:
    """Start a recovery of the endpoint with all known failed deliveries. The newest is the canary and goes first.

    `checks_handler=False` leaves out the check of the handler, which some handlers fail although they take deliveries.

    Raises: AlreadyRunning.
    """
    failed = list(_in_order(endpoint.deliveries.failed()))
    return _start(
        Run(
            kind=Run.Kind.RECOVERY,
            endpoint=endpoint,
            actor=actor,
            note=note,
            chosen="all failed deliveries of the endpoint",
            created_at=now,
            operation=operation,
            step=Step.PROBE if checks_handler else Step.ENABLE,
        ),
        deliveries=failed[-1:] + failed[:-1],
    )


def start_bulk(
    *,
    actor: User,
    endpoint: Endpoint,
    deliveries: DeliveryQuerySet,
    filter_text: str,
    note: str,
    now: datetime,
    operation: uuid.UUID,
    include_delivered: bool = False,
    one_call: bool = False,
    batch: uuid.UUID | None = None,
) -> Run:
    """Start a redelivery of those `deliveries` that belong to the endpoint, oldest first.

    `filter_text` describes them in words. Deliveries that are already requested are left out, and delivered ones too
    unless `include_delivered`. `one_call` requests all failed deliveries of the endpoint with one call; use it only if
    `deliveries` are exactly these. Runs that are started together share `batch`.

    Raises: AlreadyRunning, NothingLeft.
    """
    mine = _in_order(deliveries.filter(endpoint=endpoint))
    chosen, left_out = split(deliveries=mine, include_delivered=include_delivered)
    same = Run.objects.filter(operation=operation).first()
    if same is not None:
        return same
    if not chosen:
        raise NothingLeft
    return _start(
        Run(
            kind=Run.Kind.BULK,
            endpoint=endpoint,
            actor=actor,
            note=note,
            chosen=cut(filter_text, most=CHOSEN_CHARS),
            created_at=now,
            operation=operation,
            batch=batch,
            one_call=one_call,
            step=(ONE_CALL_STEPS if one_call else BULK_STEPS)[0],
        ),
        deliveries=chosen,
        left_out=left_out,
    )


def split(
    *, deliveries: Iterable[Delivery], include_delivered: bool
) -> tuple[list[Delivery], list[tuple[Delivery, LeftOut]]]:
    """Return the deliveries that a run requests, and those that it leaves out, each with the reason."""
    chosen: list[Delivery] = []
    left_out: list[tuple[Delivery, LeftOut]] = []
    for one in deliveries:
        if one.requested_at is not None:
            left_out.append((one, LeftOut.REQUESTED))
        elif one.last_ok and not include_delivered:
            left_out.append((one, LeftOut.DELIVERED))
        else:
            chosen.append(one)
    return chosen, left_out


def continue_run(*, actor: User, run: Run, now: datetime, operation: uuid.UUID) -> Run:
    """Start a new run with the deliveries that an ended run has not requested. A recovery starts a new recovery.

    Raises: AlreadyRunning, NothingLeft.
    """
    if run.kind == Run.Kind.RECOVERY:
        return start_recovery(actor=actor, endpoint=run.endpoint, note=run.note, now=now, operation=operation)
    left = RunItem.objects.filter(run=run, delivery=OuterRef("pk"), state=RunItem.State.WAITING)
    return start_bulk(
        actor=actor,
        endpoint=run.endpoint,
        deliveries=Delivery.objects.filter(Exists(left)),
        filter_text=f"deliveries not requested by run {run.pk} ({run.chosen})",
        note=run.note,
        now=now,
        operation=operation,
        include_delivered=True,
    )


def stop(*, actor: User, run: Run, now: datetime) -> bool:
    """End an active run; requested deliveries stay requested. Return False if it had already ended."""
    state = Run.State.STOPPED if run.kind == Run.Kind.RECOVERY else Run.State.CANCELLED
    why = f"{state.label} by {actor.get_username()}."
    active = Run.objects.filter(pk=run.pk).active()
    with transaction.atomic():
        ended = bool(active.update(state=state, why=why, by_person=True, ended_at=now, waiting_for="", not_before=None))
        if ended:
            run.steps.filter(ended_at=None).update(ended_at=now, ok=False, words=why)
            _note(run, actor, "stop run")
            _wake_after_commit(run.pk)  # requested deliveries are still followed
    return ended


def pause(*, actor: User, run: Run) -> bool:
    """Pause a run: request nothing more until it is resumed. Return False if it was not running."""
    running = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING)
    with transaction.atomic():
        why = f"Paused by {actor.get_username()}."
        paused = bool(running.update(state=Run.State.PAUSED, why=why, by_person=True))
        if paused:
            _note(run, actor, "pause run")
    return paused


def resume(*, actor: User, run: Run) -> bool:
    """Resume a paused run at once. Return False if it was not paused."""
    paused = Run.objects.filter(pk=run.pk, state=Run.State.PAUSED)
    with transaction.atomic():
        resumed = paused.update(
            state=Run.State.RUNNING, why="", by_person=False, waiting_for="", not_before=None, failed_calls=0
        )
        if resumed:
            _note(run, actor, "resume run")
            _wake_after_commit(run.pk)
    return bool(resumed)


def wake(*, run_id: int) -> None:
    """Queue a job that advances the run now, unless one is already queued."""
    with contextlib.suppress(exceptions.AlreadyEnqueued):
        job = app.configure_task(ADVANCE, queue=QUEUE, queueing_lock=lock_of(run_id=run_id))
        job.defer(run_id=run_id)


def lock_of(*, run_id: int) -> str:
    """Return the queueing lock that allows one queued job per run."""
    return f"{ADVANCE}-{run_id}"


def _start(run: Run, *, deliveries: Sequence[Delivery], left_out: Sequence[tuple[Delivery, LeftOut]] = ()) -> Run:
    actor = run.actor
    run.actor_name = actor.get_username() if actor else ""
    run.note = storable(run.note, most=NOTE_CHARS)
    run.pace_ms = settings.RUN_PACE_MS
    try:
        with transaction.atomic():
            run.save()
            items.add(run=run, deliveries=deliveries, left_out=left_out)
            items.count(run=run)
            if run.step == Step.ENABLE:
                run.steps.create(name=Step.PROBE, began_at=run.created_at, ended_at=run.created_at, words=_UNCHECKED)
            _note(run, actor, "start run", _started_words(run))
    except IntegrityError:
        return _earlier(run)
    _wake_after_commit(run.pk)
    return run


def _started_words(run: Run) -> str:
    unchecked = f" {_UNCHECKED}" if run.step == Step.ENABLE else ""
    return f" Requested: {run.chosen}.{unchecked}" + (f" Note: {run.note}" if run.note else "")


def _note(run: Run, actor: User | None, action: str, more: str = "") -> None:
    words = f"{run.get_kind_display()} #{run.pk}.{more}"
    audit.note(actor=actor, action=action, words=words, endpoint=run.endpoint, actor_name=run.actor_name)


def _earlier(run: Run) -> Run:
    """Return the run that an earlier submission of the form started. Raises: AlreadyRunning for any other run."""
    same = Run.objects.filter(operation=run.operation).first()
    if same is not None:
        return same
    # The newest run is the active one, unless it has just ended.
    raise AlreadyRunning(Run.objects.filter(endpoint=run.endpoint).latest("id"))


def _wake_after_commit(run_id: int) -> None:
    transaction.on_commit(lambda: wake(run_id=run_id))


def _in_order(deliveries: DeliveryQuerySet) -> DeliveryQuerySet:
    """Return the deliveries in order of arrival, oldest first, without their bodies."""
    return deliveries.order_by("first_received_at", "id").defer("body")
