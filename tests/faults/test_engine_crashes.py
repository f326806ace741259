"""The engine under faults, with real processes: workers that are killed, a database that restarts, a receiver that is
away. A sink records every POST; the database must agree with what the sink answered."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
import pytest

from tests.bench import engine_rows
from tests.partner_api import sink

ENDPOINTS = 20
WORKER = [sys.executable, "manage.py", "procrastinate", "--settings", "dashboard.partner_api.settings", "worker"]

pytestmark = pytest.mark.xdist_group("engine_faults")


@pytest.fixture(scope="module")
def prepared() -> Iterator[tuple[object, dict[str, str]]]:
    with engine_rows.database(durable=False) as (server, environment):
        yield server, environment | {"PARTNER_API_TIMEOUT_S": "2", "PARTNER_API_LEASE_S": "3"}


class Recorder:
    """A receiver that notes when each POST came and how it was answered; in between it takes its time."""

    def __init__(self) -> None:
        self.posts: list[tuple[float, str, int]] = []
        self.open: Counter[str] = Counter()
        self.doubled = 0
        self.chance = random.Random(7)  # noqa: S311
        self.lock = threading.Lock()

    def take(self, delivery_id: str) -> int:
        with self.lock:
            self.open[delivery_id] += 1
            self.doubled += self.open[delivery_id] > 1
            pause = self.chance.random() * 0.02
        time.sleep(pause)
        with self.lock:
            self.open[delivery_id] -= 1
            self.posts.append((time.monotonic(), delivery_id, 200))
        return 200


class _Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True


def serve(recorder: Recorder, *, port: int = 0) -> _Server:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status = recorder.take(self.headers["X-OpenTrain-Delivery"])
            try:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:
                self.close_connection = True

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = _Server(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def receiver(recorder: Recorder) -> Iterator[_Server]:
    server = serve(recorder)
    yield server
    server.shutdown()
    server.server_close()


class Workers:
    """Workers under a supervisor that starts a new one for each that ends, as any deployment does."""

    def __init__(self, environment: dict[str, str], *, count: int) -> None:
        self._environment = environment
        self.running = [self._start() for _ in range(count)]

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            WORKER, cwd=engine_rows.ROOT, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def tend(self) -> None:
        self.running = [worker if worker.poll() is None else self._start() for worker in self.running]

    def kill(self, which: int) -> None:
        self.running[which].send_signal(signal.SIGKILL)
        self.running[which].wait(timeout=10)
        self.tend()

    def end(self) -> None:
        for worker in self.running:
            worker.kill()
            worker.wait(timeout=10)


def load(url: str, environment: dict[str, str], target: str, *, count: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE procrastinate_jobs, procrastinate_workers, procrastinate_periodic_defers CASCADE")
    engine_rows.load_endpoints(url, target=target, keys=environment["PARTNER_API_KEYS"], count=ENDPOINTS)
    engine_rows.load_deliveries(url, first=1, count=count, endpoints=ENDPOINTS)


def states(url: str) -> dict[str, int]:
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute("SELECT status, count(*) FROM partner_api_delivery GROUP BY 1").fetchall()
    return dict(rows)


def finish(workers: Workers, url: str, *, count: int, seconds: float) -> None:
    """Tend the workers until everything is delivered."""
    deadline = time.monotonic() + seconds
    while True:
        workers.tend()
        try:
            found = states(url)
        except psycopg.OperationalError:
            found = {}
        if found == {"DELIVERED": count}:
            return
        assert time.monotonic() < deadline, f"stuck: {found}"
        time.sleep(0.2)


def facts(url: str) -> tuple[set[str], int, int]:
    """The deliveries, how many attempts are recorded, and how many claims are left over."""
    with psycopg.connect(url, autocommit=True) as connection:
        names = {row[0] for row in connection.execute("SELECT id FROM partner_api_delivery")}
        attempts = connection.execute("SELECT count(*) FROM partner_api_attempt WHERE status_code = 200").fetchone()
        held = connection.execute("SELECT count(*) FROM partner_api_delivery WHERE claimed_by IS NOT NULL").fetchone()
    assert attempts is not None
    assert held is not None
    return names, attempts[0], held[0]


def test_workers_killed_twenty_times_lose_nothing_and_repeat_only_what_was_in_flight(
    prepared, recorder: Recorder, receiver: _Server, capsys
) -> None:
    server, environment = prepared
    url, count = server.url("partner_api"), 5000
    environment = environment | {"PARTNER_API_MAX_IN_FLIGHT": "40", "PARTNER_API_MAX_PER_ENDPOINT": "4"}
    load(url, environment, f"http://127.0.0.1:{receiver.server_port}/hooks", count=count)
    workers, kills, in_flight = Workers(environment, count=2), [], set()
    chance = random.Random(11)  # noqa: S311
    try:
        for _ in range(20):
            # A worker is worth killing once it works: wait until something more has come in, then a random moment.
            seen = len(recorder.posts)
            deadline = time.monotonic() + 15
            while len(recorder.posts) == seen and len(recorder.posts) < count and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(chance.random() * 0.3)
            workers.kill(chance.randrange(2))
            kills.append(time.monotonic())
            with psycopg.connect(url, autocommit=True) as connection:
                held = connection.execute("SELECT id FROM partner_api_delivery WHERE claimed_by IS NOT NULL")
                in_flight |= {row[0] for row in held}
        finish(workers, url, count=count, seconds=90)
    finally:
        workers.end()
    posts = Counter(delivery_id for _, delivery_id, _ in recorder.posts)
    names, attempts, held_at_the_end = facts(url)
    repeated = {delivery_id for delivery_id, times in posts.items() if times > 1}
    with capsys.disabled():
        print(f"\n20 kills, {count} deliveries: {len(recorder.posts)} posts, {len(repeated)} repeated")  # noqa: T201
    assert len(kills) == 20
    assert set(posts) == names
    assert repeated <= in_flight
    assert held_at_the_end == 0
    assert count <= attempts <= len(recorder.posts)


def test_a_database_that_restarts_twice_loses_nothing(prepared, recorder: Recorder, receiver: _Server) -> None:
    server, environment = prepared
    url, count = server.url("partner_api"), 4000
    load(url, environment, f"http://127.0.0.1:{receiver.server_port}/hooks", count=count)
    workers = Workers(environment, count=1)
    try:
        for part in (1, 2):
            deadline = time.monotonic() + 40
            while len(recorder.posts) < count * part // 4:
                workers.tend()
                assert time.monotonic() < deadline, "nothing arrives any more"
                time.sleep(0.05)
            # PostgreSQL's own way to come back after a crash: every connection is cut and the server recovers.
            with psycopg.connect(url, autocommit=True) as connection:
                backend = connection.execute("SELECT pg_backend_pid()").fetchone()
                assert backend is not None
                os.kill(backend[0], signal.SIGKILL)
            time.sleep(0.3)
        finish(workers, url, count=count, seconds=90)
    finally:
        workers.end()
    names, attempts, held = facts(url)
    assert {delivery_id for _, delivery_id, _ in recorder.posts} == names
    assert held == 0
    assert count <= attempts <= len(recorder.posts)


def test_a_receiver_that_refuses_for_ten_seconds_gets_everything_afterwards(prepared, recorder: Recorder) -> None:
    server, environment = prepared
    url, count = server.url("partner_api"), 60
    environment = environment | {"PARTNER_API_RETRY_DELAYS_S": "4,4,4,4", "PARTNER_API_DISABLE_AFTER": "100"}
    port = int(sink.unused_url().rsplit(":", 1)[1].removesuffix("/hooks"))
    load(url, environment, f"http://127.0.0.1:{port}/hooks", count=count)
    workers = Workers(environment, count=1)
    receiver = None
    try:
        time.sleep(10)
        assert states(url) == {"PENDING": count}
        receiver = serve(recorder, port=port)
        finish(workers, url, count=count, seconds=30)
    finally:
        workers.end()
        if receiver is not None:
            receiver.shutdown()
            receiver.server_close()
    assert sorted(delivery_id for _, delivery_id, _ in recorder.posts) == sorted(facts(url)[0])


def test_two_workers_under_load_never_post_a_delivery_twice_at_once(
    prepared, recorder: Recorder, receiver: _Server
) -> None:
    server, environment = prepared
    url, count = server.url("partner_api"), 4000
    load(url, environment, f"http://127.0.0.1:{receiver.server_port}/hooks", count=count)
    workers = Workers(environment | {"PARTNER_API_LEASE_S": "30"}, count=2)
    try:
        finish(workers, url, count=count, seconds=90)
    finally:
        workers.end()
    assert (recorder.doubled, len(recorder.posts)) == (0, count)
