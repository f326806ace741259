"""Stores OpenTrain's snapshots of endpoints: an entry of a list, the response to a change or to a redelivery.

One that is older than what is stored, or than a change that OpenTrain has confirmed, is ignored (rules/snapshots.py).
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.db import connection, transaction
from django.db.models import Q

from dashboard.actions.deliveries import record as deliveries
from dashboard.actions.deliveries.record import AutoDisable
from dashboard.actions.installs.moves import learn_of_url, tell_of_moves
from dashboard.actions.installs.titles import tell_apart
from dashboard.db.prepared import prepared_cursor
from dashboard.models import Endpoint, EndpointSnapshot, EndpointWrite, Install
from dashboard.models.endpoints import DISABLED
from dashboard.models.installs import NO_ENDPOINT
from dashboard.rules.endpoints import AUTO_DISABLE_AT, Severity
from dashboard.rules.installs import UnreadEntry
from dashboard.rules.snapshots import LAG, EndpointState, is_stale, url_digest
from dashboard.services import opentrain

HISTORY_EVERY = timedelta(hours=1)
"""Interval of rows in an endpoint's history while nothing changes."""
_TALLY = """
    UPDATE dashboard_install SET endpoint_count = sums.total, needing_count = sums.needing, fine_count = sums.fine,
        worst = sums.most
    FROM (SELECT count(*) AS total, count(*) FILTER (WHERE severity < %(paused)s) AS needing,
              count(*) FILTER (WHERE severity = %(fine)s AND unread_why = '') AS fine,
              coalesce(min(severity), %(none)s) AS most
          FROM dashboard_endpoint
          WHERE install_id = %(install)s AND opentrain_id IS NOT NULL AND deleted_at IS NULL) AS sums
    WHERE dashboard_install.id = %(install)s
        AND (endpoint_count, needing_count, fine_count, worst)
            IS DISTINCT FROM (sums.total, sums.needing, sums.fine, sums.most)
"""

_SAID = ("url", "event_types", "status", "created_at", "consecutive_failures", "disabled_at", "disabled_reason")
_CONFIRM = f"""
    UPDATE dashboard_endpoint SET snapshot_at = %(at)s
    WHERE install_id = %(install)s AND opentrain_id = %(id)s AND deleted_at IS NULL
        AND history_at > %(history)s AND snapshot_at <= %(at)s AND unread_why = ''
        AND ({", ".join(_SAID)}) IS NOT DISTINCT FROM ({", ".join(f"%({column})s" for column in _SAID)})
"""  # noqa: S608 - names of columns, no values
_CONFIRM_ALL = "UPDATE dashboard_endpoint SET snapshot_at = %s WHERE id = ANY(%s)"
_PATH = ("routing_since", "routed_at", "bypassed_at", "url_changed_at", "url_before")
_NOTED = ("auto_disabled_at", "disable_learned_at", "snapshot_at", "history_at", "stopped_seen_at")
_TAKEN = ("opentrain_id", *_SAID, *_NOTED, *_PATH)
"""Columns that a changed snapshot sets."""
_CHANGE = """
    UPDATE dashboard_endpoint AS known SET {set}, deleted_at = NULL, unread_why = ''
    FROM jsonb_to_recordset(%s) AS taken (id bigint, {columns}) WHERE known.id = taken.id
"""


@dataclass(frozen=True, slots=True)
class _Writes:
    """What a list of snapshots writes, each kind in one statement: the rows that it confirms, changes and adds, the new
    rows of their history, and those whose waiting deliveries OpenTrain gave up.
    """

    confirmed: list[Endpoint] = field(default_factory=list)
    changed: list[Endpoint] = field(default_factory=list)
    added: list[Endpoint] = field(default_factory=list)
    historic: list[EndpointSnapshot] = field(default_factory=list)
    given_up: list[Endpoint] = field(default_factory=list)
    moved: list[Endpoint] = field(default_factory=list)
    """Those with another URL than before, in a snapshot that no change of ours has returned."""


@dataclass(frozen=True)
class _LatestChanges:
    """The states of an install's endpoints before the changes that a snapshot from `at` may not show yet.

    They are read when the first snapshot differs from its row.
    """

    install: Install
    at: datetime

    @cached_property
    def _before(self) -> dict[int, list[EndpointState | None]]:
        found: dict[int, list[EndpointState | None]] = defaultdict(list)
        for write in EndpointWrite.objects.filter(endpoint__install=self.install, at__gt=self.at - LAG):
            found[write.endpoint_id].append(write.before)
        return found

    def are_missing_in(self, remote: opentrain.WebhookEndpoint | None, *, row: Endpoint) -> bool:
        """Return whether a snapshot is older than the latest changes; None: the list lacks the endpoint."""
        if row.pk is None:
            return False
        seen = None if remote is None else _state(remote)
        return is_stale(seen=seen, stored=row.state, before=self._before.get(row.pk, ()))


def record_endpoints(
    *, install: Install, remote: Sequence[opentrain.WebhookEndpoint | UnreadEntry], at: datetime
) -> None:
    """Store OpenTrain's complete list: update the endpoints in it, and mark those no longer in it as deleted.

    An endpoint whose entry cannot be read keeps its data and is marked as unread. While such an entry has no readable
    ID, it may be any endpoint, so none is marked as deleted. What the list shows from before our own latest changes is
    ignored (`rules.snapshots`).

    The number of queries does not depend on the number of endpoints.
    """
    read = [entry for entry in remote if not isinstance(entry, UnreadEntry)]
    unread = [entry for entry in remote if isinstance(entry, UnreadEntry)]
    listed, changes = {entry.id for entry in remote if entry.id is not None}, _LatestChanges(install, at)
    with transaction.atomic(savepoint=False):
        rows = _locked(install, Q(deleted_at=None) | Q(opentrain_id=None))
        if unknown := listed - {row.opentrain_id for row in rows}:  # new ones, or ones that were deleted
            rows += _locked(install, Q(opentrain_id__in=unknown))
        kept = _keep(install=install, rows=rows, remote=read, at=at, changes=changes)
        if unread:
            _mark_unread(install=install, unread=unread, at=at)
        missing = [row for row in rows if row.opentrain_id is not None and row.opentrain_id not in listed]
        gone = [row.pk for row in missing if not changes.are_missing_in(None, row=row)]
        if gone and all(entry.id for entry in unread):  # except endpoints registered or updated since
            Endpoint.objects.registered().filter(pk__in=gone, snapshot_at__lt=at).update(deleted_at=at)
        tally(install_id=install.pk)
        if gone or any(row.told_apart_by is None for row in (*rows, *kept)):
            tell_apart(install_id=install.pk)


def record_endpoint(
    *, install: Install, remote: opentrain.WebhookEndpoint, at: datetime, learned_at: datetime | None = None
) -> str:
    """Store one snapshot, unless a newer state is stored, and return the endpoint's status. An auto-disable also gives
    up the deliveries that still waited.

    For an entry of a list, `at` is when the list was requested, not when it arrived: a slow list must not undo a change
    made since. For the response to a redelivery, `at` is when it arrived. If the snapshot is the first to tell of an
    auto-disable, what was requested at `learned_at` or later was requested after it; it defaults to `at`.

    Use `record_change` for the response to a change.
    """
    if _confirm(install=install, remote=remote, at=at):
        return remote.status
    with transaction.atomic(savepoint=False):
        hold(install_id=install.pk)
        rows = _locked(install, Q(opentrain_id=remote.id) | Q(opentrain_id=None, url=remote.url))
        changes = _LatestChanges(install, at)
        [endpoint] = _keep(
            install=install, rows=rows, remote=[remote], at=at, changes=changes, learned_at=learned_at or at
        )
        tally(install_id=install.pk)
        if endpoint.told_apart_by is None:
            tell_apart(install_id=install.pk)
    return endpoint.status


def record_change(*, endpoint: Endpoint, answer: opentrain.WebhookEndpoint, at: datetime) -> None:
    """Store OpenTrain's response to a change of the endpoint, or to its registration. It is believed in any case.

    `endpoint` is as it was loaded before the change. `at` is when the response arrived.
    """
    with transaction.atomic(savepoint=False):
        hold(install_id=endpoint.install_id)
        remember(endpoint=endpoint, at=at)
        if endpoint.opentrain_id is None:
            Endpoint.objects.filter(pk=endpoint.pk).update(opentrain_id=answer.id)
        rows = _locked(endpoint.install, Q(opentrain_id=answer.id))
        [kept] = _keep(install=endpoint.install, rows=rows, remote=[answer], at=at, changes=None)
        tally(install_id=endpoint.install_id)
        if kept.told_apart_by is None:
            tell_apart(install_id=endpoint.install_id)


def remember(*, endpoint: Endpoint, at: datetime) -> None:
    """Keep the state from before a change that OpenTrain confirmed at `at`, because a list may show it for some time.

    The state is the one of `endpoint`, as loaded before the change. The row may show another one by now: then a list
    arrived during the call. Call `hold` first, and this before the row is changed.
    """
    [row] = _locked(endpoint.install, Q(pk=endpoint.pk))
    EndpointWrite.objects.filter(endpoint=endpoint, at__lt=at - LAG).delete()
    EndpointWrite.objects.bulk_create([_before(endpoint, state, at=at) for state in {endpoint.state, row.state}])


def hold(*, install_id: int) -> None:
    """Lock the install's row. Call this before changing its endpoints' rows, as the poller does.

    One order of locks prevents deadlocks.
    """
    Install.objects.select_for_update(no_key=True).filter(pk=install_id).values_list("pk").first()


def tally(*, install_id: int) -> None:
    """Update the install's sums over its endpoints. Call this after adding, removing or changing endpoints."""
    with connection.cursor() as cursor:
        cursor.execute(
            _TALLY,
            {
                "install": install_id,
                "none": NO_ENDPOINT,
                "fine": Severity.ACTIVE.value,
                "paused": Severity.PAUSED.value,
            },
        )


def _mark_unread(*, install: Install, unread: Sequence[UnreadEntry], at: datetime) -> None:
    """Mark the known endpoints whose entries could not be read, except those that have a readable one as well."""
    changed = EndpointWrite.objects.filter(endpoint__install=install, at__gt=at - LAG)
    known = Endpoint.objects.filter(install=install, snapshot_at__lt=at)
    known = known.exclude(deleted_at__isnull=False, pk__in=changed.values("endpoint"))  # the list may lag
    for why in {entry.why for entry in unread}:
        ids = [entry.id for entry in unread if entry.why == why and entry.id is not None]
        known.filter(opentrain_id__in=ids).update(unread_why=why, deleted_at=None)


def _is_known(row: Endpoint, remote: opentrain.WebhookEndpoint, *, at: datetime) -> bool:
    """Return whether a snapshot equals the row, and nothing else needs to be done for it."""
    if row.deleted_at is not None or row.unread_why:
        return False
    if row.history_at is None or at - row.history_at >= HISTORY_EVERY:
        return False
    return not _gives_up(remote) and all(getattr(row, column) == value for column, value in _said(remote).items())


def _confirm(*, install: Install, remote: opentrain.WebhookEndpoint, at: datetime) -> bool:
    """Update `snapshot_at` in one statement if the snapshot equals the row, as most responses to a click do.

    Returns False, with nothing done, if the snapshot differs or nothing matches.
    """
    if _gives_up(remote):
        return False
    values = {**_said(remote), "install": install.pk, "id": remote.id, "at": at, "history": at - HISTORY_EVERY}
    with prepared_cursor() as cursor:
        cursor.execute(_CONFIRM, values)
        return bool(cursor.rowcount)


def _said(remote: opentrain.WebhookEndpoint) -> dict[str, Any]:
    """Return the columns that a snapshot sets."""
    return {
        "url": remote.url,
        "event_types": list(remote.event_types),
        "status": remote.status,
        "created_at": remote.created_at,
        "consecutive_failures": remote.consecutive_failures,
        "disabled_at": remote.disabled_at,
        "disabled_reason": remote.disabled_reason or "",
    }


def _history_of(endpoint: Endpoint) -> dict[str, Any]:
    """Return the columns of the endpoint's history. The order of event types is of no account."""
    return {
        "status": endpoint.status,
        "consecutive_failures": endpoint.consecutive_failures,
        "event_types": sorted(endpoint.event_types),
        "is_received": endpoint.is_received,
    }


def _gives_up(remote: opentrain.WebhookEndpoint) -> bool:
    """Return whether OpenTrain auto-disabled the endpoint, which also gives up deliveries that arrived late."""
    return remote.disabled_at is not None and remote.consecutive_failures >= AUTO_DISABLE_AT


def _keep(
    *,
    install: Install,
    rows: Sequence[Endpoint],
    remote: Sequence[opentrain.WebhookEndpoint],
    at: datetime,
    changes: _LatestChanges | None,
    learned_at: datetime | None = None,
) -> list[Endpoint]:
    """Store snapshots, given the locked `rows` that they may be about; return the row of each, in their order.

    Snapshots that are older than `changes` change nothing. `learned_at` is that of `record_endpoint`.

    An endpoint that is still being registered is matched by its URL, so a list read between its creation at OpenTrain
    and the response does not create a second row.
    """
    known = {row.opentrain_id: row for row in rows if row.opentrain_id is not None}
    pending = {row.url: row for row in rows if row.opentrain_id is None}
    writes, kept = _Writes(), []
    for snapshot in remote:
        row = known.get(snapshot.id) or pending.pop(snapshot.url, None)
        endpoint = row or Endpoint(install=install, opentrain_id=snapshot.id)
        _take(endpoint, snapshot, at=at, changes=changes, learned_at=learned_at or at, writes=writes)
        kept.append(endpoint)
    _write(writes, at=at)
    return kept


def _take(
    endpoint: Endpoint,
    remote: opentrain.WebhookEndpoint,
    *,
    at: datetime,
    changes: _LatestChanges | None,
    learned_at: datetime,
    writes: _Writes,
) -> None:
    """Set the columns of one endpoint from one snapshot, and add what is to be written: the rule for every snapshot."""
    if endpoint.snapshot_at is not None and endpoint.snapshot_at > at:
        return
    if _is_known(endpoint, remote, at=at):
        endpoint.snapshot_at = at
        writes.confirmed.append(endpoint)
        return
    if changes is not None and changes.are_missing_in(remote, row=endpoint):
        return
    before, seen_at = _history_of(endpoint), endpoint.snapshot_at
    if endpoint.snapshot_at is None or endpoint.deleted_at is not None or endpoint.url != remote.url:
        endpoint.told_apart_by = None
    _learn_of_disable(endpoint, remote, at=learned_at)
    if endpoint.snapshot_at is not None and endpoint.url != remote.url:
        learn_of_url(endpoint, remote, at=at)
        if changes is not None:
            writes.moved.append(endpoint)
    endpoint.opentrain_id = remote.id
    for column, value in _said(remote).items():
        setattr(endpoint, column, value)
    endpoint.snapshot_at, endpoint.deleted_at, endpoint.unread_why = at, None, ""
    endpoint.stopped_seen_at = at if DISABLED in {before["status"], endpoint.status} else endpoint.stopped_seen_at
    is_changed = before != _history_of(endpoint)
    if is_changed or endpoint.history_at is None or at - endpoint.history_at >= HISTORY_EVERY:
        endpoint.history_at = at
        writes.historic.append(EndpointSnapshot(endpoint=endpoint, at=at, not_before=seen_at, **_history_of(endpoint)))
    (writes.added if endpoint.pk is None else writes.changed).append(endpoint)
    if _gives_up(remote):
        writes.given_up.append(endpoint)


def _learn_of_disable(endpoint: Endpoint, remote: opentrain.WebhookEndpoint, *, at: datetime) -> None:
    """Note when we learned of an auto-disable that the row does not know yet. Another `disabledAt` is another one."""
    if not _gives_up(remote) or remote.disabled_at == endpoint.auto_disabled_at:
        return
    # Rows from before the column exists know the disable, but not since when.
    is_known = endpoint.auto_disabled_at is None and endpoint.disabled_at == remote.disabled_at
    endpoint.auto_disabled_at = remote.disabled_at
    endpoint.disable_learned_at = remote.disabled_at if is_known else at


def _before(endpoint: Endpoint, state: EndpointState | None, *, at: datetime) -> EndpointWrite:
    if state is None:
        return EndpointWrite(endpoint=endpoint, at=at, existed=False)
    return EndpointWrite(
        endpoint=endpoint,
        at=at,
        existed=True,
        url_digest=state.url_digest,
        event_types=sorted(state.event_types),
        status=state.status,
        consecutive_failures=state.consecutive_failures,
        disabled_at=state.disabled_at,
    )


def _state(remote: opentrain.WebhookEndpoint) -> EndpointState:
    return EndpointState(
        url_digest=url_digest(remote.url),
        event_types=frozenset(remote.event_types),
        status=remote.status,
        consecutive_failures=remote.consecutive_failures,
        disabled_at=remote.disabled_at,
    )


def _write(writes: _Writes, *, at: datetime) -> None:
    if writes.confirmed:
        with connection.cursor() as cursor:
            cursor.execute(_CONFIRM_ALL, [at, [row.pk for row in writes.confirmed]])
    if writes.moved:
        tell_of_moves(writes.moved, at=at)
    if writes.changed:
        _change(writes.changed)
    Endpoint.objects.bulk_create(writes.added)
    EndpointSnapshot.objects.bulk_create(writes.historic)
    if writes.given_up:
        deliveries.abandon_undelivered_of(
            [
                AutoDisable(row, row.disabled_at, row.disable_learned_at)
                for row in writes.given_up
                if row.disabled_at is not None and row.disable_learned_at is not None
            ]
        )


def _change(rows: Sequence[Endpoint]) -> None:
    """Write the columns that snapshots set, of all rows in one statement. `bulk_update` takes seconds for thousands."""
    columns = ", ".join(f"{column} {getattr(Endpoint, column).field.db_type(connection)}" for column in _TAKEN)
    values = [{"id": row.pk} | {column: getattr(row, column) for column in _TAKEN} for row in rows]
    with connection.cursor() as cursor:
        statement = _CHANGE.format(set=", ".join(f"{column} = taken.{column}" for column in _TAKEN), columns=columns)
        cursor.execute(statement, [json.dumps(values, default=datetime.isoformat)])


def _locked(install: Install, wanted: Q) -> list[Endpoint]:
    """Return the install's endpoints of this kind, oldest first, with the columns that a snapshot is compared with.

    They are locked, except against new deliveries, which only need the row to exist.
    """
    rows = Endpoint.objects.select_for_update(no_key=True).filter(wanted, install=install).order_by("pk")
    beside = ("deleted_at", "unread_why", "receiver_key", "handler_url", "told_apart_by")
    found = list(rows.only(*_TAKEN, *beside))
    for row in found:
        row.install = install
    return found
