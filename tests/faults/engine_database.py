"""The engine's database in a fault test: reading its state, waiting, and restarting the server."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from dashboard.launch import postgres
from tests.bench import engine_rows
from tests.faults.receivers import Recorder, Workers

ENDPOINTS = 20
_QUEUE = "TRUNCATE procrastinate_jobs, procrastinate_workers, procrastinate_periodic_defers CASCADE"


@dataclass(frozen=True, slots=True)
class Facts:
    """The final state of the database: each delivery's state, its recorded statuses, and the number of claims left."""

    states: dict[str, str]
    recorded: dict[str, Counter[int]]
    held: int

    @property
    def attempts(self) -> int:
        return sum(statuses.total() for statuses in self.recorded.values())


def load(url: str, environment: dict[str, str], target: str, *, count: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_QUEUE)
    engine_rows.load_endpoints(url, target=target, keys=environment["PARTNER_API_KEYS"], count=ENDPOINTS)
    engine_rows.load_deliveries(url, first=1, count=count, endpoints=ENDPOINTS)


def states(url: str) -> dict[str, int]:
    with psycopg.connect(url, autocommit=True) as connection:
        return dict(connection.execute("SELECT status, count(*) FROM partner_api_delivery GROUP BY 1").fetchall())


def held(url: str) -> set[tuple[str, str]]:
    """Return the deliveries claimed at this moment, each with its claim."""
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute("SELECT id, claimed_by::text FROM partner_api_delivery WHERE claimed_by IS NOT NULL")
        return set(rows.fetchall())


def facts(url: str) -> Facts:
    with psycopg.connect(url, autocommit=True) as connection:
        found = dict(connection.execute("SELECT id, status FROM partner_api_delivery").fetchall())
        recorded: dict[str, Counter[int]] = {name: Counter() for name in found}
        for name, status in connection.execute("SELECT delivery_id, status_code FROM partner_api_attempt"):
            recorded[name][status] += 1
    return Facts(states=found, recorded=recorded, held=len(held(url)))


def causes(url: str) -> dict[str, int]:
    """Return the number of attempts by cause of failure; an empty cause is a success."""
    with psycopg.connect(url, autocommit=True) as connection:
        return dict(connection.execute("SELECT cause, count(*) FROM partner_api_attempt GROUP BY 1").fetchall())


def restart(server: postgres.Server) -> None:
    """Stop the server, which closes every connection, and start it again on the same data and socket."""
    folder = server._place.data.parent
    server.stop()
    server.process = postgres.start(folder=folder, durable=False).process


def finish(workers: Workers, url: str, *, expected: dict[str, int], seconds: float) -> None:
    """Keep the workers running until the deliveries' states are as expected."""
    deadline = time.monotonic() + seconds
    while True:
        workers.tend()
        try:
            found = states(url)
        except psycopg.OperationalError:
            found = {}
        if found == expected:
            return
        assert time.monotonic() < deadline, f"stuck: {found}"
        time.sleep(0.2)


def until(condition: Callable[[], bool], *, seconds: float) -> None:
    """Wait until the condition is true. Fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def until_arrived(workers: Workers, recorder: Recorder, *, count: int, seconds: float = 120) -> None:
    """Keep the workers running until the receiver has had `count` POSTs."""
    deadline = time.monotonic() + seconds
    while len(recorder.posts) < count:
        workers.tend()
        assert time.monotonic() < deadline, f"nothing arrives any more: {len(recorder.posts)} of {count}"
        time.sleep(0.02)
