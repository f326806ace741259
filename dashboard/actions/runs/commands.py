"""Commands on runs: start, pause, resume, stop, and continue with what is left.

steps.py has the work of a run. A command only changes the run's state, by compare-and-set. The worker checks the state
before each call, so at most the call in progress is still made.
"""

import contextlib
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from procrastinate import exceptions
from procrastinate.contrib.django import app

from dashboard.actions import audit
from dashboard.actions.runs import items
from dashboard.logs import redact
from dashboard.models import Delivery, Endpoint, Run, RunItem, User
from dashboard.models.deliveries import DeliveryQuerySet
from dashboard.queries.overtaken import event_of, overtaken
from dashboard.rules.event_order import Other, in_order, waits
from dashboard.rules.outside_texts import cut, storable
from dashboard.rules.runs import BULK_STEPS, ONE_CALL_STEPS, LeftOut, Step

ADVANCE = "advance-run"
"""Name of the job that advances a run (dashboard/tasks.py)."""
QUEUE = "console"
START, PAUSE, RESUME, STOP = "start run", "pause run", "resume run", "stop run"
"""Names of these actions in the audit."""
CHOSEN_CHARS, NOTE_CHARS = 500, 300
_UNCHECKED = "Started without the check of the handler."


class AlreadyRunning(Exception):
    """The endpoint already has an active run, `run`. An endpoint has at most one."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"Run {run.pk} is active on this endpoint.")
        self.run = run


class NothingLeft(Exception):
    """No delivery is left to request: each was delivered, requested again, overtaken, or deleted."""


@dataclass(frozen=True, slots=True)
class Split:
    """The deliveries that a run requests, in order, and those that it leaves out, each with the reason.

    `overtaken_by` has what has overtaken a delivery, by its primary key. Those of `chosen` were chosen all the same.
    """

    chosen: list[Delivery]
    left_out: list[tuple[Delivery, LeftOut]]
    overtaken_by: Mapping[int, Other]

    @property
    def overtaken(self) -> list[Delivery]:
        """The deliveries that are left out because a later event has overtaken them."""
        return [one for one, reason in self.left_out if reason is LeftOut.OVERTAKEN]


def start_recovery(
    *,
    actor: User,
    endpoint: Endpoint,
    note: str,
    now: datetime,
    operation: uuid.UUID,
    checks_handler: bool = True,
    include_overtaken: bool = False,
) -> Run:
    """Start a recovery of the endpoint with all known failed deliveries. The oldest safe one is the canary.

    `checks_handler=False` leaves out the check of the handler, which some handlers fail although they take deliveries.
    Overtaken deliveries are left out unless `include_overtaken`.

    Raises: AlreadyRunning.
    """
    found = split(deliveries=_in_order(endpoint.deliveries.failed()), all_overtaken=include_overtaken)
    included = ", overtaken ones too" if include_overtaken and found.overtaken_by else ""
    return _start(
        Run(
            kind=Run.Kind.RECOVERY,
            endpoint=endpoint,
            actor=actor,
            note=note,
            chosen=f"all failed deliveries of the endpoint{included}",
            created_at=now,
            operation=operation,
            step=Step.PROBE if checks_handler else Step.ENABLE,
        ),
        found=replace(found, chosen=_canary_first(found)),
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
    overtaken_chosen: Collection[int] = (),
    batch: uuid.UUID | None = None,
) -> Run:
    """Start a redelivery of those `deliveries` that belong to the endpoint, oldest first.

    `filter_text` describes them in words. Deliveries that are already requested are left out, and delivered ones too
    unless `include_delivered`; overtaken ones unless their primary keys are among `overtaken_chosen`. `one_call`
    requests all failed deliveries of the endpoint with one call; use it only if `deliveries` are exactly these. It is
    not done if any of them is overtaken. Runs that are started together share `batch`.

    Raises: AlreadyRunning, NothingLeft.
    """
    mine = _in_order(deliveries.filter(endpoint=endpoint))
    found = split(deliveries=mine, include_delivered=include_delivered, overtaken_chosen=overtaken_chosen)
    one_call = one_call and not found.overtaken_by
    same = Run.objects.filter(operation=operation).first()
    if same is not None:
        return same
    if not found.chosen:
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
        found=found,
    )


def split(
    *,
    deliveries: Sequence[Delivery],
    include_delivered: bool = False,
    overtaken_chosen: Collection[int] = (),
    all_overtaken: bool = False,
) -> Split:
    """Tell the deliveries that a run requests from those that it leaves out.

    It requests overtaken ones only if their primary keys are among `overtaken_chosen`, or with `all_overtaken`.
    """
    chosen: list[Delivery] = []
    left_out: list[tuple[Delivery, LeftOut]] = []
    by, anyway = overtaken(deliveries=deliveries), frozenset(overtaken_chosen)
    for one in deliveries:
        if one.requested_at is not None:
            left_out.append((one, LeftOut.REQUESTED))
        elif one.last_ok and not include_delivered:
            left_out.append((one, LeftOut.DELIVERED))
        elif one.pk in by and not (all_overtaken or one.pk in anyway):
            left_out.append((one, LeftOut.OVERTAKEN))
        else:
            chosen.append(one)
    mattering = {one.pk for one in chosen} | {one.pk for one, reason in left_out if reason is LeftOut.OVERTAKEN}
    return Split(chosen, left_out, {pk: other for pk, other in by.items() if pk in mattering})


def continue_run(*, actor: User, run: Run, now: datetime, operation: uuid.UUID) -> Run:
    """Start a new run with the deliveries that an ended run has not requested. A recovery starts a new recovery.

    Raises: AlreadyRunning, NothingLeft.
    """
    if run.kind == Run.Kind.RECOVERY:
        return start_recovery(actor=actor, endpoint=run.endpoint, note=run.note, now=now, operation=operation)
    waiting = run.items.filter(state=RunItem.State.WAITING)
    left = RunItem.objects.filter(run=run, delivery=OuterRef("pk"), state=RunItem.State.WAITING)
    overtaken_chosen = waiting.filter(is_overtaken=True, delivery__isnull=False).values_list("delivery", flat=True)
    return start_bulk(
        actor=actor,
        endpoint=run.endpoint,
        deliveries=Delivery.objects.filter(Exists(left)),
        filter_text=f"deliveries not requested by run {run.pk} ({run.chosen})",
        note=run.note,
        now=now,
        operation=operation,
        include_delivered=True,
        overtaken_chosen=list(overtaken_chosen),
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
            _note(run, actor, STOP)
            _wake_after_commit(run.pk)  # requested deliveries are still followed
    return ended


def pause(*, actor: User, run: Run) -> bool:
    """Pause a run: request nothing more until it is resumed. Return False if it was not running."""
    running = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING)
    with transaction.atomic():
        why = f"Paused by {actor.get_username()}."
        paused = bool(running.update(state=Run.State.PAUSED, why=why, by_person=True))
        if paused:
            _note(run, actor, PAUSE)
    return paused


def resume(*, actor: User, run: Run) -> bool:
    """Resume a paused run at once. Return False if it was not paused."""
    paused = Run.objects.filter(pk=run.pk, state=Run.State.PAUSED)
    with transaction.atomic():
        resumed = paused.update(
            state=Run.State.RUNNING, why="", by_person=False, waiting_for="", not_before=None, failed_calls=0
        )
        if resumed:
            _note(run, actor, RESUME)
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


def _start(run: Run, *, found: Split) -> Run:
    actor = run.actor
    run.actor_name = actor.get_username() if actor else ""
    run.note = storable(redact(run.note), most=NOTE_CHARS)  # support may have pasted a secret with the handler's words
    run.pace_ms = settings.RUN_PACE_MS
    try:
        with transaction.atomic():
            run.save()
            items.add(run=run, deliveries=found.chosen, left_out=found.left_out, overtaken_by=found.overtaken_by)
            items.count(run=run)
            if run.step == Step.ENABLE:
                run.steps.create(name=Step.PROBE, began_at=run.created_at, ended_at=run.created_at, words=_UNCHECKED)
            _note(run, actor, START, _started_words(run))
    except IntegrityError:
        return _earlier(run)
    _wake_after_commit(run.pk)
    return run


def _started_words(run: Run) -> str:
    unchecked = f" {_UNCHECKED}" if run.step == Step.ENABLE else ""
    return f" Requested: {run.chosen}.{unchecked}" + (f" Note: “{run.note}”" if run.note else "")


def _note(run: Run, actor: User | None, action: str, more: str = "") -> None:
    words = f"{run.get_kind_display()} #{run.pk}.{more}"
    audit.note(actor=actor, action=action, words=words, endpoint=run.endpoint, run=run, actor_name=run.actor_name)


def _earlier(run: Run) -> Run:
    """Return the run that an earlier submission of the form started. Raises: AlreadyRunning for any other run."""
    same = Run.objects.filter(operation=run.operation).first()
    if same is not None:
        return same
    # The newest run is the active one, unless it has just ended.
    raise AlreadyRunning(Run.objects.filter(endpoint=run.endpoint).latest("id"))


def _wake_after_commit(run_id: int) -> None:
    transaction.on_commit(lambda: wake(run_id=run_id))


def _in_order(deliveries: DeliveryQuerySet) -> list[Delivery]:
    """Return the deliveries without their bodies, oldest first: in order of arrival, each resource's as they happened.

    OpenTrain delivers in no guaranteed order, so they may have arrived in another one.
    """
    arrived = list(deliveries.order_by("first_received_at", "id").defer("body"))
    return [arrived[index] for index in in_order([(one.resource_id, event_of(one)) for one in arrived])]


def _canary_first(found: Split) -> list[Delivery]:
    """Return the chosen deliveries with the canary first: the oldest one that is safe, so that it waits for no other.

    If every one is overtaken and chosen all the same, the oldest goes first.
    """
    chosen, resources = found.chosen, set[str]()
    for index, one in enumerate(chosen):
        is_first = one.resource_id not in resources or not waits(one.event_type)
        if is_first and one.pk not in found.overtaken_by:
            return [one, *chosen[:index], *chosen[index + 1 :]]
        resources |= {one.resource_id} - {""}
    return chosen
