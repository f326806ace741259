"""`make bench-replay`: a receiver's spool of RECORDS attempts enters the log while new deliveries go on.

The receiver is a process of its own, on a separate PostgreSQL with durable commits. It starts with the spool, as after
an outage. Meanwhile CONNECTIONS connections send new deliveries, together NEW_PER_S a second, and each must be answered
200. Its new attempts wait behind the spool, so `replayed_per_s` is of the old ones and `recorded_per_s` of all. `new_`
are the answers to new deliveries meanwhile, and `then_` those of as many seconds after it. The last line is one JSON
object.
"""

import contextlib
import dataclasses
import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.durable import Durable, durable

if TYPE_CHECKING:
    from tests.bench.load import Load

RECORDS = int(os.environ.get("RECORDS", "100000"))
NEW_PER_S = float(os.environ.get("NEW_PER_S", "200"))
CONNECTIONS = 8
NAME = "bench"
ROOM = 2**40
PATIENCE_S = 600


def main() -> None:
    """Run the benchmark and print its results."""
    with durable() as database:
        print(json.dumps(_measured(database)))


def _measured(database: Durable) -> dict[str, float]:
    database.set_up("tests.bench.settings")
    from django.core.management import call_command
    from django.db import connection

    from dashboard.models import Attempt
    from tests.bench.bench_receiver import _requests
    from tests.bench.bench_scale import tree_s
    from tests.bench.load import Load
    from tests.factories import make_endpoint
    from tests.faults.receiver_process import receiving
    from tests.faults.serving import Site

    call_command("migrate", verbosity=0)
    endpoint = make_endpoint()
    spool = database.folder / "spool" / f"{NAME}-a"
    _fill(spool, endpoint_id=endpoint.pk)
    last = max(spool.glob("*.spool"))
    send = _paced(_requests(f"/hooks/{endpoint.receiver_key}/"))
    environment = Site(database.folder, 0, database.url).environment
    began = time.monotonic()
    with receiving(database.folder, environment=environment, RECEIVER_NAME=NAME, LOG_LEVEL="INFO") as receiver:
        assert receiver.process is not None
        new, then = Load(port=receiver.port, send=send), Load(port=receiver.port, send=send)
        begun = time.monotonic()
        pids = (receiver.process.pid, database.postmaster)
        before = [tree_s(pid) for pid in pids]
        _while(new, last.exists)
        took = time.monotonic() - begun
        cpu_s = [tree_s(pid) - then_s for pid, then_s in zip(pids, before, strict=True)]
        then.run(connections=CONNECTIONS, for_s=max(took / 2, 5))
        receiver.end()
    stored, answered = Attempt.objects.count(), len(new.latencies_s) + len(then.latencies_s)
    connection.close()
    print((database.folder / "receiver.log").read_text(), file=sys.stderr)
    if (new.failed, then.failed, stored) != (0, 0, RECORDS + answered):
        sys.exit(f"not 200: {new.failed}, {then.failed}; in the log: {stored} of {RECORDS} + {answered}")
    return {
        "replayed_per_s": round(RECORDS / took, 1),
        "start_s": round(begun - began, 2),
        "receiver_cpu_ms": round(cpu_s[0] / RECORDS * 1000, 3),
        "postgres_cpu_ms": round(cpu_s[1] / RECORDS * 1000, 3),
        "new_per_s": round(len(new.latencies_s) / took, 1),
        "new_median_ms": round(new.percentile_ms(50), 1),
        "new_p99_ms": round(new.percentile_ms(99), 1),
        "then_per_s": round(then.per_s, 1),
        "then_median_ms": round(then.percentile_ms(50), 1),
        "then_p99_ms": round(then.percentile_ms(99), 1),
    }


def _fill(folder: Path, *, endpoint_id: int) -> None:
    from django.conf import settings

    from dashboard.receiver.spool import Spool
    from dashboard.rules.attempt_codec import to_bytes
    from tests.bench.bench_spool import ATTEMPT

    spool = Spool(folder, keys=settings.FIELD_KEYS, max_bytes=ROOM)
    for start in range(0, RECORDS, 500):
        spool.append([to_bytes(_attempt(ATTEMPT, number, endpoint_id)) for number in range(start, start + 500)])
    print(f"the spool has {spool.waiting} attempts in {spool.bytes_used / 1e6:.0f} MB", file=sys.stderr)
    spool.close()


def _attempt(like, number: int, endpoint_id: int):
    event = dataclasses.replace(like.event, delivery_id=f"old_{number:012}")
    return dataclasses.replace(like, id=uuid.uuid4(), endpoint_id=endpoint_id, event=event)


def _paced(give: Callable[[], bytes]) -> Callable[[], bytes]:
    """Return the requests of `give` no faster than NEW_PER_S, over all connections."""
    lock, next_at = threading.Lock(), [time.monotonic()]

    def paced() -> bytes:
        with lock:
            at = next_at[0] = max(next_at[0] + 1 / NEW_PER_S, time.monotonic() - 1)
        time.sleep(max(at - time.monotonic(), 0))
        return give()

    return paced


def _while(load: "Load", is_on: Callable[[], bool]) -> None:
    """Keep the load up while the condition holds."""
    until = time.monotonic() + PATIENCE_S
    with contextlib.ExitStack() as stack:
        stopped = threading.Event()

        def run() -> None:
            while not stopped.is_set():
                load.run(connections=CONNECTIONS, for_s=1)

        thread = threading.Thread(target=run)
        thread.start()
        stack.callback(thread.join)
        stack.callback(stopped.set)
        while is_on():
            if time.monotonic() > until:
                sys.exit(f"the spool was not replayed within {PATIENCE_S} s")
            time.sleep(0.05)


if __name__ == "__main__":
    main()
