"""OpenTrain and a handler around a receiver under faults, and what the log must have in the end.

The handler numbers its answers. OpenTrain is given the number, and the log keeps it, so the three can be compared
attempt by attempt.
"""

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

import psycopg
import pytest

from tests.faults.receivers import Server
from tests.faults.serving import PATIENCE_S, answer_to

SENDERS = 8
WAITS_S = 10
"""How long OpenTrain waits for an answer."""
AGAIN_AFTER_S = 0.05
REFUSES_ONE_IN = 10

Answer = tuple[int | None, bytes]
"""A status, None without an answer, and a body."""


class Handler:
    """Takes each delivery, but one in ten at the second call only. Each answer has a number of its own.

    It answers after `takes_s`.
    """

    def __init__(self) -> None:
        self.takes_s = 0.0
        self.calls: dict[str, list[Answer]] = {}
        self._numbers = itertools.count()

    def take(self, delivery_id: str) -> tuple[int, bytes]:
        before = self.calls.setdefault(delivery_id, [])
        number = int(delivery_id.removeprefix("dlv_"))
        given = 503 if number % REFUSES_ONE_IN == 0 and not before else 200, b'{"call": %d}' % next(self._numbers)
        before.append(given)
        return given


@contextlib.contextmanager
def handling() -> Iterator[tuple[Handler, str]]:
    """Run a handler until the block ends; yield it with its URL."""
    handler = Handler()

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(handler.takes_s)
            status, body = handler.take(self.headers["X-OpenTrain-Delivery"])
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def handle(self) -> None:
            with contextlib.suppress(OSError):  # the receiver was killed
                super().handle()

        def log_message(self, *_: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Requests)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield handler, server.url
    finally:
        server.stop()


@dataclass(frozen=True, slots=True)
class Try:
    """One POST of a delivery, and what was answered."""

    delivery_id: str
    answer: Answer


@dataclass(slots=True)
class OpenTrain:
    """Sends one delivery after the other over several connections, each again until it succeeds.

    With more than one port, the tries of a delivery go to one after the other, as through a load balancer.
    `succeeded_at` has the times of its successes, by the monotonic clock.
    """

    ports: Sequence[int]
    key: str
    tries: list[Try] = field(default_factory=list)
    succeeded_at: list[float] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """Send until the block ends."""
        threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._done.set()
            for thread in threads:
                thread.join()

    def _send(self) -> None:
        while not self._done.is_set():
            number = next(self._numbers)
            for port in itertools.islice(itertools.cycle(self.ports), number % len(self.ports), None):
                if self._try(f"dlv_{number}", port=port) or self._done.wait(AGAIN_AFTER_S):
                    break

    def _try(self, delivery_id: str, *, port: int) -> bool:
        answer = answer_to(port=port, key=self.key, delivery_id=delivery_id, timeout_s=WAITS_S)
        self.tries.append(Try(delivery_id, answer))
        if answer[0] == 200:
            self.succeeded_at.append(time.monotonic())
        return answer[0] == 200

    def until_more(self, count: int = 50) -> None:
        """Wait until more deliveries have succeeded."""
        enough, deadline = len(self.succeeded_at) + count, time.monotonic() + PATIENCE_S
        while len(self.succeeded_at) < enough:
            assert time.monotonic() < deadline, f"nothing succeeds any more: {[one.answer for one in self.tries[-5:]]}"
            time.sleep(0.02)

    def longest_gap_s(self, *, since: float) -> float:
        """Return the longest time without a success from then on, in seconds."""
        times = sorted(self.succeeded_at)
        return max(then - max(before, since) for before, then in itertools.pairwise([since, *times]) if then > since)

    def answers(self) -> dict[str, list[Answer]]:
        """Return what was answered to each delivery, in order."""
        found: dict[str, list[Answer]] = {}
        for one in self.tries:
            found.setdefault(one.delivery_id, []).append(one.answer)
        return found


def log_of(url: str) -> dict[str, list[Answer]]:
    """Return what the handler answered to each delivery's attempts, in the order of their times.

    The attempts' numbers have no gap, and what the delivery says of its last attempt is what the last says. OpenTrain
    was told what the handler answered, or 503 where the log says so (unkept).
    """
    found: dict[str, list[Answer]] = {}
    with psycopg.connect(url) as database:
        rows = database.execute(
            "SELECT d.opentrain_id, d.attempt_count, d.last_status, d.first_received_at, a.number, a.answered_status,"
            " a.cause, a.handler_status, a.response_head, a.received_at"
            " FROM dashboard_attempt a JOIN dashboard_delivery d ON d.id = a.delivery_id ORDER BY d.id, a.received_at"
        ).fetchall()
    for name, of_one in itertools.groupby(rows, key=lambda row: row[0]):
        attempts = list(of_one)
        _, count, last_status, first_received_at, *_ = attempts[0]
        assert sorted(row[4] for row in attempts) == list(range(1, count + 1)), name
        assert (attempts[-1][5], attempts[0][9]) == (last_status, first_received_at), name
        assert all(row[5] == (503 if row[6] == "unkept" else row[7]) for row in attempts), name
        found[name] = [(row[7], bytes(row[8])) for row in attempts]
    return found


def unkept(url: str) -> set[bytes]:
    """Return the handler's answers of which the log says that OpenTrain was told 503 instead."""
    with psycopg.connect(url) as database:
        rows = database.execute("SELECT response_head FROM dashboard_attempt WHERE cause = 'unkept'").fetchall()
        return {bytes(head) for (head,) in rows}


def out_of_order(url: str) -> int:
    """Return the number of deliveries whose attempts are not numbered in the order of their times."""
    with psycopg.connect(url) as database:
        row = database.execute(
            "SELECT count(DISTINCT delivery_id) FROM (SELECT delivery_id, number, row_number() OVER"
            " (PARTITION BY delivery_id ORDER BY received_at) AS place FROM dashboard_attempt) AS numbered"
            " WHERE number <> place"
        ).fetchone()
        return int(row[0]) if row else 0


def told_late(url: str) -> int:
    """Return the number of attempts of which the log says that OpenTrain was not answered in time."""
    return _count(url, "answered_in_time = false")


def answered_in_time(url: str) -> int:
    """Return the number of attempts of which the log says that OpenTrain was answered in time."""
    return _count(url, "answered_in_time = true")


def await_log(url: str, *, attempts: int) -> dict[str, list[Answer]]:
    """Return the log once it has this many attempts: those of a spool enter it when the database is back."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := _count(url, "true")) < attempts:
        if time.monotonic() > deadline:
            pytest.fail(f"{found} of {attempts} attempts are in the log")
        time.sleep(0.1)
    return log_of(url)


def _count(url: str, condition: str) -> int:
    with psycopg.connect(url) as database:
        row = database.execute(f"SELECT count(*) FROM dashboard_attempt WHERE {condition}").fetchone()  # noqa: S608
        return int(row[0]) if row else 0


def check_log(opentrain: OpenTrain, handler: Handler, log: dict[str, list[Answer]]) -> None:
    """Assert that no answer of the handler that OpenTrain got is missing, that none is doubled, and their order.

    An attempt whose answer was lost may be in the log, because the handler was called.
    """
    for name, answers in opentrain.answers().items():
        assert set(answers) & set(handler.calls.get(name, [])) <= set(log.get(name, [])), name
    for name, attempts in log.items():
        assert attempts == [one for one in handler.calls[name] if one in attempts], name
