"""`make bench-groups`: receipts per second, and CPU per receipt, by the size of a group.

First attempts, recorded with one commit each as `record_of_one` does, and in groups, in turns, by one connection to a
separate PostgreSQL with durable commits. CPU is this process's and that of all of PostgreSQL's processes. `next_` are
second attempts. `arrays_` are groups by one statement with an array per column, to compare. The last line is one JSON
object.
"""

import itertools
import json
import os
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from tests.bench.durable import Durable, durable

SIZES = (1, 10, 100, 500)
SLICE = int(os.environ.get("SLICE", "1000"))
"""Receipts in one turn of one side."""
TURNS = int(os.environ.get("TURNS", "5"))


@dataclass
class Side:
    """The sums of one side's turns."""

    receipts: int = 0
    elapsed_s: float = 0.0
    python_s: float = 0.0
    postgres_s: float = 0.0

    def figures(self, name: str) -> dict[str, float]:
        return {
            f"{name}_per_s": round(self.receipts / self.elapsed_s, 1),
            f"{name}_python_ms": round(self.python_s / self.receipts * 1000, 3),
            f"{name}_postgres_ms": round(self.postgres_s / self.receipts * 1000, 3),
        }


def main() -> None:
    """Run the benchmark and print its results."""
    with durable() as database:
        print(json.dumps(_measured(database)))


def _measured(database: Durable) -> dict[str, float]:
    database.set_up("dashboard.settings")
    from django.core.management import call_command
    from django.db import connections

    call_command("migrate", verbosity=0)
    sides = _sides()
    sums: dict[str, Side] = defaultdict(Side)
    _turn(sides, sums=defaultdict(Side), postgres=database.postmaster)  # warm up
    for _ in range(TURNS):
        _turn(sides, sums=sums, postgres=database.postmaster)
    connections.close_all()
    connections["default"].close_pool()
    return {key: value for name, side in sums.items() for key, value in side.figures(name).items()}


def _turn(sides: dict[str, tuple[int, Callable[..., None]]], *, sums: dict[str, Side], postgres: int) -> None:
    from dashboard.actions.deliveries.groups import record_group

    for name, (size, write) in sides.items():
        receipts = [_receipt() for _ in range(SLICE)]
        if name.startswith("next_"):
            record_group(attempts=receipts)
            receipts = [replace(one, id=uuid.uuid4()) for one in receipts]
        began, python, server = time.monotonic(), time.process_time(), _cpu_s(postgres)
        for start in range(0, SLICE, size):
            write(receipts[start : start + size])
        side = sums[name]
        side.receipts += SLICE
        side.elapsed_s += time.monotonic() - began
        side.python_s += time.process_time() - python
        side.postgres_s += _cpu_s(postgres) - server


def _sides() -> dict[str, tuple[int, Callable[..., None]]]:
    from dashboard.actions.deliveries.groups import record_group
    from dashboard.actions.deliveries.record import record_of_one
    from tests.factories import make_endpoint

    global _endpoint  # noqa: PLW0603 - Django is set up only now
    _endpoint = make_endpoint()

    def one(given: list[Any]) -> None:
        record_of_one(given)

    def group(given: list[Any]) -> None:
        assert not any(result.error for result in record_group(attempts=given))

    sides: dict[str, tuple[int, Callable[..., None]]] = {"alone": (1, one)}
    sides |= {f"group_{size}": (size, group) for size in SIZES}
    sides |= {"next_alone": (1, one)} | {f"next_{size}": (size, group) for size in SIZES[1:]}
    sides |= {f"arrays_{size}": (size, _by_arrays) for size in SIZES[1:]}
    return sides


def _by_arrays(given: list[Any]) -> None:
    from dashboard.actions.deliveries import attempts, rows
    from dashboard.db.prepared import prepared_cursor

    values = [rows._both(attempts._first_attempt(one)) for one in given]
    with prepared_cursor() as cursor:
        # Planned for this number of rows: a plan for any number would join each row with every other.
        cursor.cursor.execute(_arrays(), [list(column) for column in zip(*values, strict=True)], prepare=False)
        assert len(cursor.fetchall()) == len(given)


@lru_cache(maxsize=1)
def _arrays() -> str:
    from dashboard.actions.deliveries import rows
    from dashboard.models import Attempt, Delivery

    parent = rows._fields(Delivery, without="")
    child = rows._fields(Attempt, without="delivery_id")
    parents, children = ([f"{at}{number}" for number in range(len(of))] for at, of in (("d", parent), ("a", child)))
    arrays = ", ".join(f"%s::{rows._type(field)}[]" for field in (*parent, *child))
    return (
        "WITH given AS MATERIALIZED (SELECT nextval('dashboard_delivery_id_seq') id, *"  # noqa: S608
        f" FROM unnest({arrays}) rows ({', '.join([*parents, *children])})),"
        f" parent AS (INSERT INTO dashboard_delivery (id, {rows._columns(parent)})"
        f" SELECT id, {', '.join(parents)} FROM given"
        " ON CONFLICT (opentrain_id, endpoint_id) DO NOTHING RETURNING id)"
        f" INSERT INTO dashboard_attempt (delivery_id, {rows._columns(child)})"
        f" SELECT id, {', '.join(children)} FROM parent JOIN given USING (id) RETURNING uuid"
    )


_numbers = itertools.count()
_endpoint: Any = None


def _receipt() -> Any:
    from dashboard.rules.attempts import AttemptResult, Event, RecordedAttempt
    from tests.factories import BODY

    number = next(_numbers)
    event = Event(f"dlv_{number:012}", f"evt_{number:012}", "contract.started", f"con_{number}", BODY)
    result = AttemptResult(
        received_at=datetime.now(UTC),
        request_headers=[
            ["Host", "redeliver.example.com"],
            ["Content-Type", "application/json"],
            ["User-Agent", "OpenTrain-Partner-Webhooks/1.0"],
            ["X-OpenTrain-Event", "contract.started"],
            ["X-OpenTrain-Delivery", event.delivery_id],
            ["X-OpenTrain-Signature", "t=1781265600,v1=" + "a" * 64],
            ["Content-Length", str(len(BODY))],
        ],
        answered_status=200,
        cause="",
        handler_url="https://handler.example.com/hooks/opentrain",
        handler_status=200,
        latency_ms=12,
        response_headers=[["Content-Type", "application/json"], ["Server", "nginx"], ["Content-Length", "18"]],
        response_head=b'{"received": true}',
    )
    return RecordedAttempt(uuid.uuid4(), _endpoint.pk, event, result)


def _cpu_s(postmaster: int) -> float:
    """Return the CPU time of a PostgreSQL server: of its processes, and of those that have ended."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(stat.parent.name) == postmaster:
            ticks += sum(map(int, fields[11:15]))
        elif int(fields[1]) == postmaster:
            ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
