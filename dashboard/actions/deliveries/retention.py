"""Retention: deletes old rows of the delivery log in small steps that do not slow down the receiver.

A delivery is deleted with its attempts RETENTION_DAYS after its last attempt (or its last redelivery request). Bodies
and the first bytes of responses are deleted after BODY_RETENTION_DAYS, those of hand-overs too. After RETENTION_DAYS go
refused requests, hand-overs, the history of endpoints, installs and receivers, what people checked of it, and contracts
and project links that have been gone for that long, with their evidence and findings. 0 keeps them forever. The audit
trail is never deleted, because the record of who did what must outlive the objects.

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
from typing import TypeVar

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, Model, OuterRef, Q, QuerySet

from dashboard.models import (
    Contract,
    Delivery,
    EndpointSnapshot,
    Handover,
    Install,
    InstallSnapshot,
    ProjectLink,
    ReceiverPresence,
    RefusedAttempt,
    WindowCheck,
)

STEP = 1000
"""Rows per step: deliveries with their attempts, bodies, refused requests, snapshots, contracts, or links."""
REST = 2.0
"""Rest after a step, as a multiple of the step's duration."""
REST_S = 0.02
"""Minimum rest after a step, in seconds."""

Row = TypeVar("Row", bound=Model)
Position = tuple[datetime, int]
"""Position of a walk: time and ID of the last row taken."""


_OF_CONTRACTS = (
    "DELETE FROM dashboard_evidence WHERE contract_id = ANY(%s)",
    "DELETE FROM dashboard_finding WHERE contract_id = ANY(%s)",
    "DELETE FROM dashboard_contractchange WHERE contract_id = ANY(%s)",
    "UPDATE dashboard_handover SET contract_id = NULL WHERE contract_id = ANY(%s)",
    "DELETE FROM dashboard_contract WHERE id = ANY(%s)",
)
"""What a contract takes along. What was handed over stays: it was sent to a handler."""
_OF_LINKS = (
    "DELETE FROM dashboard_contractchange WHERE link_id = ANY(%s)",
    "DELETE FROM dashboard_projectlink WHERE id = ANY(%s)",
)


@dataclass(frozen=True, slots=True)
class Removed:
    """Numbers of deleted rows. `bodies` counts deliveries and hand-overs that lost only their body. `snapshots` are of
    any history, with its checks.
    """

    deliveries: int = 0
    attempts: int = 0
    bodies: int = 0
    refused: int = 0
    snapshots: int = 0
    contracts: int = 0
    links: int = 0
    handovers: int = 0

    def __add__(self, other: "Removed") -> "Removed":
        return Removed(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def __str__(self) -> str:
        return (
            f"{self.deliveries} deliveries with {self.attempts} attempts, {self.bodies} more bodies, "
            f"{self.refused} refused requests, {self.snapshots} snapshots, {self.contracts} contracts, "
            f"{self.links} links, {self.handovers} hand-overs"
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
        yield from _walk(_remove_handovers, before=now - rows, now=now)
        yield from _walk(_remove_snapshots, before=now - rows, now=now)
        yield from _walk(_remove_window_checks, before=now - rows, now=now)
        yield from _walk(_remove_install_snapshots, before=now - rows, now=now)
        yield from _walk(_remove_presences, before=now - rows, now=now)
        yield from _walk(_remove_contracts, before=now - rows, now=now)
        yield from _walk(_remove_links, before=now - rows, now=now)
    if bodies:
        yield from _walk(_remove_bodies, before=now - bodies, now=now)
        yield from _walk(_remove_handover_bodies, before=now - bodies, now=now)


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


def _remove_refused(before: datetime, after: Position | None, _now: datetime) -> tuple[Removed, Position | None]:
    taken = _delete(RefusedAttempt.objects.filter(received_at__lt=before), after=after, column="received_at")
    return Removed(refused=len(taken)), _last(taken)


def _remove_handovers(before: datetime, after: Position | None, _now: datetime) -> tuple[Removed, Position | None]:
    """Delete what was handed over. The evidence that the handler took it stays."""
    taken = _delete(Handover.objects.filter(asked_at__lt=before), after=after, column="asked_at")
    return Removed(handovers=len(taken)), _last(taken)


def _remove_handover_bodies(before: datetime, after: Position | None, now: datetime) -> tuple[Removed, Position | None]:
    with transaction.atomic():
        kept = Handover.objects.filter(asked_at__lt=before, body__isnull=False)
        taken = _take(kept, after=after, column="asked_at")
        rows = Handover.objects.filter(pk__in=[pk for _at, pk in taken])
        return Removed(bodies=rows.update(body=None, response_head=None, body_gone_at=now)), _last(taken)


def _remove_snapshots(before: datetime, after: Position | None, _now: datetime) -> tuple[Removed, Position | None]:
    taken = _delete(EndpointSnapshot.objects.filter(at__lt=before), after=after, column="at")
    return Removed(snapshots=len(taken)), _last(taken)


def _remove_window_checks(before: datetime, after: Position | None, _now: datetime) -> tuple[Removed, Position | None]:
    """Delete what people checked, with the history that it is of."""
    taken = _delete(WindowCheck.objects.filter(until__lt=before), after=after, column="until")
    return Removed(snapshots=len(taken)), _last(taken)


def _remove_install_snapshots(
    before: datetime, after: Position | None, _now: datetime
) -> tuple[Removed, Position | None]:
    """Delete the rows of an install that ended before that time. The last one of them tells how it was then."""
    later = InstallSnapshot.objects.filter(install=OuterRef("install"), at__gt=OuterRef("at"), at__lt=before)
    taken = _delete(InstallSnapshot.objects.filter(Exists(later), at__lt=before), after=after, column="at")
    return Removed(snapshots=len(taken)), _last(taken)


def _remove_presences(before: datetime, after: Position | None, _now: datetime) -> tuple[Removed, Position | None]:
    """Delete receivers that were last heard of before that time, except the last: it tells since when none ran."""
    old = ReceiverPresence.objects.filter(last_at__lt=before)
    newest = old.order_by("-last_at", "-pk").values("pk")[:1]
    taken = _delete(old.exclude(pk__in=newest), after=after, column="last_at")
    return Removed(snapshots=len(taken)), _last(taken)


def _remove_contracts(before: datetime, after: Position | None, _now: datetime) -> tuple[Removed, Position | None]:
    with transaction.atomic():
        taken, ids = _take_gone(Contract.objects.filter(gone_at__lt=before), after=after)
        _execute(_OF_CONTRACTS, ids)
        return Removed(contracts=len(ids)), _last(taken)


def _remove_links(before: datetime, after: Position | None, _now: datetime) -> tuple[Removed, Position | None]:
    with transaction.atomic():
        taken, ids = _take_gone(ProjectLink.objects.filter(gone_at__lt=before), after=after)
        _execute(_OF_LINKS, ids)
        return Removed(links=len(ids)), _last(taken)


def _delete(rows: QuerySet[Row], *, after: Position | None, column: str) -> list[Position]:
    """Delete the next rows of a walk, and return where they were."""
    with transaction.atomic():
        taken = _take(rows, after=after, column=column)
        QuerySet(rows.model).filter(pk__in=[pk for _at, pk in taken]).delete()
    return taken


def _take_gone(
    rows: QuerySet[Contract] | QuerySet[ProjectLink], *, after: Position | None
) -> tuple[list[Position], list[int]]:
    """Return the next rows of a walk, and those of installs that nobody is writing: their rows are locked."""
    found = list(_next(rows, after=after, column="gone_at").values_list("gone_at", "pk", "install_id")[:STEP])
    installs = Install.objects.filter(pk__in={install_id for _at, _pk, install_id in found}).order_by("pk")
    held = set(installs.select_for_update(no_key=True, skip_locked=True).values_list("pk", flat=True))
    return [(at, pk) for at, pk, _install in found], [pk for _at, pk, install_id in found if install_id in held]


def _execute(statements: tuple[str, ...], ids: list[int]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, [ids])


def _old(*, before: datetime) -> QuerySet[Delivery]:
    """Return the deliveries without an attempt or a redelivery request since `before`."""
    unasked = Q(requested_at__isnull=True) | Q(requested_at__lt=before)
    return Delivery.objects.filter(unasked, first_received_at__lt=before, last_attempt_at__lt=before)


def _take(rows: QuerySet[Row], *, after: Position | None, column: str = "first_received_at") -> list[Position]:
    """Lock the next rows of a walk, except rows that another transaction has locked."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit TO off")
    locked = _next(rows, after=after, column=column).select_for_update(skip_locked=True)
    return list(locked.values_list(column, "pk")[:STEP])


def _next(rows: QuerySet[Row], *, after: Position | None, column: str) -> QuerySet[Row]:
    """Return the rows of a walk after this position, oldest first."""
    if after is not None:
        at, pk = after
        later = Q(**{f"{column}__gt": at}) | Q(**{column: at, "pk__gt": pk})
        # The second condition sets where the index scan begins.
        rows = rows.filter(later, **{f"{column}__gte": at})
    return rows.order_by(column, "id")


def _last(taken: list[Position]) -> Position | None:
    return taken[-1] if taken else None
