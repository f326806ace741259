"""A handler that hangs on every request does not affect others."""

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashboard.models import Attempt
from tests.factories import make_endpoint
from tests.faults.serving import PATIENCE_S, Site, deliver
from tests.services.misbehaving import Connection, misbehaving

CONNECTIONS = 50
ROUNDS, TRIES = 10, 5


class Held:
    """A server behaviour that never responds, and counts its connections."""

    def __init__(self) -> None:
        self.begun = self.ended = 0
        self._lock = threading.Lock()

    def behave(self, connection: Connection) -> None:
        connection.read_request()
        with self._lock:
            self.begun += 1
        with contextlib.suppress(OSError):
            connection.sock.recv(1)  # until the receiver gives up
        with self._lock:
            self.ended += 1

    def is_unmoved_by(self, request: Callable[[], int | None]) -> bool:
        """Make a request and expect 200; return whether no wait for the handler ended meanwhile."""
        ended = self.ended
        assert request() == 200
        return self.ended == ended


@pytest.mark.xdist_group("faults")
def test_fifty_deliveries_to_a_hanging_handler_leave_pages_and_others_to_be_answered_meanwhile(site: Site) -> None:
    held = Held()
    with misbehaving(held.behave) as handler, ThreadPoolExecutor(CONNECTIONS) as threads:
        hanging, plain = make_endpoint(handler_url=handler.url), make_endpoint()
        done, began = threading.Event(), time.monotonic()

        def knock(number: int) -> list[int | None]:
            """Deliver repeatedly."""
            statuses = []
            while not done.is_set():
                statuses.append(deliver(port=site.port, key=hanging.receiver_key, delivery_id=f"dlv_{number}"))
                done.wait(0.2)
            return statuses

        def page() -> int:
            return site.get("/accounts/login/")

        def delivery() -> int | None:
            return deliver(port=site.port, key=plain.receiver_key, delivery_id=f"plain_{time.monotonic_ns()}")

        knocking = [threads.submit(knock, number) for number in range(CONNECTIONS)]
        try:
            while held.begun < CONNECTIONS and time.monotonic() < began + PATIENCE_S:
                time.sleep(0.05)
            assert held.begun - held.ended == CONNECTIONS  # all of them wait at once
            for request in [page, delivery] * ROUNDS:
                assert any(held.is_unmoved_by(request) for _ in range(TRIES)), f"{request.__name__} waits for a handler"
        finally:
            done.set()
        statuses = [status for future in knocking for status in future.result()]
    assert set(statuses) == {504}
    assert Attempt.objects.filter(cause="timeout").count() == len(statuses) >= CONNECTIONS
