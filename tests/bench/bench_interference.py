"""`make bench-interference`: what `make run` does to deliveries when something is in their way.

`make run` is really started, with everything that belongs to it. Four situations follow, one after the other:
at_once   60 deliveries come at once for a handler that takes 5 s, directly and through the receiver
database  all of PostgreSQL is stopped with SIGSTOP for AWAY_S, while deliveries come for a handler that answers at once
worker    the worker is killed with SIGKILL, meanwhile
clients   SLOW_CLIENTS connections send a byte now and then, meanwhile; then senders give up after 2 s, of a handler
          that takes 5 s
Meanwhile means PER_S deliveries a second for FOR_S seconds, each on a connection of its own, whose sender waits 10 s.
Counts are deliveries: `ok` of them answered 2xx, the slowest after `slowest_s`, and `gap_s` the longest time between
two that were answered 2xx. `log_ok` is what the log has as delivered. The last line is one JSON object.
"""

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.arrivals import Answers, request, send, senders
from tests.bench.delayed_handler import handling

if TYPE_CHECKING:
    from tests.launch.test_processes_stay_up import Started

AT_ONCE, AT_ONCE_S = 60, 5
PER_S, FOR_S = 20, 20.0
BEFORE_S, AWAY_S = 3.0, 12.0
"""When something is done to a part, after the deliveries have begun, and how long PostgreSQL stands still."""
SLOW_CLIENTS = 200
GIVING_UP, GIVES_UP_S = 50, 2.0
LOG_WITHIN_S = 60

Found = dict[str, object]

ENDPOINTS = """
import sys, django
django.setup()
from tests.factories import make_endpoint
print(*(make_endpoint(handler_url=url).receiver_key for url in sys.argv[1:]))
"""


def main() -> None:
    """Run the benchmark and print its results."""
    _set_up()
    from tests.launch.test_processes_deliver_on import OWN
    from tests.launch.test_processes_stay_up import started

    folder = Path(tempfile.mkdtemp(prefix="redeliver-bench-"))
    folder.chmod(0o711)  # if root runs this, PostgreSQL runs as another user, who needs access
    try:
        with (
            handling() as handler,
            senders(1) as pool,
            started("run", folder=folder / "data", output=folder / "printed", **OWN) as running,
        ):
            print(json.dumps(_Situations(running, pool=pool, handler=handler).all()))
    finally:
        shutil.rmtree(folder)


def _set_up() -> None:
    """Set Django up for the factories' sake, and let nothing of it reach what is started."""
    given = {"DJANGO_SETTINGS_MODULE": "tests.lint_settings"}
    os.environ |= given
    import django

    django.setup()
    for name in given:
        del os.environ[name]


@dataclass(slots=True)
class _Situations:
    running: "Started"
    pool: ProcessPoolExecutor
    handler: int
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _paths: dict[float, str] = field(default_factory=dict)

    def all(self) -> Found:
        self._register(AT_ONCE_S, 0)
        found: Found = {}
        for name, situation in (
            ("at_once", self.at_once),
            ("alone", lambda: self._meanwhile(contextlib.nullcontext)),
            ("database", lambda: self._meanwhile(self._stopped_database)),
            ("worker", self.worker),
            ("clients", lambda: self._meanwhile(lambda: slow_clients(self.port))),
            ("given_up", self.given_up),
        ):
            found[name] = situation()
            print(f"{name}: {found[name]}", flush=True)
        return found

    def _register(self, *delays_s: float) -> None:
        """Register an endpoint for a handler of each delay."""
        from tests.launch.test_processes_deliver_on import environment

        urls = [f"http://127.0.0.1:{self.handler}/after/{delay_s}/" for delay_s in delays_s]
        given = os.environ | environment(self.running) | {"DJANGO_SETTINGS_MODULE": "dashboard.settings"}
        command = [sys.executable, "-c", ENDPOINTS, *urls]
        made = subprocess.run(command, env=given, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        self._paths = {delay_s: f"/hooks/{key}/" for delay_s, key in zip(delays_s, made, strict=True)}

    @property
    def port(self) -> int:
        return int(self.running.url.rpartition(":")[2])

    def at_once(self) -> Found:
        direct = self._sent(self.handler, f"/after/{AT_ONCE_S}/", count=AT_ONCE, over_s=0)
        through = self._sent(self.port, self._paths[AT_ONCE_S], count=AT_ONCE, over_s=0)
        return {"sent": AT_ONCE, "direct_ok": direct.ok, "ok": through.ok, "statuses": _counted(through)}

    def worker(self) -> Found:
        before = self.running.parts()
        found = self._meanwhile(self._killed_worker)
        after = self.running.parts()
        ended = sorted(name for name in before if after.get(name) != before[name])
        return found | {"ended": ended, "running": sorted(after), "told": self.running.told()[-1:]}

    def given_up(self) -> Found:
        """Of a delivery that its sender has given up, nobody may read that it was answered."""
        path, before = self._paths[AT_ONCE_S], self._log()
        given_up = self._sent(self.port, path, count=GIVING_UP, over_s=1, waits_s=GIVES_UP_S)
        logged = self._log_of(GIVING_UP, before=before)
        return {"sent": GIVING_UP, "ok": given_up.ok, "log": logged}

    def _meanwhile(self, obstacle: Callable[[], contextlib.AbstractContextManager[object]]) -> Found:
        """Let deliveries come, put the obstacle in their way after a moment, and say what came of them."""
        before, count = self._log(), round(PER_S * FOR_S)
        sent = self.pool.submit(send, port=self.port, requests=self._requests(self._paths[0], count), over_s=FOR_S)
        time.sleep(BEFORE_S)
        with obstacle():
            time.sleep(AWAY_S)
        answers = sent.result()
        logged = self._log_of(count, before=before)
        return {
            "sent": count,
            "ok": answers.ok,
            "statuses": _counted(answers),
            "p50_ms": round(answers.percentile_ms(50), 1),
            "p99_ms": round(answers.percentile_ms(99), 1),
            "slowest_s": round(max(answers.times_s), 2),
            "gap_s": round(_gap_s(answers, over_s=FOR_S), 2),
            "log": logged,
        }

    @contextlib.contextmanager
    def _stopped_database(self) -> Iterator[None]:
        postmaster = self.running.parts()["postgres"]
        family = [postmaster, *_children(postmaster)]
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def _killed_worker(self) -> Iterator[None]:
        os.kill(self.running.parts()["worker"], signal.SIGKILL)
        yield

    def _sent(self, port: int, path: str, *, count: int, over_s: float, waits_s: float = 10) -> Answers:
        sent = self.pool.submit(send, port=port, requests=self._requests(path, count), over_s=over_s, waits_s=waits_s)
        return sent.result()

    def _requests(self, path: str, count: int) -> list[bytes]:
        return [request(path, delivery_id=f"dlv_{next(self._numbers):012}") for _ in range(count)]

    def _log(self) -> Counter[str]:
        """Return the number of attempts in the log, by what the log says of them."""
        import psycopg

        from tests.launch.test_processes_deliver_on import environment

        query = "SELECT ok, cause, count(*) FROM dashboard_attempt GROUP BY 1, 2"
        with psycopg.connect(environment(self.running)["DATABASE_URL"]) as database:
            rows = database.execute(query).fetchall()
        return Counter({"ok" if ok else cause or "failed": count for ok, cause, count in rows})

    def _log_of(self, count: int, *, before: Counter[str]) -> dict[str, int]:
        """Return what has come into the log since, once it is `count` attempts, or LOG_WITHIN_S have passed."""
        deadline = time.monotonic() + LOG_WITHIN_S
        while (found := self._log() - before).total() < count and time.monotonic() < deadline:
            time.sleep(0.5)
        return dict(found)


@contextlib.contextmanager
def slow_clients(port: int) -> Iterator[None]:
    """Hold SLOW_CLIENTS connections that send a byte now and then; one that is ended is made anew."""
    done = threading.Event()
    thread = threading.Thread(target=_drip, args=(port, done))
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _drip(port: int, done: threading.Event) -> None:
    heads = (b"POST /hooks/none/ HTTP/1.1\r\nHost: local", b"POST /hooks/none/ HTTP/1.1\r\nHost: l\r\nX-A: ")
    body = b"POST /hooks/none/ HTTP/1.1\r\nHost: l\r\nContent-Length: 1000\r\n\r\n"
    connected: dict[int, socket.socket] = {}
    while not done.wait(0.25):
        for number in range(SLOW_CLIENTS):
            try:
                if number in connected:
                    connected[number].send(b"x", socket.MSG_NOSIGNAL)
                else:
                    connected[number] = socket.create_connection(("127.0.0.1", port), timeout=1)
                    connected[number].send((*heads, body)[number % 3])
            except OSError:
                if number in connected:
                    connected.pop(number).close()
    for one in connected.values():
        one.close()


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _counted(answers: Answers) -> dict[str, int]:
    return dict(Counter(str(status) if status else "no answer" for status in answers.statuses))


def _gap_s(answers: Answers, *, over_s: float) -> float:
    """Return the longest time between two deliveries that were answered 2xx, in seconds."""
    each_s = over_s / len(answers.statuses)
    told = sorted(
        number * each_s + waited
        for number, (status, waited) in enumerate(zip(answers.statuses, answers.times_s, strict=True))
        if status == 200
    )
    return max((after - before for before, after in itertools.pairwise([0.0, *told, over_s])), default=over_s)


if __name__ == "__main__":
    main()
