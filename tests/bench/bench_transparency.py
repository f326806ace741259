"""`make bench-transparency`: slow deliveries fail no more through the receiver than directly, and slow down no others.

SLOW deliveries arrive within ARRIVE_S, at a handler that answers after DELAY_S. Beside them, each of FAST endpoints
gets FAST_PER_S deliveries a second for a handler that answers at once. The receiver is a process of its own, with
PostgreSQL (durable commits) and a spool; all slow deliveries are of one endpoint. A delivery is a connection, and has
ten seconds from when it was due. Two processes send, one the slow deliveries and one the others.

First, the slow and the fast ones are sent directly to the handler. How long the fast ones take there is what senders
and handler need themselves. Then come PAIRS pairs: the fast ones through the receiver, alone and beside the slow ones.
In the end, the log must have each attempt once. The last line is one JSON object:
direct_ok, through_ok  slow deliveries answered 2xx in time, directly, and through the receiver in the worst pair
fast_p99_ms            99th percentile of the fast ones beside the slow ones; fast_alone_p99_ms alone: medians of pairs
fast_ratio             median of the pairs' ratios of the two
fast_direct_p99_ms     the same of the fast ones without the receiver
rss_mb                 the receiver's most memory in all pairs; rss_idle_mb before its first delivery
"""

import contextlib
import itertools
import json
import os
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.arrivals import Answers, open_many, request, send, senders
from tests.bench.delayed_handler import handling
from tests.bench.durable import Durable, durable

SLOW = int(os.environ.get("SLOW", "2000"))
ARRIVE_S, DELAY_S = float(os.environ.get("ARRIVE_S", "10")), 8.0
FAST, FAST_PER_S = 20, 5
PAIRS = int(os.environ.get("PAIRS", "5"))
REST_S = 2.0
"""Between two parts: what the receiver stores after its answers is stored then."""
LOG_WITHIN_S = 60
_LENGTH_S = ARRIVE_S + DELAY_S


def main() -> None:
    """Run the benchmark and print its results."""
    if open_many() < 2 * SLOW:
        sys.exit("This process may not open enough files: raise its limit (ulimit -n).")
    with durable() as database:
        print(json.dumps(_measured(database)))


def _measured(database: Durable) -> dict[str, float]:
    database.set_up("dashboard.settings")
    from django.db import connection

    from tests.factories import make_endpoint
    from tests.faults.receiver_process import receiving
    from tests.faults.serving import serving

    with contextlib.ExitStack() as stack:
        site = stack.enter_context(serving(database.folder, database_url=database.url))
        site.manage("migrate", "--noinput")
        handler = stack.enter_context(handling())
        urls = [f"http://127.0.0.1:{handler}/after/{delay_s:g}/" for delay_s in (DELAY_S, 0)]
        slow = make_endpoint(handler_url=urls[0])
        fast = [make_endpoint(handler_url=urls[1], install=slow.install) for _ in range(FAST)]
        receiver = stack.enter_context(receiving(database.folder, environment=site.environment, RECEIVER_CONSOLE=""))
        assert receiver.process is not None
        idle_mb = rss_mb(receiver.process.pid)
        bench = _Bench(
            pool=stack.enter_context(senders(2)),
            handler=handler,
            receiver=receiver.port,
            pids={"receiver": receiver.process.pid, "postgres": database.postmaster},
            slow_path=f"/hooks/{slow.receiver_key}/",
            fast_paths=[f"/hooks/{one.receiver_key}/" for one in fast],
        )
        direct_slow, direct_fast = bench.directly()
        pairs = [bench.pair(number) for number in range(PAIRS)]
        _await_log(bench.taken)
    connection.close()
    return {
        "direct_ok": direct_slow.ok,
        "through_ok": min(pair.through_ok for pair in pairs),
        "fast_p99_ms": round(median(pair.beside_ms for pair in pairs), 1),
        "fast_alone_p99_ms": round(median(pair.alone_ms for pair in pairs), 1),
        "fast_ratio": round(median(pair.beside_ms / pair.alone_ms for pair in pairs), 2),
        "fast_failed": sum(pair.fast_failed for pair in pairs),
        "fast_direct_p99_ms": round(direct_fast.percentile_ms(99), 1),
        "rss_mb": bench.most_mb,
        "rss_idle_mb": idle_mb,
    }


@dataclass(frozen=True, slots=True)
class Pair:
    """The results of a pair; times are the fast ones' 99th percentiles."""

    through_ok: int
    alone_ms: float
    beside_ms: float
    fast_failed: int


class _Bench:
    """The parts of the benchmark. `taken` counts the deliveries that the receiver has answered 2xx."""

    def __init__(
        self, *, pool: ProcessPoolExecutor, handler: int, receiver: int, pids: dict[str, int],
        slow_path: str, fast_paths: list[str],
    ) -> None:  # fmt: skip
        self._pool, self._handler, self._receiver, self._pids = pool, handler, receiver, pids
        self._slow_path, self._fast_paths = slow_path, fast_paths
        self._numbers = itertools.count()
        self.taken = 0
        self.most_mb = 0.0

    def directly(self) -> tuple[Answers, Answers]:
        """Return what came of the slow and of the fast ones without the receiver."""
        slow, fast = self._part(self._handler, slow=f"/after/{DELAY_S:g}/", fast=["/after/0/"])
        print(f"directly: {slow.ok} slow ones; p99 of the fast ones {fast.percentile_ms(99):.1f} ms", flush=True)
        return slow, fast

    def pair(self, number: int) -> Pair:
        """Measure one pair, in turn with either part first, and print it."""
        parts = {slow: self._part(self._receiver, slow=slow, fast=self._fast_paths) for slow in self._order(number)}
        _, alone = parts[""]
        slow, beside = parts[self._slow_path]
        self.taken += slow.ok + beside.ok + alone.ok
        pair = Pair(
            through_ok=slow.ok,
            alone_ms=alone.percentile_ms(99),
            beside_ms=beside.percentile_ms(99),
            fast_failed=sum(len(one.statuses) - one.ok for one in (alone, beside)),
        )
        print(
            f"pair {number + 1}: {pair.through_ok} slow ones; p99 of the fast ones {pair.alone_ms:.1f} ms alone, "
            f"{pair.beside_ms:.1f} ms beside, {pair.beside_ms / pair.alone_ms:.2f} times; medians "
            f"{alone.percentile_ms(50):.1f} and {beside.percentile_ms(50):.1f} ms; {self.most_mb:.1f} MB",
            flush=True,
        )
        return pair

    def _order(self, number: int) -> list[str]:
        return [self._slow_path, ""] if number % 2 else ["", self._slow_path]

    def _part(self, port: int, *, fast: list[str], slow: str = "") -> tuple[Answers, Answers]:
        """Send the fast deliveries, and slow ones if these have a path; return what came of the slow and the fast."""
        from tests.bench.bench_scale import tree_s

        time.sleep(REST_S)
        requests = [
            self._request(path) for _, path in zip(range(int(_LENGTH_S * FAST * FAST_PER_S)), itertools.cycle(fast))
        ]
        slow_requests = [self._request(slow) for _ in range(SLOW if slow else 0)]
        before = {name: tree_s(pid) for name, pid in self._pids.items()}
        sent: list[Future[Answers]] = [
            self._pool.submit(send, port=port, requests=slow_requests, over_s=ARRIVE_S),
            self._pool.submit(send, port=port, requests=requests, over_s=_LENGTH_S),
        ]
        while wait(sent, timeout=0.2).not_done:
            self.most_mb = max(self.most_mb, rss_mb(self._pids["receiver"]))
        used = {name: round(tree_s(pid) - before[name], 2) for name, pid in self._pids.items()}
        answers = (sent[0].result(), sent[1].result())
        print(
            f"  {len(requests)} fast and {len(slow_requests)} slow, "
            f"{'directly' if port == self._handler else 'through the receiver'}: "
            f"CPU of the senders {sum(one.cpu_s for one in answers):.2f} s, {used}",
            flush=True,
        )
        return answers

    def _request(self, path: str) -> bytes:
        return request(path, delivery_id=f"dlv_{next(self._numbers):012}")


def rss_mb(pid: int) -> float:
    """Return the memory of a process now, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return round(int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024, 1)


def _await_log(taken: int) -> None:
    """Wait until all that was answered 2xx is in the log, and end the run if it is not, or stands there twice."""
    from dashboard.models import Attempt, Delivery

    deadline = time.monotonic() + LOG_WITHIN_S
    while (found := Delivery.objects.filter(last_ok=True).count()) < taken and time.monotonic() < deadline:
        time.sleep(0.5)
    doubled = Attempt.objects.count() - Delivery.objects.count()
    print(f"{taken} were answered 2xx; the log has {found} of them, and {doubled} doubled")
    if found < taken or doubled:
        sys.exit("the log does not have each attempt once")


if __name__ == "__main__":
    main()
