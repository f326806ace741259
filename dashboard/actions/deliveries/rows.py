"""Writes deliveries and attempts in one statement per group, with values as the database driver takes them.

Names of columns come from the models, and all values are parameters. attempts.py decides what the values are.
"""

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BinaryField, BooleanField, CharField, DateTimeField, Field, ForeignKey, Model, UUIDField
from psycopg import Binary
from psycopg.types.json import Jsonb

from dashboard.db.prepared import prepared_cursor
from dashboard.models import Attempt, Delivery

_USUAL: dict[type, type] = {
    BinaryField: bytes, BooleanField: bool, CharField: str, DateTimeField: datetime, ForeignKey: int,
    UUIDField: uuid.UUID,
}  # fmt: skip


@dataclass(frozen=True, slots=True, repr=False)
class FirstRows:
    """A new delivery and its first attempt as the database is sent them: JSON, and beside it the columns of bytes."""

    json: str
    blobs: list[bytes | None]


def insert_one(attempt: Attempt) -> bool:
    """Insert a new delivery with its first attempt in one statement; return False and do nothing if it exists already.

    Raises: django.db.Error.
    """
    delivery = attempt.delivery
    with prepared_cursor() as cursor:
        cursor.execute(_insert_both(), _both(attempt))
        inserted = cursor.fetchone()
    if inserted is None:
        return False
    attempt.pk, delivery.pk = inserted
    attempt.delivery = delivery  # which has a key now
    return True


def rows_of(attempt: Attempt) -> FirstRows:
    """Return the rows of a new delivery and its first attempt as `insert_many` sends them. It needs no database.

    Raises: OverflowError, TypeError or ValueError for what no column can hold.
    """
    row = _both(attempt)
    return FirstRows(json.dumps(row, default=_in_json), [row[place] for place in _places_of_bytes()])


def insert_many(rows: Sequence[FirstRows]) -> frozenset[uuid.UUID]:
    """Insert new deliveries, each with its first attempt; return the names of the attempts that are inserted.

    Deliveries that exist are passed over.

    Raises: django.db.Error.
    """
    blobs = [list(column) for column in zip(*(one.blobs for one in rows), strict=True)]
    with prepared_cursor() as cursor:
        cursor.execute(_insert_many(), [f"[{','.join(one.json for one in rows)}]", *blobs])
        return frozenset(name for (name,) in cursor.fetchall())


def update_many(deliveries: Sequence[Delivery], *, columns: tuple[str, ...]) -> None:
    """Save these columns of existing deliveries in one statement.

    Django's own bulk_update takes seconds for a thousand rows with this number of columns.
    """
    fields = _named(columns)
    values = [
        [field.get_db_prep_save(getattr(row, field.attname), connection) for row in deliveries] for field in fields
    ]
    ids = [row.pk for row in deliveries]
    with connection.cursor() as cursor:
        cursor.execute(_update_many(columns), [ids, *values])


def _both(attempt: Attempt) -> list[Any]:
    return [*_values(attempt.delivery), *_values(attempt, without="delivery_id")]


@lru_cache(maxsize=1)
def _insert_both() -> str:
    """Return the SQL of `insert_one`."""
    parent, child = _fields(Delivery, without=""), _fields(Attempt, without="delivery_id")
    return (
        f"WITH parent AS (INSERT INTO {_table(Delivery)} ({_columns(parent)}) VALUES ({_places(parent)})"  # noqa: S608
        " ON CONFLICT (opentrain_id, endpoint_id) DO NOTHING RETURNING id)"
        f" INSERT INTO {_table(Attempt)} (delivery_id, {_columns(child)}) SELECT id, {_places(child)} FROM parent"
        " RETURNING id, delivery_id"
    )


@lru_cache(maxsize=1)
def _insert_many() -> str:
    """Return the SQL of `insert_many`: all rows are one JSON parameter, with an array for each column of bytes.

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


def _named(columns: Iterable[str]) -> "list[Field[Any, Any]]":
    return [field for field in _fields(Delivery, without="") if field.name in columns]


@lru_cache(maxsize=1)
def _update_many(columns: tuple[str, ...]) -> str:
    """Return the SQL of `update_many`: one array per column, starting with the IDs."""
    fields = _named(columns)
    names = [str(field.column) for field in fields]
    arrays = ", ".join(["%s::bigint[]", *(f"%s::{_type(field)}[]" for field in fields)])
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
