"""`make run`, really started, while deliveries come: the receiver goes on whatever is killed, and nothing is lost."""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from threading import Event, Thread

import psycopg
import pytest

from dashboard.launch import postgres
from dashboard.launch.folder import keys
from tests.faults.serving import deliver
from tests.launch.test_folder import ROOT
from tests.launch.test_processes_stay_up import Started, place, started, until
from tests.services.misbehaving import Connection, answer, head, misbehaving

pytestmark = pytest.mark.xdist_group("stays-up")
__all__ = ["place"]

SENDERS = 4
SOME = 100
"""How many deliveries come before and after a part is killed."""
OPENTRAIN_WAITS_S = 10
PAUSE_S = 0.02

OWN = {"HANDLER_PRIVATE_ADDRESSES": "1", "OPENTRAIN_BASE_URL": "http://localhost:9/api/partner/v1"}

ENDPOINT = """
import sys, django
django.setup()
from tests.factories import make_endpoint
print(make_endpoint(handler_url=sys.argv[1]).receiver_key)
"""


@dataclass(frozen=True, slots=True)
class Answer:
    delivery_id: str
    status: int | None
    at: float


@dataclass(slots=True)
class OpenTrain:
    """Sends one delivery after the other in several threads, each again until it succeeds."""

    port: int
    key: str
    answers: list[Answer] = field(default_factory=list)
    _ending: Event = field(default_factory=Event)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        threads = [Thread(target=self._send) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ending.set()
            for thread in threads:
                thread.join()

    def _send(self) -> None:
        while not self._ending.is_set():
            delivery_id = f"dlv_{next(self._numbers)}"
            while not self._try(delivery_id):
                time.sleep(PAUSE_S)

    def _try(self, delivery_id: str) -> bool:
        status = deliver(port=self.port, key=self.key, delivery_id=delivery_id, timeout_s=OPENTRAIN_WAITS_S)
        self.answers.append(Answer(delivery_id, status, time.monotonic()))
        return status == HTTPStatus.OK

    def some_more(self) -> None:
        """Wait until some more have succeeded."""
        enough = len(self.succeeded()) + SOME
        until(lambda: len(self.succeeded()) >= enough)

    def succeeded(self) -> list[Answer]:
        return [one for one in self.answers if one.status == HTTPStatus.OK]

    def failed(self) -> list[Answer]:
        return [one for one in self.answers if one.status != HTTPStatus.OK]

    def longest_gap_s(self, *, since: float) -> float:
        """Return the longest time without a success, in seconds."""
        times = [since, *sorted(one.at for one in self.succeeded() if one.at > since)]
        return max(after - before for before, after in itertools.pairwise(times))


def environment(running: Started) -> dict[str, str]:
    own = keys(running.folder)
    url = postgres.running_url(folder=running.folder, database="redeliver")
    return {"DATABASE_URL": str(url), "FIELD_KEYS": own.FIELD_KEYS, "SECRET_KEY": own.SECRET_KEY}


def registered(running: Started, *, handler_url: str) -> str:
    """Register an endpoint that delivers through the receiver, and return its key."""
    command = [sys.executable, "-c", ENDPOINT, handler_url]
    given = os.environ | environment(running) | {"DJANGO_SETTINGS_MODULE": "dashboard.settings"}
    return subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=True).stdout.strip()


def attempts(running: Started) -> Counter[str]:
    """Return how many attempts of each delivery are in the log."""
    query = "SELECT d.opentrain_id FROM dashboard_attempt a JOIN dashboard_delivery d ON d.id = a.delivery_id"
    with psycopg.connect(environment(running)["DATABASE_URL"]) as database:
        return Counter(row[0] for row in database.execute(query))


def kill(running: Started, name: str) -> None:
    """Kill a part with SIGKILL, and wait until it runs again."""
    old = running.parts()[name]
    os.kill(old, signal.SIGKILL)
    until(lambda: running.parts().get(name, old) != old)


def test_deliveries_go_on_whatever_is_killed_and_each_is_in_the_log(place: Path, tmp_path: Path) -> None:
    with (
        misbehaving(answer(200, b"{}")) as handler,
        started("run", folder=place, output=tmp_path / "printed", **OWN) as running,
    ):
        port = int(running.url.rpartition(":")[2])
        sender = OpenTrain(port=port, key=registered(running, handler_url=handler.url))
        with sender.sending():
            for name in ("worker", "console", "postgres", "receiver"):
                sender.some_more()
                if name == "receiver":
                    assert sender.failed() == []
                since = time.monotonic()
                kill(running, name)
                sender.some_more()
                print(f"{name} killed: {sender.longest_gap_s(since=since):.2f} s without a success")  # noqa: T201
        tries = Counter(one.delivery_id for one in sender.answers)
        delivered = {one.delivery_id for one in sender.succeeded()}
        until(lambda: running.console("/readyz")[0] == HTTPStatus.OK)
        until(lambda: delivered <= attempts(running).keys())
        found = attempts(running)
        assert {name: found[name] for name in delivered if tries[name] == 1 and found[name] != 1} == {}
        assert all(found[name] <= tries[name] for name in delivered)


def test_stop_finishes_the_deliveries_in_progress_and_refuses_new_ones(place: Path, tmp_path: Path) -> None:
    going_on = Event()

    def slow(connection: Connection) -> None:
        connection.read_request()
        going_on.wait(OPENTRAIN_WAITS_S)
        connection.sock.sendall(head(200, "Content-Length: 2") + b"{}")

    with (
        misbehaving(slow) as handler,
        started("run", folder=place, output=tmp_path / "printed", **OWN) as running,
        ThreadPoolExecutor(1) as pool,
    ):
        port = int(running.url.rpartition(":")[2])
        key = registered(running, handler_url=handler.url)
        begun = pool.submit(deliver, port=port, key=key, delivery_id="dlv_slow", timeout_s=OPENTRAIN_WAITS_S)
        handler.wait_for_requests(1)
        running.process.send_signal(signal.SIGTERM)
        until(lambda: "the receiver ends" in (place / "logs" / "receiver.log").read_text())
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        going_on.set()
        assert begun.result() == HTTPStatus.OK
        assert running.process.wait(timeout=60) == 0
