"""The delivery log partitioned by the month of the first receipt, and the plain one: the same rows in one database.

The partitioned tables have the same names in a separate schema, so that the lists' real statements find them there.
Partitioning has a cost in structure: a unique key must include the partition column. So the guarantee that a delivery
is stored once per endpoint needs a separate table (`delivery_key`), and attempts repeat their delivery's time to be
removed with it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from statistics import quantiles

from django.db import connection

SCHEMA = "parted"
PART = timedelta(days=3)
"""A month of rows in ten partitions, the number of a log that is kept for ten months."""
FILTERS = (
    "", "state=failed", "event=contract.started", "event=install.revoked", "cause=5xx", "attempts_min=6",
    "state=failed&event=install.revoked", "resource=con_7", "delivery=dlv_000000005000",
)  # fmt: skip
_TABLES = ("dashboard_delivery", "dashboard_attempt")


def make(*, first: datetime, last: datetime) -> None:
    """Copy the plain log into partitions that cover `first` to `last`."""
    bounds = [first + PART * number for number in range((last - first) // PART + 2)]
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {SCHEMA}")
        cursor.execute(
            f"CREATE TABLE {SCHEMA}.dashboard_delivery (LIKE dashboard_delivery INCLUDING DEFAULTS INCLUDING GENERATED,"
            " PRIMARY KEY (first_received_at, id)) PARTITION BY RANGE (first_received_at)"
        )
        cursor.execute(
            f"CREATE TABLE {SCHEMA}.dashboard_attempt (LIKE dashboard_attempt INCLUDING DEFAULTS,"
            " delivery_at timestamptz NOT NULL) PARTITION BY RANGE (delivery_at)"
        )
        cursor.execute(
            f"ALTER TABLE {SCHEMA}.dashboard_attempt ALTER id SET DEFAULT nextval('public.dashboard_attempt_id_seq')"
        )
        for number, (begin, end) in enumerate(pairwise(bounds)):
            for table in _TABLES:
                cursor.execute(
                    f"CREATE TABLE {SCHEMA}.{table}_{number} PARTITION OF {SCHEMA}.{table}"
                    f" FOR VALUES FROM ('{begin.isoformat()}') TO ('{end.isoformat()}')"
                )
        _copy_rows(cursor)
        for statement in _indexes(cursor):
            cursor.execute(statement)
        cursor.execute(f"CREATE UNIQUE INDEX ON {SCHEMA}.dashboard_attempt (delivery_id, number, delivery_at)")
        cursor.execute(f"CREATE UNIQUE INDEX ON {SCHEMA}.delivery_key (opentrain_id, endpoint_id)")
        cursor.execute(f"CREATE INDEX ON {SCHEMA}.delivery_key (first_received_at)")
        cursor.execute("VACUUM ANALYZE")


def _copy_rows(cursor) -> None:
    columns = _columns(cursor, "dashboard_delivery")
    cursor.execute(
        f"INSERT INTO {SCHEMA}.dashboard_delivery ({columns}) SELECT {columns} FROM public.dashboard_delivery"  # noqa: S608
        " ORDER BY id"
    )
    columns = _columns(cursor, "dashboard_attempt")
    selected = ", ".join(f"a.{name}" for name in columns.split(", "))
    cursor.execute(
        f"INSERT INTO {SCHEMA}.dashboard_attempt ({columns}, delivery_at) SELECT {selected}, d.first_received_at"  # noqa: S608
        " FROM public.dashboard_attempt a JOIN public.dashboard_delivery d ON d.id = a.delivery_id ORDER BY a.id"
    )
    cursor.execute(
        f"CREATE TABLE {SCHEMA}.delivery_key AS SELECT opentrain_id, endpoint_id, id, first_received_at"  # noqa: S608
        " FROM public.dashboard_delivery ORDER BY id"
    )


def _columns(cursor, table: str) -> str:
    cursor.execute(
        "SELECT string_agg(column_name, ', ' ORDER BY ordinal_position) FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = %s AND is_generated = 'NEVER'",
        [table],
    )
    return str(cursor.fetchone()[0])


def _indexes(cursor) -> list[str]:
    """Return statements that create the plain table's indexes on the partitioned one, except the two unique ones."""
    cursor.execute(
        "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'public.dashboard_delivery'::regclass"
        " AND NOT indisunique"
    )
    return [row[0].replace("public.dashboard_delivery", f"{SCHEMA}.dashboard_delivery") for row in cursor.fetchall()]


@contextmanager
def parted() -> Iterator[None]:
    """Make this connection's statements use the partitioned log instead of the plain one."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET search_path TO {SCHEMA}, public")
        yield
        cursor.execute("RESET search_path")


def p95_ms(samples: Sequence[float]) -> float:
    return round(quantiles(samples, n=20)[-1] * 1000, 2)


def timed(call: Callable[[], object], *, times: int) -> list[float]:
    call()
    samples = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        samples.append(time.perf_counter() - began)
    return samples


def pages(world, *, now: datetime) -> list[tuple[str, str, Callable[[], object]]]:
    """Return a call for each page of each list: the list's name, "first" or "deep", and the call."""
    from urllib.parse import parse_qsl

    from dashboard.forms import delivery_filters
    from dashboard.queries import delivery_lists
    from dashboard.queries.delivery_lists import Cursor, Scope

    scopes = {
        "all": Scope.of(world.support), "partner admin": Scope.of(world.partner_admin),
        "install": Scope(install=world.big.install_id), "endpoint": Scope(endpoint=world.big.pk),
    }  # fmt: skip
    found = []
    for name, scope in scopes.items():
        for query in FILTERS:
            criteria = delivery_filters.parse(params=dict(parse_qsl(query)), now=now).criteria

            def read(cursor=None, *, scope=scope, criteria=criteria, limit=50) -> list[tuple[datetime, int]]:
                rows = delivery_lists.page(scope=scope, criteria=criteria, now=now, limit=limit, cursor=cursor)
                return list(rows.defer("body").values_list("first_received_at", "pk"))

            found.append((f"{name}: {query or 'no filter'}", "first", read))
            rows = read(limit=20_000)
            if len(rows) > 200:
                at, pk = rows[-51]
                found.append((f"{name}: {query or 'no filter'}", "deep", partial(read, Cursor(at, pk))))
    return found


def compare_pages(world, *, now: datetime, times: int) -> dict[str, float]:
    """Time every page in turn on the plain log and on the partitioned one."""
    both: dict[tuple[str, str], list[float]] = {}
    worst = (0.0, "")
    for name, on, read in pages(world, now=now):
        plain = timed(read, times=times)
        with parted():
            same = timed(read, times=times)
        both.setdefault(("plain", on), []).extend(plain)
        both.setdefault(("parted", on), []).extend(same)
        worst = max(worst, (p95_ms(same) / p95_ms(plain), f"{name}, {on}"))
    figures = {f"{which}_{on}_page_p95_ms": p95_ms(samples) for (which, on), samples in both.items()}
    return figures | {"parted_worst_page_ratio": round(worst[0], 1), "parted_worst_page": worst[1]}


def insert_statements() -> dict[str, str]:
    """Return the receiver's statement for a first attempt, and its equivalent for partitions with their key table."""
    from dashboard.actions.deliveries import rows

    plain = rows._insert_both()
    head, rest = plain.split(" ON CONFLICT (opentrain_id, endpoint_id) DO NOTHING RETURNING id)")
    columns, places = head.removeprefix('WITH parent AS (INSERT INTO "dashboard_delivery" (').split(") VALUES (")
    child_columns, child = rest.removeprefix(' INSERT INTO "dashboard_attempt" (').split(") SELECT ")
    child_values = child.split(" FROM parent")[0]
    parted_ = (
        "WITH given AS (SELECT nextval('dashboard_delivery_id_seq') AS new_id,"  # noqa: S608
        f" {_named(columns, places.rstrip(')'))}),"
        " key AS (INSERT INTO delivery_key SELECT opentrain_id, endpoint_id, new_id, first_received_at FROM given"
        " ON CONFLICT DO NOTHING RETURNING id),"
        f" parent AS (INSERT INTO dashboard_delivery (id, {columns}) SELECT key.id, {columns} FROM given, key"
        " RETURNING id, first_received_at)"
        f" INSERT INTO dashboard_attempt ({child_columns}, delivery_at) SELECT {child_values}, first_received_at"
        " FROM parent RETURNING id, delivery_id"
    )
    return {"plain": plain, "parted": parted_}


def _named(columns: str, places: str) -> str:
    return ", ".join(f"{place} AS {name}" for name, place in zip(columns.split(", "), places.split(", "), strict=True))


def compare_writes(world, *, now: datetime, count: int) -> dict[str, float]:
    """Insert new deliveries and count a second attempt of each, one commit each, in alternating batches."""
    from dashboard.db.prepared import prepared_cursor
    from tests.factories import BODY

    taken: dict[str, float] = {}
    statements = insert_statements()
    update = (
        "UPDATE dashboard_delivery SET attempt_count = attempt_count + 1, last_attempt_at = now(), last_ok = true,"
        " last_cause = '', standing = 1 WHERE id = %s"
    )
    in_part = (
        " AND first_received_at = (SELECT first_received_at FROM delivery_key WHERE opentrain_id = %s"
        " AND endpoint_id = %s)"
    )
    for number in range(count // 100):
        for which in ("plain", "parted"):
            ids = []
            rows = [_first(world.small, f"dlv_{which}_{number}_{one}", BODY, now) for one in range(100)]
            with parted() if which == "parted" else nullcontext(), prepared_cursor() as cursor:
                began = time.perf_counter()
                for values in rows:
                    cursor.execute(statements[which], values)
                    ids.append(cursor.fetchone()[1])
                taken[f"{which}_insert_ms"] = taken.get(f"{which}_insert_ms", 0) + time.perf_counter() - began
                began = time.perf_counter()
                for one, pk in enumerate(ids):
                    # The row in the key table names the delivery's partition.
                    own = [pk, f"dlv_{which}_{number}_{one}", world.small.pk]
                    cursor.execute(update + in_part, own) if which == "parted" else cursor.execute(update, own[:1])
                taken[f"{which}_update_ms"] = taken.get(f"{which}_update_ms", 0) + time.perf_counter() - began
    return {name: round(seconds * 1000 / count, 3) for name, seconds in taken.items()}


def _first(endpoint, opentrain_id: str, body: bytes, now: datetime) -> list[object]:
    from dashboard.actions.deliveries import attempts, rows
    from dashboard.rules.attempts import AttemptResult, Event

    event = Event(opentrain_id, f"evt_{opentrain_id}", "contract.started", "con_1", body)
    result = AttemptResult(
        received_at=now, request_headers=[["Content-Type", "application/json"]], answered_status=503, cause="status",
        handler_url="", handler_status=None, latency_ms=4, response_headers=[], response_head=b"",
    )  # fmt: skip
    delivery = attempts.first(endpoint_id=endpoint.pk, event=event, result=result)
    attempt = attempts.advance(delivery=delivery, event=event, result=result)
    return rows._both(attempt)


def compare_removal(*, first: datetime, now: datetime) -> dict[str, float]:
    """Remove the oldest partition's rows: by retention from the plain log, by DETACH and DROP from the partitions."""
    from django.test import override_settings

    from dashboard.actions.deliveries.retention import retain

    until = first + PART
    with connection.cursor() as cursor:
        before = _wal(cursor)
        began = time.perf_counter()
        days = (now - until) / timedelta(days=1)
        with override_settings(RETENTION_DAYS=days, BODY_RETENTION_DAYS=0):
            left = retain(now=now)
        plain_s, plain_mb = time.perf_counter() - began, _wal(cursor) - before
        before, began = _wal(cursor), time.perf_counter()
        for table in _TABLES:
            cursor.execute(f"ALTER TABLE {SCHEMA}.{table} DETACH PARTITION {SCHEMA}.{table}_0")
            cursor.execute(f"DROP TABLE {SCHEMA}.{table}_0")
        drop_s = time.perf_counter() - began
        cursor.execute(f"DELETE FROM {SCHEMA}.delivery_key WHERE first_received_at < %s", [until])  # noqa: S608
        keys, parts_s, parts_mb = cursor.rowcount, time.perf_counter() - began, _wal(cursor) - before
    return {
        "retention_removed": left.deliveries, "retention_s": round(plain_s, 1), "retention_wal_mb": round(plain_mb, 1),
        "drop_removed": keys, "drop_s": round(drop_s, 2), "drop_and_keys_s": round(parts_s, 2),
        "drop_and_keys_wal_mb": round(parts_mb, 1),
    }  # fmt: skip


def _wal(cursor) -> float:
    cursor.execute("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn) / 1e6")
    return float(cursor.fetchone()[0])
