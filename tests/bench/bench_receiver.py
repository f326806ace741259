"""`make bench-receiver`: throughput of the receiver, compared in the same run with two bare servers.

The receiver is the front of a console, as `make run` starts it, on a separate PostgreSQL with durable commits. Beside
it: a bare Django view that inserts and commits one row, under gunicorn (`bare_insert_per_s`), and the receiver's own
HTTP server that neither verifies nor stores (`bare_aiohttp_per_s`). The sides alternate in short slices. `ratio` is to
the bare insert. `receiver_cpu_ms` and `postgres_cpu_ms` are the CPU time of one receipt in the receiver's process and
in all of PostgreSQL. The last line is one JSON object.

Measure on an otherwise idle machine. The receiver is one process, and the bare view is two beside one of PostgreSQL for
each thread, so other processes take a larger share of the processor from the receiver: the ratio then says nothing.

The benchmark then compares the receiver alone with the receiver while retention, in a separate process like the
worker's, deletes OLD_ROWS expired deliveries and their attempts. `retention_ratio` is the second's receipts over the
first's; `retention_removed` is the number of rows removed meanwhile.
"""

import contextlib
import itertools
import json
import multiprocessing
import os
import sys
import time
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from tests.bench.durable import Durable, durable

if TYPE_CHECKING:
    from dashboard.models import Endpoint
    from tests.bench.load import Load

CONNECTIONS = 16
SIDE_S = float(os.environ.get("SIDE_S", "20"))
OLD_ROWS = int(os.environ.get("OLD_ROWS", "1000000"))
SLICE_S = 2.0
MOST_SIDES = 3
"""Maximum length of the part with retention, in multiples of SIDE_S, even if rows are left."""
WARM_UP_S = 2.0


def main() -> None:
    """Run the benchmark and print its results."""
    with durable() as database:
        print(json.dumps(_measured(database)))


def _measured(database: Durable) -> dict[str, float]:
    database.set_up("tests.bench.settings")
    from django.db import connection

    from dashboard.launch.processes import claim_port
    from dashboard.models import Attempt, Delivery
    from tests.bench.urls import TABLE
    from tests.factories import make_endpoint
    from tests.faults.receiver_process import running
    from tests.faults.serving import serving

    with contextlib.ExitStack() as stack:
        site = stack.enter_context(
            serving(database.folder, database_url=database.url, DJANGO_SETTINGS_MODULE="tests.bench.settings")
        )
        site.manage("migrate", "--noinput")
        with connection.cursor() as cursor:
            cursor.execute(TABLE)
        endpoint = make_endpoint()
        direct, port = claim_port(0), claim_port(0)
        site.start("--bind", f"127.0.0.1:{direct}")
        command = (sys.executable, "-m", "tests.bench.bare_receiver", str(port))
        stack.enter_context(running(database.folder, *command, port=port, environment=site.environment))
        ports = {"receiver": site.port, "insert": direct, "aiohttp": port}
        assert site.receiver is not None
        pids = {"receiver": site.receiver.pid, "postgres": database.postmaster}
        figures = _beside_bare(ports=ports, pids=pids, key=str(endpoint.receiver_key))
        figures |= _beside_retention(port=site.port, endpoint=endpoint)
    stored = (Delivery.objects.count(), Attempt.objects.count())
    connection.close()
    print(f"deliveries and attempts in the log: {stored}", file=sys.stderr)
    return figures


def _beside_bare(*, ports: dict[str, int], pids: dict[str, int], key: str) -> dict[str, float]:
    from tests.bench.bench_scale import tree_s
    from tests.bench.load import Load

    receiver = Load(port=ports["receiver"], send=_requests(f"/hooks/{key}/"))
    bare = Load(port=ports["insert"], send=_requests("/bare/"))
    aiohttp = Load(port=ports["aiohttp"], send=_requests("/"))
    _warm_up(receiver, bare, aiohttp)
    cpu_s = dict.fromkeys(pids, 0.0)
    while bare.elapsed_s < SIDE_S:
        before = {name: tree_s(pid) for name, pid in pids.items()}
        receiver.run(connections=CONNECTIONS, for_s=SLICE_S)
        for name, pid in pids.items():
            cpu_s[name] += tree_s(pid) - before[name]
        for side in (bare, aiohttp):
            side.run(connections=CONNECTIONS, for_s=SLICE_S)
    _all_answered(receiver, bare, aiohttp)
    return {
        "receipts_per_s": round(receiver.per_s, 1),
        "bare_insert_per_s": round(bare.per_s, 1),
        "bare_aiohttp_per_s": round(aiohttp.per_s, 1),
        "ratio": round(receiver.per_s / bare.per_s, 3),
        "aiohttp_ratio": round(receiver.per_s / aiohttp.per_s, 3),
        "receiver_cpu_ms": round(cpu_s["receiver"] / len(receiver.latencies_s) * 1000, 3),
        "postgres_cpu_ms": round(cpu_s["postgres"] / len(receiver.latencies_s) * 1000, 3),
        "p99_ms": round(receiver.percentile_ms(99), 1),
        "bare_p99_ms": round(bare.percentile_ms(99), 1),
        "p99_ratio": round(receiver.percentile_ms(99) / bare.percentile_ms(99), 3),
    }


def _beside_retention(*, port: int, endpoint: "Endpoint") -> dict[str, float]:
    from django.conf import settings

    from tests.bench.load import Load
    from tests.bench.rows import fill_old

    began = time.monotonic()
    fill_old(endpoint=endpoint, rows=OLD_ROWS, days=settings.RETENTION_DAYS + 1)
    print(
        f"{OLD_ROWS} old deliveries and their attempts were copied in {time.monotonic() - began:.0f} s", file=sys.stderr
    )
    send = _requests(f"/hooks/{endpoint.receiver_key}/", prefix="later")
    alone, beside = Load(port=port, send=send), Load(port=port, send=send)
    _warm_up(alone)
    ours, theirs = multiprocessing.Pipe()
    worker = multiprocessing.get_context("spawn").Process(target=_retain_when_told, args=(theirs,), daemon=True)
    worker.start()
    ours.recv()
    removed = 0
    while removed < OLD_ROWS and beside.elapsed_s < MOST_SIDES * SIDE_S:
        alone.run(connections=CONNECTIONS, for_s=SLICE_S)
        ours.send(SLICE_S)
        beside.run(connections=CONNECTIONS, for_s=SLICE_S)
        removed += ours.recv()
    ours.send(0)
    worker.join()
    _all_answered(alone, beside)
    return {
        "receipts_beside_retention_per_s": round(beside.per_s, 1),
        "receipts_alone_per_s": round(alone.per_s, 1),
        "retention_ratio": round(beside.per_s / alone.per_s, 3),
        "retention_removed": removed,
    }


def _retain_when_told(pipe: Connection) -> None:
    """Run retention for the number of seconds in each message and send back the number of rows removed; 0 ends it."""
    import django

    django.setup()
    from django.utils import timezone

    from dashboard.actions.deliveries.retention import retain

    pipe.send(True)
    while for_s := pipe.recv():
        removed = retain(now=timezone.now(), budget=timedelta(seconds=for_s))
        pipe.send(removed.deliveries + removed.attempts)


def _warm_up(*sides: "Load") -> None:
    for side in sides:
        side.run(connections=CONNECTIONS, for_s=WARM_UP_S)
        side.latencies_s.clear()
        side.elapsed_s = side.failed = 0


def _all_answered(*sides: "Load") -> None:
    if any(side.failed for side in sides):
        sys.exit(f"not every request was answered 200: {[side.failed for side in sides]} were not")


def _requests(path: str, *, prefix: str = "dlv"):
    """Return a function that builds the next request: a new, signed delivery."""
    from dashboard.signatures import sign
    from tests.factories import BODY, SECRET

    numbers = itertools.count()

    def give() -> bytes:
        signature = sign(secret=SECRET, body=BODY, timestamp=int(time.time()))
        lines = (
            f"POST {path} HTTP/1.1",
            "Host: localhost",
            "Content-Type: application/json",
            "User-Agent: OpenTrain-Partner-Webhooks/1.0",
            "X-OpenTrain-Event: contract.started",
            f"X-OpenTrain-Delivery: {prefix}_{next(numbers):012}",
            f"X-OpenTrain-Signature: {signature}",
            f"Content-Length: {len(BODY)}",
        )
        return "\r\n".join([*lines, "", ""]).encode() + BODY

    return give


if __name__ == "__main__":
    main()
