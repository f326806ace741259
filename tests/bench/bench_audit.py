"""Query times of the activity pages with a million entries: each filter alone and the usual pairs, per role.

python -m tests.bench.bench_audit [ENTRIES]; it starts its own PostgreSQL. It reads the first page of each list and a
deep one (the 1,000th, or the last) by the console's own query, several times in turn. It also writes an operation's
request and result, alternately to the real table and to a copy without the table of unanswered operations and without
the indexes of migration 0016. The last line is one JSON object:
worst       the page with the highest median
p95_ms      the 95th percentile of the pages' medians
slow        the number of pages whose median is above 50 ms
write_ms    the median time of an operation's two entries
without_ms  the same without the additions of migration 0016
ratio       the median of each turn's ratio of the two
"""

import json
import os
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import median, quantiles
from typing import Any

from tests.bench.site import console

ENTRIES = 1_000_000
REPEATS = int(os.environ.get("REPEATS", "5"))
PAGE = 50
DEEP = 1000
SLOW_MS = 50
TURNS, WRITES = 40, 100
ADDED = ("audit_list_of_install", "audit_by_install_id", "audit_by_install_name", "audit_by_endpoint_id")
BEFORE = "CREATE INDEX ON {table} (install_id, at DESC, id DESC)"
"""The indexes that migration 0016 added, and the index that the first of them replaced."""
INDEXES = "SELECT indexdef FROM pg_indexes WHERE tablename = 'dashboard_auditentry' AND indexname <> ALL(%s)"
COPIED = """action, actor_id, actor_name, address, agent, install_id, install_name, install_opentrain_id, endpoint_id,
    endpoint_url, endpoint_opentrain_id, delivery_id, words, quoted, code, request_id, while_stopped"""
COPY = (
    "INSERT INTO before (at, operation, phase, {copied}) SELECT at, operation, phase, {copied} FROM {table} ORDER BY id"
)
WRITE = """
    INSERT INTO {table} (at, operation, phase, {copied})
    SELECT now(), %s, %s, {copied} FROM dashboard_auditentry WHERE id = %s
"""


@dataclass
class Timed:
    """A page of a list, and the time of each read."""

    name: str
    user: Any
    criteria: Any
    cursor: Any
    rows: int
    ms: list[float] = field(default_factory=list)


def filters(places: Any) -> dict[str, dict[str, Any]]:
    """Return the filters by name: each alone, then the pairs that people use together."""
    from tests.bench.audit_rows import NOW

    large, small, endpoint = str(places.large.pk), str(places.small.pk), str(places.endpoint.pk)
    week, day = NOW - timedelta(days=7), NOW - timedelta(days=1)
    return {
        "no filter": {},
        "who: often": {"who": "ana"}, "who: seldom": {"who": "admin-7"}, "who: nobody": {"who": "nobody"},
        "what: often": {"what": "redeliver"}, "what: seldom": {"what": "delete endpoint"}, "what: never": {"what": "x"},
        **{f"outcome: {phase}": {"phase": phase} for phase in ("done", "refused", "unavailable", "unknown")},
        "outcome: no answer": {"phase": "requested"},
        "install: large": {"install": large}, "install: small": {"install": small},
        "install: by name": {"install": places.small.name}, "install: by ID": {"install": places.large.opentrain_id},
        "install: deleted": {"install": places.gone}, "install: unknown": {"install": "Nobody's"},
        "endpoint": {"endpoint": endpoint}, "endpoint: by ID": {"endpoint": places.endpoint.opentrain_id},
        "endpoint: unknown": {"endpoint": "whe_x"},
        "delivery": {"delivery_id": "dlv_000000000042"}, "request": {"request_id": "req_42"},
        "request: unknown": {"request_id": "req_x"},
        "from: day": {"at_from": day}, "to: week": {"at_to": week}, "from, to": {"at_from": week, "at_to": day},
        "who, what": {"who": "ana", "what": "redeliver"}, "who, what: never": {"who": "ana", "what": "pause endpoint"},
        "who, what: seldom": {"who": "admin-7", "what": "delete endpoint"},
        "who, outcome": {"who": "ana", "phase": "refused"}, "who, no answer": {"who": "ana", "phase": "requested"},
        "what, outcome": {"what": "redeliver", "phase": "refused"},
        "what, outcome: seldom": {"what": "delete endpoint", "phase": "unknown"},
        "what, outcome: never": {"what": "grant install", "phase": "requested"},
        "install, what": {"install": large, "what": "redeliver"},
        "install, what: seldom": {"install": large, "what": "delete endpoint"},
        "small install, what": {"install": small, "what": "redeliver"},
        "install, outcome": {"install": large, "phase": "refused"},
        "install, no answer": {"install": large, "phase": "requested"},
        "small install, no answer": {"install": small, "phase": "requested"},
        "install, who": {"install": large, "who": "ana"}, "install, who: seldom": {"install": large, "who": "admin-7"},
        "small install, who": {"install": small, "who": "ana"},
        "endpoint, what": {"endpoint": endpoint, "what": "redeliver"},
        "endpoint, outcome": {"endpoint": endpoint, "phase": "refused"},
        "who, from": {"who": "ana", "at_from": week}, "what, from": {"what": "redeliver", "at_from": day},
        "outcome, from": {"phase": "refused", "at_from": week},
        "no answer, from": {"phase": "requested", "at_from": week},
        "install, from": {"install": large, "at_from": week}, "who, to": {"who": "ana", "at_to": week},
        "who, what, outcome": {"who": "ana", "what": "redeliver", "phase": "unknown"},
        "install, what, outcome": {"install": large, "what": "redeliver", "phase": "unknown"},
        "install, who, what": {"install": large, "who": "ana", "what": "delete endpoint"},
    }  # fmt: skip


def pages(places: Any) -> Iterator[Timed]:
    """Yield two pages of each list: the first and a deep one."""
    from dashboard.queries.audit import AuditCriteria, page
    from dashboard.queries.delivery_lists import Cursor

    for role, user in (("support lead", places.lead), ("partner admin", places.admin), ("viewer", places.viewer)):
        for name, columns in filters(places).items():
            criteria = AuditCriteria(**columns)
            found = page(user=user, criteria=criteria, limit=PAGE + 1)
            yield Timed(f"{name}, as {role}, first page", user, criteria, None, len(found))
            walked = page(user=user, criteria=criteria, limit=PAGE * DEEP) if len(found) > PAGE else []
            if len(walked) > 2 * PAGE:
                cursor = Cursor(walked[-PAGE].at, walked[-PAGE].pk)
                yield Timed(f"{name}, as {role}, page {len(walked) // PAGE}", user, criteria, cursor, len(walked))


def measure(timed: list[Timed]) -> None:
    from dashboard.queries.audit import page

    for turn in range(-1, REPEATS):
        for one in timed:
            started = time.perf_counter()
            page(user=one.user, criteria=one.criteria, limit=PAGE + 1, cursor=one.cursor)
            if turn >= 0:
                one.ms.append((time.perf_counter() - started) * 1000)


def written() -> dict[str, Any]:
    """Return the times of an operation's two entries, with and without the additions of migration 0016."""
    from django.db import connection

    took: dict[str, list[float]] = {"dashboard_auditentry": [], "before": []}
    with connection.cursor() as cursor:
        cursor.execute(INDEXES, [list(ADDED)])
        indexes = [definition for (definition,) in cursor.fetchall()]
        cursor.execute("CREATE TABLE before (LIKE dashboard_auditentry INCLUDING DEFAULTS INCLUDING IDENTITY)")
        cursor.execute(COPY.format(copied=COPIED, table="dashboard_auditentry"))
        for definition in indexes:
            head, _, what = definition.partition(" ON ")
            cursor.execute(f"CREATE {'UNIQUE ' * ('UNIQUE' in head)}INDEX ON before {what.partition(' ')[2]}")
        cursor.execute(BEFORE.format(table="before"))
        cursor.execute("VACUUM ANALYZE before, dashboard_auditentry")
        for turn in range(-2, TURNS):
            for table in sorted(took, reverse=bool(turn % 2)):
                ms = write(cursor, table, first=(turn + 3) * 5000)
                if turn >= 0:
                    took[table].append(ms)
    now, before = took["dashboard_auditentry"], took["before"]
    ratio = median(a / b for a, b in zip(now, before, strict=True))
    return {"write_ms": round(median(now), 3), "without_ms": round(median(before), 3), "ratio": round(ratio, 2)}


def write(cursor: Any, table: str, *, first: int) -> float:
    """Write `WRITES` operations as the audit does, with one commit per entry; return the ms per operation."""
    statement = WRITE.format(table=table, copied=COPIED)
    started = time.perf_counter()
    for number in range(first, first + WRITES):
        operation = uuid.uuid4()
        for phase in ("requested", "done"):
            cursor.execute(statement, [operation, phase, number])
    return (time.perf_counter() - started) * 1000 / WRITES


def main() -> None:
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES
    with console():
        from tests.bench.audit_rows import fill

        timed = list(pages(fill(entries=entries)))
        measure(timed)
        slowest = sorted(timed, key=lambda one: -median(one.ms))
        for one in slowest[:25]:
            print(f"{median(one.ms):7.1f} ms: {one.name}")
        medians = [median(one.ms) for one in timed]
        figures = {
            "entries": entries,
            "pages": len(timed),
            "worst": {"page": slowest[0].name, "ms": round(max(medians), 1)},
            "median_ms": round(median(medians), 1),
            "p95_ms": round(quantiles(medians, n=20)[-1], 1),
            "slow": sum(ms > SLOW_MS for ms in medians),
        }
        print(json.dumps(figures | written()))


if __name__ == "__main__":
    main()
