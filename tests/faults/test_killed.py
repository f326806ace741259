"""SIGKILL of all processes at once, under load: no delivery with a 2xx is lost or doubled."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from dashboard.models import Attempt, Delivery
from tests.factories import make_endpoint
from tests.faults.lengths import fitting
from tests.faults.serving import Site, deliver

CONNECTIONS = 8
KILLS = fitting(20, least=3)

Sent = list[tuple[str, int | None]]


@contextmanager
def knocking(*, port: int, key: str) -> Iterator[Sent]:
    """Deliver under load until the block ends; resend each delivery until it gets a 200, as OpenTrain does.

    Yields the list of attempts, each with its status, or None without a response.
    """
    sent: Sent = []
    done, numbers = threading.Event(), itertools.count()

    def knock() -> None:
        while not done.is_set():
            delivery_id, status = f"dlv_{next(numbers)}", None
            while status != 200 and not done.is_set():
                status = deliver(port=port, key=key, delivery_id=delivery_id, timeout_s=20)
                sent.append((delivery_id, status))
                if status != 200:
                    done.wait(0.05)

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        running: list[Future[None]] = [threads.submit(knock) for _ in range(CONNECTIONS)]
        try:
            yield sent
        finally:
            done.set()
    for one in running:
        one.result()


def await_answers(sent: Sent, *, status: int, more: int) -> None:
    """Wait until `count` more responses with this status arrive. Fails after a minute."""
    wanted = sum(answer == status for _, answer in sent) + more
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if sum(answer == status for _, answer in sent) >= wanted:
            return
        time.sleep(0.02)
    pytest.fail(f"no {more} answers {status} came; the last were {sent[-5:]}")


@pytest.mark.xdist_group("faults")
def test_server_killed_again_and_again_loses_nothing_it_answered_and_doubles_nothing(site: Site) -> None:
    endpoint = make_endpoint()
    with knocking(port=site.port, key=str(endpoint.receiver_key)) as sent:
        for _ in range(KILLS):
            await_answers(sent, status=200, more=30)
            site.kill()
            site.start()
        await_answers(sent, status=200, more=30)
    received = Counter(delivery_id for delivery_id, status in sent if status == 200)
    asked = Counter(delivery_id for delivery_id, _ in sent)
    rows = list(Delivery.objects.values_list("opentrain_id", "attempt_count"))
    logged = dict(rows)
    assert len(rows) == len(logged)
    assert not [delivery_id for delivery_id in received if delivery_id not in logged]
    # An attempt without a response may be in the log: at least those with a response, at most all that were made.
    assert not [one for one in logged if not received[one] <= logged[one] <= asked[one]]
    assert Attempt.objects.count() == sum(logged.values())
    assert any(status is None for _, status in sent)
