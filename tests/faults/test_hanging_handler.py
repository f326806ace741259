"""A handler that hangs on every request takes nobody else down."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashboard.models import Attempt
from tests.factories import make_endpoint
from tests.faults.serving import deliver
from tests.services.misbehaving import misbehaving, silent

CONNECTIONS = 50


@pytest.mark.xdist_group("faults")
def test_fifty_deliveries_to_a_hanging_handler_leave_pages_and_others_quick(site) -> None:
    with misbehaving(silent) as handler, ThreadPoolExecutor(CONNECTIONS) as threads:
        hanging, plain = make_endpoint(handler_url=handler.url), make_endpoint()
        done = threading.Event()

        def knock(number: int) -> list[int | None]:
            """Deliver again and again, as whoever is answered 503 at once would."""
            statuses = []
            while not done.is_set():
                statuses.append(deliver(port=site.port, key=hanging.receiver_key, delivery_id=f"dlv_{number}"))
                done.wait(0.2)
            return statuses

        knocking = [threads.submit(knock, number) for number in range(CONNECTIONS)]
        deadline = time.monotonic() + 10
        while handler.connections < 8 and time.monotonic() < deadline:
            time.sleep(0.05)
        answers, slowest_s = [], 0.0
        for number in range(10):
            started = time.monotonic()
            answers.append(site.get("/accounts/login/"))
            slowest_s = max(slowest_s, time.monotonic() - started)
            started = time.monotonic()
            answers.append(deliver(port=site.port, key=plain.receiver_key, delivery_id=f"plain_{number}"))
            slowest_s = max(slowest_s, time.monotonic() - started)
            time.sleep(0.1)
        done.set()
        statuses = [status for future in knocking for status in future.result()]
    assert answers == [200] * 20
    assert slowest_s < 1
    assert set(statuses) == {503, 504}
    counted = {cause: Attempt.objects.filter(cause=cause).count() for cause in ("timeout", "busy")}
    assert counted == {"timeout": statuses.count(504), "busy": statuses.count(503)}
    assert 8 <= counted["timeout"] <= 16 * 3
