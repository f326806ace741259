"""Retention: deletes old rows of the delivery log in small steps that do not slow down the receiver.

A delivery is deleted with its attempts RETENTION_DAYS after its last attempt (or its last redelivery request). Bodies
and the first bytes of responses are deleted after BODY_RETENTION_DAYS; refused requests and the history of endpoints
after RETENTION_DAYS. 0 keeps them forever. The audit trail is never deleted, because the record of who did what must
outlive the objects.

Design decisions:
- A step handles at most STEP rows in its own transaction. A crash loses nothing: rows of an uncommitted step are still
  old and are deleted by the next run.
- Rows are taken by index, oldest first, `FOR UPDATE SKIP LOCKED`. A delivery that is being received is left for the
  next run. An attempt of a delivery that is being deleted waits for one step at most, then creates the delivery again.
- Attempts are deleted by one DELETE over the deliveries' IDs; Django's collector would read every row first.
- After each step, retention rests longer than it worked, so it never uses more than a third of a core or of the disk.
- Its commits do not wait for the disk. A deletion lost in a power cut is repeated, and the receiver's commits, which do
  wait, have the disk to themselves.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet

from dashboard.models import Delivery, EndpointSnapshot, RefusedAttempt

STEP = 1000
"""Rows per step: deliveries with their attempts, bodies, refused requests, or snapshots."""
REST = 2.0
"""Rest after a step, as a multiple of the step's duration."""
REST_S = 0.02
"""Minimum rest after a step, in seconds."""

Position = tuple[datetime, int]
"""Position of a walk: time and ID of the last row taken."""


@dataclass(frozen=True, slots=True)
class Removed:
    """Numbers of deleted rows. `bodies` counts deliveries that lost only their body."""

    deliveries: int = 0
    attempts: int = 0
    bodies: int = 0
    refused: int = 0
    snapshots: int = 0

    def __add__(self, other: "Removed") -> "Removed":
        return Removed(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def __str__(self) -> str:
        return (
            f"{self.deliveries} deliveries with {self.attempts} attempts, {self.bodies} more bodies, "
            f"{self.refused} refused requests, {self.snapshots} snapshots"
        )


Step = Callable[[datetime, Position | None, datetime], tuple[Removed, Position | None]]
"""Deletes the next rows older than the first argument, after the second; the third is now. None ends the walk."""


def retain(
    *,
    now: datetime,
    budget: timedelta | None = None,
    on_step: Callable[[Removed], None] = lambda _so_far: None,
    rest: Callable[[float], None] = time.sleep,
) -> Removed:
    """Delete what is too old at `now`, for at most `budget`, and return the numbers of deleted rows.

    The next run continues where this one stops. `on_step` receives the total after each step.
    Raises: django.db.Error; completed steps stay committed.
    """
    ends = None if budget is None else time.monotonic() + budget.total_seconds()
    total, started = Removed(), time.monotonic()
    for removed in _steps(now=now):
        total += removed
        on_step(total)
        if ends is not None and time.monotonic() >= ends:
            break
        rest(max((time.monotonic() - started) * REST, REST_S))
        started = time.monotonic()
    return total


def _steps(*, now: datetime) -> Iterator[Removed]:
    rows, bodies = timedelta(days=settings.RETENTION_DAYS), timedelta(days=settings.BODY_RETENTION_DAYS)
    if rows:
        yield from _walk(_remove_deliveries, before=now - rows, now=now)
        yield from _walk(_remove_refused, before=now - rows, now=now)
        yield from _walk(_remove_snapshots, before=now - rows, now=now)
    if bodies:
        yield from _walk(_remove_bodies, before=now - bodies, now=now)


def _walk(step: Step, *, before: datetime, now: datetime) -> Iterator[Removed]:
    """Repeat a step, each time from the last position, so rows kept for now are skipped once per run."""
    removed, position = step(before, None, now)
    while position is not None:
        yield removed
        removed, position = step(before, position, now)


def _remove_deliveries(before: datetime, after: Position | None, _now: datetime) -> tuple[Removed, Position | None]:
    with transaction.atomic(), connection.cursor() as cursor:
        taken = _take(_old(before=before), after=after)
        ids = [pk for _at, pk in taken]
        cursor.execute("DELETE FROM dashboard_attempt WHERE delivery_id = ANY(%s)", [ids])
        attempts = cursor.rowcount
        cursor.execute("DELETE FROM dashboard_delivery WHERE id = ANY(%s)", [ids])
        return Removed(deliveries=cursor.rowcount, attempts=attempts), _last(taken)


def _remove_bodies(before: datetime, after: Position | None, now: datetime) -> tuple[Removed, Position | None]:
    with transaction.atomic(), connection.cursor() as cursor:
        taken = _take(_old(before=before).filter(body_gone_at__isnull=True), after=after)
        ids = [pk for _at, pk in taken]
        cursor.execute("UPDATE dashboard_attempt SET response_head = NULL WHERE delivery_id = ANY(%s)", [ids])
        bodies = Delivery.objects.filter(pk__in=ids).update(body=None, body_gone_at=now)
        return Removed(bodies=bodies), _last(taken)


def _remove_refused(before: datetime, _after: Position | None, _now: datetime) -> tuple[Removed, Position | None]:
    with transaction.atomic():
        old = RefusedAttempt.objects.filter(received_at__lt=before).order_by("received_at", "id")
        taken = list(old.select_for_update(skip_locked=True).values_list("received_at", "pk")[:STEP])
        RefusedAttempt.objects.filter(pk__in=[pk for _at, pk in taken]).delete()
        return Removed(refused=len(taken)), _last(taken)


def _remove_snapshots(before: datetime, _after: Position | None, _now: datetime) -> tuple[Removed, Position | None]:
    with transaction.atomic():
        old = EndpointSnapshot.objects.filter(at__lt=before).order_by("at", "id")
        taken = list(old.select_for_update(skip_locked=True).values_list("at", "pk")[:STEP])
        EndpointSnapshot.objects.filter(pk__in=[pk for _at, pk in taken]).delete()
        return Removed(snapshots=len(taken)), _last(taken)


def _old(*, before: datetime) -> QuerySet[Delivery]:
    """Return the deliveries without an attempt or a redelivery request since `before`."""
    unasked = Q(requested_at__isnull=True) | Q(requested_at__lt=before)
    return Delivery.objects.filter(unasked, first_received_at__lt=before, last_attempt_at__lt=before)


def _take(rows: QuerySet[Delivery], *, after: Position | None) -> list[Position]:
    """Lock the next rows of a walk, except rows that another transaction has locked."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit TO off")
    if after is not None:
        at, pk = after
        later = Q(first_received_at__gt=at) | Q(first_received_at=at, pk__gt=pk)
        rows = rows.filter(later, first_received_at__gte=at)  # the second condition sets where the index scan begins
    locked = rows.order_by("first_received_at", "id").select_for_update(skip_locked=True)
    return list(locked.values_list("first_received_at", "pk")[:STEP])


def _last(taken: list[Position]) -> Position | None:
    return taken[-1] if taken else None
