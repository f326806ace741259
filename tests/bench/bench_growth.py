"""`make bench-growth`: the measured effect of more receivers, partitions and a read replica.

1. Receivers: receipts a second of one and of two receivers (one web process each) on one PostgreSQL, in turn; and the
   CPU cost of a receipt in the receiver and in the database, which shows the limit of scaling with more cores.
2. Partitions (growth_partitions.py): the lists' real statements, the receiver's insert, a second attempt, and the
   removal of the oldest tenth, on ROWS deliveries in one table and in eleven partitions.
3. A streaming replica on the same machine: its lag under the receiver's load, its cost to that load, and reading the
   lists from it.

It starts its own PostgreSQL servers, with durable commits. The last line is one JSON object; ROWS=1000000 by default.
"""

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg

from dashboard.launch import postgres
from tests.bench.bench_scale import tree_s

ROWS = int(os.environ.get("ROWS", "1000000"))
REPEATS = int(os.environ.get("REPEATS", "10"))
SLICE_S = float(os.environ.get("SLICE_S", "4"))
ROUNDS, CONNECTIONS = 3, 16
WRITES = 2_000
TICK_S = 0.02


def main() -> None:
    """Run the benchmark and print its results."""
    with ExitStack() as stack:
        folder = stack.enter_context(_folder())
        server = postgres.start(folder=folder)
        stack.callback(server.stop)
        server.create_database("redeliver")
        _set_up(server.url("redeliver"))
        print(json.dumps(_measured(folder, server)))


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="redeliver-bench-") as name:
        Path(name).chmod(0o711)  # if root runs this, PostgreSQL runs as another user, who needs access
        yield Path(name)


def _set_up(url: str) -> None:
    from cryptography.fernet import Fernet

    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "dashboard.settings", "DATABASE_URL": url, "HTTPS": "0",
        "FIELD_KEYS": Fernet.generate_key().decode(), "SECRET_KEY": "only-for-a-benchmark", "LOG_LEVEL": "ERROR",
    }  # fmt: skip
    import django

    django.setup()


def _measured(folder: Path, server: postgres.Server) -> dict[str, object]:
    from tests.bench.bench_receiver import _requests
    from tests.bench.load import Load
    from tests.factories import make_endpoint
    from tests.faults.serving import serving

    (folder / "one").mkdir()
    (folder / "two").mkdir()
    one_process = {"WEB_WORKERS": "1"}
    url = server.url("redeliver")
    with serving(folder / "one", database_url=url, **one_process) as one:
        one.manage("migrate", "--noinput")
        world, now = _filled()
        key = make_endpoint(install=world.small.install).receiver_key
        with serving(folder / "two", database_url=url, **one_process) as two:
            one.start()
            two.start()
            sides = [Load(port=site.port, send=_requests(f"/hooks/{key}/", prefix=f"n{n}"))
                     for n, site in enumerate((one, two))]  # fmt: skip
            figures = {"rows": ROWS, "receivers": _receivers(server, [one, two], sides)}
            _say("receivers measured")
            figures["replica"] = _replica(server, sides, world=world, now=now)
            _say("replica measured")
    figures["partitions"] = _partitions(world=world, now=now)
    _close()
    return figures


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def _close() -> None:
    from django.db import connections

    connections.close_all()
    connections["default"].close_pool()


def _filled():
    from tests.bench import rows

    world = rows.fill(rows=ROWS)
    _say(f"{ROWS:,} deliveries made")
    return world, rows.NOW


def _receivers(server: postgres.Server, sites: list, sides: list) -> dict[str, float]:
    """Compare one receiver with two. The number of connections is the same; two receivers get half each."""
    _together(sides, for_s=2)
    rates: dict[int, list[float]] = {1: [], 2: []}
    cpu: dict[str, list[float]] = {"receiver": [], "postgres": []}
    for _ in range(ROUNDS):
        for number in (1, 2):
            before = [tree_s(site.receiver.pid) for site in sites], tree_s(server.process.pid)
            taken = _together(sides[:number], for_s=SLICE_S)
            rates[number].append(taken / SLICE_S)
            if number == 1:
                cpu["receiver"].append((sum(tree_s(site.receiver.pid) for site in sites) - sum(before[0])) / taken)
                cpu["postgres"].append((tree_s(server.process.pid) - before[1]) / taken)
    one, two = (statistics.median(rates[number]) for number in (1, 2))
    return {
        "one_per_s": round(one, 1), "two_per_s": round(two, 1), "ratio": round(two / one, 2),
        "receiver_cpu_ms": round(statistics.median(cpu["receiver"]) * 1000, 2),
        "postgres_cpu_ms": round(statistics.median(cpu["postgres"]) * 1000, 2),
    }  # fmt: skip


def _together(sides: list, *, for_s: float) -> int:
    """Load all receivers at once; return the number of receipts with status 200."""
    before = sum(len(side.latencies_s) for side in sides)
    each = {"connections": CONNECTIONS // len(sides), "for_s": for_s}
    threads = [threading.Thread(target=side.run, kwargs=each) for side in sides]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if any(side.failed for side in sides):
        sys.exit(f"not every request was answered 200: {[side.failed for side in sides]} were not")
    return sum(len(side.latencies_s) for side in sides) - before


def _replica(server: postgres.Server, sides: list, *, world, now) -> dict[str, float]:
    """Measure with and without the replica in turn, and read lists from either server under the same load."""
    from tests.bench.growth_partitions import pages

    todo = [call for _name, _on, call in pages(world, now=now)]
    with _folder() as folder:
        _copy(server, folder)
        rates: dict[bool, list[float]] = {True: [], False: []}
        lags: list[float] = []
        lists: dict[str, list[float]] = {"primary": [], "replica": []}
        for _ in range(ROUNDS):
            rates[False].append(_together(sides, for_s=SLICE_S) / SLICE_S)
            replica = postgres.start(folder=folder)
            try:
                _await_caught_up(server, replica)
                lags += _under_load(rates[True], sides, lambda stop, r=replica: _lags(server, r, stop))
                for where, at in (("primary", server), ("replica", replica)):
                    lists[where] += _under_load([], sides, _reading(at, todo))
            finally:
                replica.stop()
    quantiles = statistics.quantiles(lags, n=100)
    found = {f"lists_from_{where}_p95_ms": round(_p95(samples), 1) for where, samples in lists.items()}
    return found | {
        "without_per_s": round(statistics.median(rates[False]), 1),
        "with_per_s": round(statistics.median(rates[True]), 1),
        "lag_p50_ms": round(quantiles[49] * 1000, 1), "lag_p95_ms": round(quantiles[94] * 1000, 1),
        "lag_max_ms": round(max(lags) * 1000, 1), "lag_samples": len(lags),
    }  # fmt: skip


def _p95(samples: list[float]) -> float:
    return statistics.quantiles(samples, n=20)[-1] * 1000


def _copy(server: postgres.Server, folder: Path) -> None:
    """Copy the running server's folder for a replica, as pg_basebackup does; not every PostgreSQL build includes it."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        source = Path(connection.execute("SHOW data_directory").fetchone()[0])
        rules = source / "pg_hba.conf"
        rules.write_text(rules.read_text() + "local replication all peer map=owner\n")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("CREATE TABLE tick (number int)")
        connection.execute("INSERT INTO tick VALUES (0)")
        connection.execute("SELECT pg_create_physical_replication_slot('replica', true)")
        connection.execute("SELECT pg_backup_start('replica', true)")
        subprocess.run(["cp", "-a", source, folder / "postgres"], check=False)  # files change during the copy
        label = connection.execute("SELECT labelfile FROM pg_backup_stop()").fetchone()[0]
    copy = folder / "postgres"
    for stale in ("postmaster.pid", "postmaster.opts"):
        (copy / stale).unlink(missing_ok=True)
    (copy / "backup_label").write_text(label)
    (copy / "standby.signal").touch()
    socket = psycopg.conninfo.conninfo_to_dict(server.url("postgres"))["host"]
    with (copy / "postgresql.auto.conf").open("a") as settings:
        settings.write(f"primary_conninfo = 'host={socket} user={postgres.ROLE}'\nprimary_slot_name = 'replica'\n")
    owner = source.stat()
    for path in ("backup_label", "standby.signal"):
        os.chown(copy / path, owner.st_uid, owner.st_gid)
    _say("replica copied")


def _await_caught_up(server: postgres.Server, replica: postgres.Server) -> None:
    with psycopg.connect(server.url("postgres")) as here, psycopg.connect(replica.url("postgres")) as there:
        end = here.execute("SELECT pg_current_wal_lsn()").fetchone()[0]
        deadline = time.monotonic() + 60
        while not there.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [end]).fetchone()[0]:
            if time.monotonic() > deadline:
                sys.exit("the replica did not catch up")
            there.rollback()
            time.sleep(0.05)


def _under_load(rates: list[float], sides: list, what: Callable[[threading.Event], list[float]]) -> list[float]:
    """Run `what` while the receivers are under load, then set its stop event."""
    stop, samples = threading.Event(), []
    thread = threading.Thread(target=lambda: samples.extend(what(stop)))
    thread.start()
    rates.append(_together(sides, for_s=SLICE_S) / SLICE_S)
    stop.set()
    thread.join()
    return samples


def _lags(server: postgres.Server, replica: postgres.Server, stop: threading.Event) -> list[float]:
    """Measure the time from a row's commit until it is visible on the replica, which is queried without a pause."""
    samples = []
    with (
        psycopg.connect(server.url("postgres"), autocommit=True) as here,
        psycopg.connect(replica.url("postgres"), autocommit=True) as there,
    ):
        while not stop.wait(TICK_S):
            number = here.execute("UPDATE tick SET number = number + 1 RETURNING number").fetchone()[0]
            began = time.perf_counter()
            while there.execute("SELECT number FROM tick").fetchone()[0] < number:
                pass
            samples.append(time.perf_counter() - began)
    return samples


def _reading(at: postgres.Server, todo: list[Callable[[], object]]) -> Callable[[threading.Event], list[float]]:
    """Return a function for a thread that reads every list's pages from this server repeatedly."""

    def read(stop: threading.Event) -> list[float]:
        import dj_database_url
        from django.db import connections

        connection = connections["default"]  # this thread's connection
        connection.settings_dict = connection.settings_dict | dj_database_url.parse(at.url("redeliver"))
        samples = []
        try:
            for call in itertools.cycle(todo):
                began = time.perf_counter()
                call()
                samples.append(time.perf_counter() - began)
                if stop.is_set():
                    break
        finally:
            connection.close()
        return samples

    return read


def _partitions(*, world, now) -> dict[str, float]:
    from dashboard.models import Delivery
    from tests.bench import growth_partitions as parts

    first = now - timedelta(days=30)
    assert Delivery.objects.filter(first_received_at__lt=first).count() == 0
    parts.make(first=first, last=now)
    _say("parts made")
    figures = parts.compare_pages(world, now=now, times=REPEATS)
    _say("pages measured")
    figures |= parts.compare_writes(world, now=now, count=WRITES)
    figures |= parts.compare_removal(first=first, now=now)
    return figures


if __name__ == "__main__":
    main()
