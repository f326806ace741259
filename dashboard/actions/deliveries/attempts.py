"""How an attempt updates its delivery, and how both are written to the log.

- A new round begins with an attempt that follows a redelivery request, and with an attempt that OpenTrain had no reason
  to make automatically (delivered, given up, or all attempts used): then it was requested, perhaps elsewhere.
- An attempt that is reported late, after a newer one, is numbered in the order of reports and leaves the delivery's
  last attempt unchanged. It counts in the round only if there has been one round: with several, its round is unknown.
- Event data from the first attempt is kept. Later attempts only fill in what is missing.
- The receiver's attempts have names (UUIDs). One that is in the log already changes nothing.
"""

import json
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import (
    BinaryField,
    BooleanField,
    CharField,
    DateTimeField,
    Field,
    ForeignKey,
    Model,
    Q,
    QuerySet,
    UUIDField,
)
from psycopg import Binary
from psycopg.types.json import Jsonb

from dashboard.actions.deliveries import matching
from dashboard.config.schedule import schedule
from dashboard.db.prepared import prepared_cursor
from dashboard.models import Attempt, Delivery
from dashboard.rules.attempts import AttemptResult, Event, RecordedAttempt

ADVANCED = (
    "event_id",
    "resource_id",
    "event_created_at",
    "first_received_at",
    "last_attempt_at",
    "attempt_count",
    "attempts_in_round",
    "last_ok",
    "last_status",
    "last_cause",
    "last_latency_ms",
    "last_signature",
    "requested_at",
    "abandoned_at",
    "body_gone_at",
    "standing",
    "due_by",
)
"""Columns of a delivery that `advance` changes, except the body."""

_USUAL: dict[type, type] = {
    BinaryField: bytes, BooleanField: bool, CharField: str, DateTimeField: datetime, ForeignKey: int,
    UUIDField: uuid.UUID,
}  # fmt: skip

_LOCK = """
    SELECT delivery.id FROM dashboard_delivery AS delivery
    JOIN (SELECT DISTINCT * FROM unnest(%s::text[], %s::bigint[]) AS given (opentrain_id, endpoint_id)) AS given
        USING (opentrain_id, endpoint_id)
    FOR UPDATE OF delivery SKIP LOCKED
"""


def insert_first(*, given: RecordedAttempt) -> Attempt | None:
    """Insert a delivery with its first attempt in one statement; return None and do nothing if the delivery exists.

    Raises: django.db.Error.
    """
    attempt = _first_attempt(given)
    delivery = attempt.delivery
    with prepared_cursor() as cursor:
        cursor.execute(_insert_both(), _both(attempt))
        inserted = cursor.fetchone()
    if inserted is None:
        return None
    attempt.pk, delivery.pk = inserted
    attempt.delivery = delivery  # which has a key now
    return attempt


@dataclass(frozen=True, slots=True, repr=False)
class FirstRows:
    """A new delivery and its first attempt as the database is sent them: JSON, and beside it the columns of bytes."""

    json: str
    blobs: list[bytes | None]


def first_rows(given: RecordedAttempt) -> FirstRows:
    """Return the rows of an attempt as `insert_firsts` sends them. It needs no database, and is most of the work.

    Raises: OverflowError, TypeError or ValueError for what no column can hold.
    """
    row = _both(_first_attempt(given))
    return FirstRows(json.dumps(row, default=_in_json), [row[place] for place in _places_of_bytes()])


def insert_firsts(
    *, given: Sequence[RecordedAttempt], rows: Mapping[uuid.UUID, FirstRows] = MappingProxyType({})
) -> frozenset[uuid.UUID]:
    """Do the same for many deliveries, each given once; return the names of the attempts that are inserted.

    Give them `in_order`: two writers that wait for each other's new deliveries are a deadlock. `rows` are those that
    are ready, by the attempts' names.

    Raises: django.db.Error, and OverflowError, TypeError or ValueError for what no column can hold.
    """
    found = [rows.get(one.id) or first_rows(one) for one in given]
    blobs = [list(column) for column in zip(*(one.blobs for one in found), strict=True)]
    with prepared_cursor() as cursor:
        cursor.execute(_insert_many(), [f"[{','.join(one.json for one in found)}]", *blobs])
        return frozenset(name for (name,) in cursor.fetchall())


def in_order(given: Iterable[RecordedAttempt]) -> list[RecordedAttempt]:
    """Return attempts by delivery, in the order in which every writer inserts deliveries, and then by arrival."""
    return sorted(given, key=lambda one: (*key_of(one), one.result.received_at))


def key_of(given: RecordedAttempt) -> tuple[int, str]:
    """Return what names the attempt's delivery: its endpoint and OpenTrain's ID."""
    return given.endpoint_id, given.event.delivery_id


def locked(*, endpoint_id: int, ids: Iterable[str]) -> dict[str, Delivery]:
    """Return the endpoint's existing deliveries by ID, locked until the transaction ends, without their bodies."""
    wanted = Delivery.objects.filter(endpoint=endpoint_id, opentrain_id__in=ids).order_by("opentrain_id")
    return {found.opentrain_id: found for found in _unread(wanted).select_for_update()}


def locked_now(*, given: Collection[RecordedAttempt]) -> list[Delivery]:
    """Return the existing deliveries of the attempts, locked, except those that another transaction has locked.

    It never waits, so it can be called in any order and beside other locks.
    """
    names, endpoints = [one.event.delivery_id for one in given], [one.endpoint_id for one in given]
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [names, endpoints])
        ids = [pk for (pk,) in cursor.fetchall()]
    return list(_unread(Delivery.objects.filter(pk__in=ids)))


def record_next(*, given: Iterable[RecordedAttempt], deliveries: Collection[Delivery]) -> list[Attempt]:
    """Record more attempts of locked deliveries, in the order given, and return those that are new.

    An attempt whose name is in the log changes nothing. One that a handler reported is confirmed (matching.py).
    """
    given = list(given)
    by_key = {(row.endpoint_id, row.opentrain_id): row for row in deliveries}
    known = set(Attempt.objects.filter(uuid__in=[one.id for one in given]).values_list("uuid", "delivery_id"))
    observed = matching.observed_of(deliveries)
    recorded = []
    for one in given:
        delivery = by_key[key_of(one)]
        if (one.id, delivery.pk) not in known:
            known.add((one.id, delivery.pk))
            recorded.append(_next_attempt(one, delivery=delivery, observed=observed[delivery.pk]))
    _save_next(recorded)
    return recorded


def first(*, endpoint_id: int, event: Event, result: AttemptResult) -> Delivery:
    """Return a new delivery without a counted attempt. It is not saved."""
    return Delivery(
        endpoint_id=endpoint_id,
        opentrain_id=event.delivery_id,
        event_id=event.event_id,
        event_type=event.event_type,
        resource_id=event.resource_id,
        event_created_at=event.created_at,
        body=event.body,
        first_received_at=result.received_at,
        last_attempt_at=result.received_at,
        last_ok=result.ok,
        last_status=result.answered_status,
        last_cause=result.cause,
        last_latency_ms=result.latency_ms,
        last_signature=result.signature,
    )


def advance(*, delivery: Delivery, event: Event, result: AttemptResult, name: uuid.UUID | None = None) -> Attempt:
    """Count one more attempt and return it. Neither delivery nor attempt is saved."""
    if result.received_at < delivery.last_attempt_at:
        delivery.attempts_in_round += int(delivery.attempts_in_round == delivery.attempt_count)
        delivery.first_received_at = min(delivery.first_received_at, result.received_at)
    else:
        _begin_round(delivery=delivery, at=result.received_at)
        delivery.attempts_in_round += 1
        _set_last(delivery=delivery, result=result)
    delivery.attempt_count += 1
    _fill_in(delivery=delivery, event=event)
    delivery.settle(schedule=schedule())
    return _attempt(delivery=delivery, result=result, name=name)


def confirm(*, delivery: Delivery, observed: Attempt, event: Event, result: AttemptResult, name: uuid.UUID) -> Attempt:
    """Replace an observed attempt with what the receiver saw. No attempt is added, and nothing is saved."""
    if observed.received_at >= delivery.last_attempt_at:
        # By the handler's clock, the attempt came before the request.
        if _answers_request(delivery=delivery, at=result.received_at):
            _begin_round(delivery=delivery, at=result.received_at)
            delivery.attempts_in_round = 1
        _set_last(delivery=delivery, result=result)
    delivery.first_received_at = min(delivery.first_received_at, result.received_at)
    _fill_in(delivery=delivery, event=event)
    delivery.settle(schedule=schedule())
    attempt = _attempt(delivery=delivery, result=result, name=name)
    attempt.pk, attempt.number = observed.pk, observed.number
    return attempt


def save_advanced(*, deliveries: Sequence[Delivery]) -> None:
    """Save what `advance` changed of existing deliveries in one statement, and the bodies that it filled in.

    Django's own bulk_update takes seconds for a thousand rows with this number of columns.
    """
    fields = _advanced()
    values = [
        [field.get_db_prep_save(getattr(row, field.attname), connection) for row in deliveries] for field in fields
    ]
    ids = [row.pk for row in deliveries]
    with connection.cursor() as cursor:
        cursor.execute(_update_many(), [ids, *values])
    Delivery.objects.bulk_update([row for row in deliveries if not _is_unread(row)], ["body"])


def _first_attempt(given: RecordedAttempt) -> Attempt:
    delivery = first(endpoint_id=given.endpoint_id, event=given.event, result=given.result)
    return advance(delivery=delivery, event=given.event, result=given.result, name=given.id)


def _both(attempt: Attempt) -> list[Any]:
    return [*_values(attempt.delivery), *_values(attempt, without="delivery_id")]


def _next_attempt(given: RecordedAttempt, *, delivery: Delivery, observed: list[Attempt]) -> Attempt:
    """Return one more attempt of a delivery, or the observed one that it confirms, which is then observed no more."""
    told = matching.observed_already(observed=observed, at=given.result.received_at)
    if told is None:
        return advance(delivery=delivery, event=given.event, result=given.result, name=given.id)
    observed.remove(told)
    return confirm(delivery=delivery, observed=told, event=given.event, result=given.result, name=given.id)


def _save_next(recorded: Sequence[Attempt]) -> None:
    if recorded:
        save_advanced(deliveries=list({row.delivery_id: row.delivery for row in recorded}.values()))
    for confirmed in (row for row in recorded if row.pk is not None):
        confirmed.save(force_update=True)
    Attempt.objects.bulk_create([row for row in recorded if row.pk is None])


def _unread(deliveries: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """Leave out the bodies, and tell which deliveries have none."""
    return deliveries.annotate(body_missing=Q(body__isnull=True)).defer("body")


def _begin_round(*, delivery: Delivery, at: datetime) -> None:
    """Begin a new round if the attempt starts one."""
    answers_request = _answers_request(delivery=delivery, at=at)
    if answers_request or _round_is_over(delivery=delivery):
        delivery.attempts_in_round = 0
        delivery.abandoned_at = None
        # A request made after this attempt still waits for its own.
        delivery.requested_at = None if answers_request else delivery.requested_at


def _answers_request(*, delivery: Delivery, at: datetime) -> bool:
    return delivery.requested_at is not None and at >= delivery.requested_at


def _round_is_over(*, delivery: Delivery) -> bool:
    """Return whether OpenTrain had no reason to retry automatically: then it was asked to, perhaps elsewhere."""
    exhausted = delivery.attempts_in_round >= schedule().attempts
    return delivery.last_ok or delivery.abandoned_at is not None or exhausted


def _set_last(*, delivery: Delivery, result: AttemptResult) -> None:
    delivery.last_attempt_at = result.received_at
    delivery.last_ok = result.ok
    delivery.last_status = result.answered_status
    delivery.last_cause = result.cause
    delivery.last_latency_ms = result.latency_ms
    delivery.last_signature = result.signature


def _fill_in(*, delivery: Delivery, event: Event) -> None:
    delivery.event_id = delivery.event_id or event.event_id
    delivery.resource_id = delivery.resource_id or event.resource_id
    delivery.event_created_at = delivery.event_created_at or event.created_at
    if event.body is not None and _lacks_body(delivery):  # no attempt brought it yet, or retention removed it
        delivery.body, delivery.body_gone_at = event.body, None


def _lacks_body(delivery: Delivery) -> bool:
    return bool(getattr(delivery, "body_missing", False)) if _is_unread(delivery) else delivery.body is None


def _is_unread(delivery: Delivery) -> bool:
    """Return whether the body was not loaded. A body that was filled in since is loaded."""
    return "body" in delivery.get_deferred_fields()


def _attempt(*, delivery: Delivery, result: AttemptResult, name: uuid.UUID | None) -> Attempt:
    return Attempt(
        delivery=delivery,
        number=delivery.attempt_count,
        received_at=result.received_at,
        request_headers=result.request_headers,
        answered_status=result.answered_status,
        ok=result.ok,
        cause=result.cause,
        handler_url=result.handler_url,
        handler_status=result.handler_status,
        latency_ms=result.latency_ms,
        response_headers=result.response_headers,
        response_head=result.response_head,
        source=result.source,
        signature=result.signature,
        body_fault=result.body_fault,
        answered_in_time=result.answered_in_time,
        uuid=name,
    )


@lru_cache(maxsize=1)
def _insert_both() -> str:
    """Return the SQL of `insert_first`. Names come from the models, and all values are parameters."""
    parent, child = _fields(Delivery, without=""), _fields(Attempt, without="delivery_id")
    return (
        f"WITH parent AS (INSERT INTO {_table(Delivery)} ({_columns(parent)}) VALUES ({_places(parent)})"  # noqa: S608
        " ON CONFLICT (opentrain_id, endpoint_id) DO NOTHING RETURNING id)"
        f" INSERT INTO {_table(Attempt)} (delivery_id, {_columns(child)}) SELECT id, {_places(child)} FROM parent"
        " RETURNING id, delivery_id"
    )


@lru_cache(maxsize=1)
def _insert_many() -> str:
    """Return the SQL of `insert_firsts`: all rows are one JSON parameter, with an array for each column of bytes.

    A statement for each row takes more of PostgreSQL's time, and Python's threads wait for each other at each row. An
    array for each column takes more of our time. Bytes are sent in binary (%b): text has to be escaped.
    """
    parent, child = _fields(Delivery, without=""), _fields(Attempt, without="delivery_id")
    given = [_from_json(field, place=place) for place, field in enumerate((*parent, *child))]
    names = [f"v{place}" for place in range(len(given))]
    named = {str(field.column): name for field, name in zip(parent, names, strict=False)}
    blobs = [f"b{place}" for place in _places_of_bytes()]
    return (
        f"WITH given AS MATERIALIZED (SELECT {', '.join(map('{} AS {}'.format, given, names))}, place"  # noqa: S608
        f" FROM ROWS FROM (jsonb_array_elements(%s::jsonb), {', '.join('unnest(%b::bytea[])' for _ in blobs)})"
        f" WITH ORDINALITY given (one, {', '.join(blobs)}, place)),"
        f" parent AS (INSERT INTO {_table(Delivery)} ({_columns(parent)})"
        f" SELECT {', '.join(names[: len(parent)])} FROM given ORDER BY place"
        " ON CONFLICT (opentrain_id, endpoint_id) DO NOTHING RETURNING id, opentrain_id, endpoint_id)"
        f" INSERT INTO {_table(Attempt)} (delivery_id, {_columns(child)})"
        f" SELECT id, {', '.join(names[len(parent) :])} FROM parent JOIN given"
        f" ON opentrain_id = {named['opentrain_id']} AND endpoint_id = {named['endpoint_id']} RETURNING uuid"
    )


@lru_cache(maxsize=1)
def _places_of_bytes() -> list[int]:
    """Return the places of columns of bytes in what `_both` returns."""
    both = (*_fields(Delivery, without=""), *_fields(Attempt, without="delivery_id"))
    return [place for place, field in enumerate(both) if _type(field) == "bytea"]


def _from_json(field: "Field[Any, Any]", *, place: int) -> str:
    """Return the SQL for the value of a column in a row that is a JSON array."""
    kind = _type(field)
    if kind == "bytea":
        return f"b{place}"
    return f"nullif(one -> {place}, 'null')" if kind == "jsonb" else f"(one ->> {place})::{kind}"


def _in_json(value: object) -> object:
    """Return, for `json.dumps`, what stands for a value that JSON does not have. Bytes go beside the JSON."""
    if isinstance(value, datetime | uuid.UUID):
        return str(value)
    if isinstance(value, Jsonb):
        return value.obj
    if isinstance(value, bytes | Binary):
        return None
    raise TypeError(f"A {type(value).__name__} cannot be stored.")


def _advanced() -> "list[Field[Any, Any]]":
    return [field for field in _fields(Delivery, without="") if field.name in ADVANCED]


@lru_cache(maxsize=1)
def _update_many() -> str:
    """Return the SQL of `save_advanced`: one array per column, starting with the IDs."""
    names = [str(field.column) for field in _advanced()]
    arrays = ", ".join(["%s::bigint[]", *(f"%s::{_type(field)}[]" for field in _advanced())])
    changes = ", ".join(f"{name} = new.{name}" for name in names)
    return (
        f"UPDATE {_table(Delivery)} old SET {changes}"  # noqa: S608
        f" FROM unnest({arrays}) new(id, {', '.join(names)}) WHERE old.id = new.id"
    )


def _table(model: type[Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)  # noqa: SLF001 - Django's documented way


def _type(field: "Field[Any, Any]") -> str:
    """Return the column type without a length: a cast with a length would truncate values that the column rejects."""
    return str(field.db_type(connection)).partition("(")[0]


def _places(fields: "list[Field[Any, Any]]") -> str:
    return ", ".join(f"%s::{_type(field)}" for field in fields)


def _columns(fields: "list[Field[Any, Any]]") -> str:
    return ", ".join(connection.ops.quote_name(str(field.column)) for field in fields)


@lru_cache(maxsize=2)
def _fields(model: type[Model], *, without: str) -> "list[Field[Any, Any]]":
    fields = model._meta.concrete_fields  # noqa: SLF001 - Django's documented way
    written = [field for field in fields if not field.primary_key and not field.generated]
    return [field for field in written if field.column != without]


def _values(row: Model, *, without: str = "") -> list[Any]:
    using, values = _dialect(), []
    for field, usual, written in _plan(type(row), without=without):
        value = getattr(row, field.attname)
        if type(value) is usual:
            values.append(value if written is None else written(value))
        else:
            values.append(None if value is None else field.get_db_prep_save(value, using))
    return values


@lru_cache(maxsize=1)
def _dialect() -> BaseDatabaseWrapper:
    """Return what tells fields how the database writes values. It is never connected, so all threads share it.

    `connection` is another one in each request of an event loop.
    """
    return connections.create_connection(DEFAULT_DB_ALIAS)


@lru_cache(maxsize=2)
def _plan(model: type[Model], *, without: str) -> "list[tuple[Field[Any, Any], type | None, type | None]]":
    """Return fields, each with the type of its usual values, and the type that the driver gets, None if the same.

    The fields themselves say the same, but asking them takes as long as everything else of a group together.
    """
    numbers = _dialect().ops.integerfield_type_map  # type: ignore[attr-defined]
    plan = []
    for field in _fields(model, without=without):
        written = numbers.get(field.get_internal_type())
        plan.append((field, int if written else _USUAL.get(type(field)), written))
    return plan
