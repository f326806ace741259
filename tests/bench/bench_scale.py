"""`make bench-scale`: time per delivery with 1, 2 and 4 workers, and with 10,000 against 1,000,000 finished rows.

A worker is a process that makes delivery runs until no delivery is left. Time and CPU count from the moment when all
workers have finished their imports and first connections. Compared cases alternate, in changing order; the result is
the median of the times, and for growth the median of each round's ratio.
The output also has each process's CPU time and the WAL volume of the database: other load on the machine changes the
times, but not these. The last line is JSON.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

from dashboard.launch import postgres
from tests.bench import engine_rows

PENDING, ROUNDS = 4_000, int(os.environ.get("ROUNDS", "9"))
FEW, MANY = 10_000, 1_000_000
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_RUN = """
import asyncio, django, json, time
django.setup()
from dashboard.partner_api import clock, engine
clock.now()
print("ready", flush=True)
input()
used = time.process_time()
report = asyncio.run(engine.run())
print(json.dumps([time.monotonic(), time.process_time() - used, report.attempted]))
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One round: time and each process's CPU time, in ms per delivery, and WAL, in bytes per delivery."""

    ms: float
    worker_cpu_ms: float
    postgres_cpu_ms: float
    sink_cpu_ms: float
    wal_bytes: float


@dataclass(slots=True)
class Table:
    """A database in which all deliveries but the newest are finished."""

    server: postgres.Server
    environment: dict[str, str]
    url: str
    rows: int = 0

    def load(self, *, target: str, finished: int) -> None:
        engine_rows.load_endpoints(self.url, target=target, keys=self.environment["PARTNER_API_KEYS"])
        engine_rows.load_deliveries(self.url, first=1, count=finished, status="DELIVERED")
        self.rows = finished

    def measure(self, *, workers: int) -> Measured:
        engine_rows.load_deliveries(self.url, first=self.rows + 1, count=PENDING)
        self.rows += PENDING
        command = [sys.executable, "-c", _RUN]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        started = [
            subprocess.Popen(command, cwd=engine_rows.ROOT, env=self.environment, text=True, **pipes)  # type: ignore[call-overload]
            for _ in range(workers)
        ]
        for worker in started:
            worker.stdout.readline()
        wal, postgres_s, sink_s, begun = self._wal(), tree_s(self.server.process.pid), _sink_s(), time.monotonic()
        for worker in started:
            worker.stdin.write("\n")
            worker.stdin.flush()
        ended = [json.loads(worker.communicate(timeout=120)[0]) for worker in started]
        assert sum(attempted for _, _, attempted in ended) == PENDING
        elapsed = max(moment for moment, _, _ in ended) - begun
        time.sleep(1)  # PostgreSQL writes statistics when a backend ends
        after = (sum(used for _, used, _ in ended), tree_s(self.server.process.pid) - postgres_s, _sink_s() - sink_s)
        return Measured(*(seconds * 1000 / PENDING for seconds in (elapsed, *after)), (self._wal() - wal) / PENDING)

    def _wal(self) -> int:
        """Return the WAL written so far, in bytes, after a checkpoint."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
            row = connection.execute("SELECT wal_bytes FROM pg_stat_wal").fetchone()
        assert row is not None
        return int(row[0])


def _ticks(pid: str) -> list[int]:
    """Return a process's parent ID, then its user, system, children's user and children's system time, in ticks."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return [0] * 5
    return [int(fields[1]), *(int(field) for field in fields[11:15])]


def tree_s(pid: int) -> float:
    """Return the CPU seconds of a process and of its running and ended children."""
    everybody = {found.name: _ticks(found.name) for found in Path("/proc").iterdir() if found.name.isdigit()}
    children = sum(ticks[1] + ticks[2] for ticks in everybody.values() if ticks[0] == pid)
    return (sum(everybody[str(pid)][1:]) + children) * _TICK_S


def _sink_s() -> float:
    """Return the CPU seconds of the sink, the child of this process that runs to the end."""
    mine = [found.name for found in Path("/proc").iterdir() if found.name.isdigit()]
    sinks = [pid for pid in mine if _ticks(pid)[0] == os.getpid() and b"engine_rows" in _command(pid)]
    return sum(_ticks(pid)[1] + _ticks(pid)[2] for pid in sinks) * _TICK_S


def _command(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _median(rounds: list[Measured], name: str) -> float:
    return statistics.median(getattr(measured, name) for measured in rounds)


def _shown(rounds: list[Measured]) -> dict[str, float]:
    return {name: round(_median(rounds, name), 3) for name in Measured.__slots__}


def _growth(tried: dict[str, list[Measured]], *names: str) -> float:
    """Return the ratio of many finished rows to few, compared per round because a round's two follow each other."""
    many, few = ([sum(getattr(one, name) for name in names) for one in tried[key]] for key in ("1_many", "1"))
    ratios = [of_many / of_few for of_many, of_few in zip(many, few, strict=True)]
    return round(statistics.median(ratios), 2)


def main() -> None:
    with engine_rows.database() as (server, environment), engine_rows.sink() as target:
        few = Table(server, environment, server.url("partner_api"))
        other = engine_rows.migrated(server, environment, database="partner_api_many")
        many = Table(server, other, server.url("partner_api_many"))
        few.load(target=target, finished=FEW)
        many.load(target=target, finished=MANY)
        tried: dict[str, list[Measured]] = {}
        turns = [("1", few, 1), ("1_many", many, 1), ("2", few, 2), ("4", few, 4)]
        for _ in range(ROUNDS):
            turns.reverse()
            for name, table, workers in turns:
                tried.setdefault(name, []).append(table.measure(workers=workers))
                print(name, tried[name][-1], flush=True)
    growth = {
        "growth": _growth(tried, "ms"),
        "growth_of_cpu": _growth(tried, "worker_cpu_ms", "postgres_cpu_ms"),
        "growth_of_wal": _growth(tried, "wal_bytes"),
    }
    names = {"1": "1_worker", "2": "2_workers", "4": "4_workers", "1_many": "1_worker_1000000_finished"}
    print(json.dumps({names[name]: _shown(rounds) for name, rounds in tried.items()} | growth))


if __name__ == "__main__":
    main()
