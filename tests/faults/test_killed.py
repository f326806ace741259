"""SIGKILL of all processes, and a stop of PostgreSQL, under load: no delivery with a 2xx is lost or doubled."""

import itertools
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from dashboard.launch import postgres
from dashboard.models import Attempt, Delivery
from tests.factories import make_endpoint
from tests.faults.lengths import FAULT_SECONDS, fitting
from tests.faults.serving import Site, deliver, serving

CONNECTIONS = 8
KILLS = fitting(20, least=3)
AWAY_S = FAULT_SECONDS / 2
"""Length of the database outage; the load before and after it takes about as long again."""

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


@pytest.fixture
def durable_site(tmp_path: Path) -> Iterator[tuple[Site, Path]]:
    """A site with its own PostgreSQL, which has durable commits and may be stopped."""
    folder = Path(tempfile.mkdtemp(prefix="redeliver-fault-"))
    folder.chmod(0o711)  # if root runs this, PostgreSQL runs as another user, who needs access
    server = postgres.start(folder=folder)
    try:
        server.create_database("redeliver")
        with serving(tmp_path, database_url=server.url("redeliver")) as site:
            site.manage("migrate", "--noinput")
            site.manage("shell", "-v", "0", "-c", MAKE_ENDPOINT)
            server.stop()
            yield site, folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


MAKE_ENDPOINT = "from tests.factories import make_endpoint; make_endpoint(receiver_key='k' * 43)"


@pytest.mark.xdist_group("faults")
def test_database_stopped_under_load_fails_no_delivery_and_all_are_in_the_log_afterwards(
    durable_site: tuple[Site, Path],
) -> None:
    site, folder = durable_site
    server = postgres.start(folder=folder)
    try:
        site.start()
        with knocking(port=site.port, key="k" * 43) as sent:
            await_answers(sent, status=200, more=50)
            server.stop()
            stopped = time.monotonic()
            await_answers(sent, status=200, more=50)
            time.sleep(max(0.0, AWAY_S - (time.monotonic() - stopped)))
            server = postgres.start(folder=folder)
            await_answers(sent, status=200, more=50)
        assert {status for _, status in sent} == {200}
        sent_ids = Counter(delivery_id for delivery_id, _ in sent)
        with psycopg.connect(server.url("redeliver"), autocommit=True) as connection:
            await_log(connection, count=len(sent_ids))
            rows = connection.execute("SELECT opentrain_id, attempt_count FROM dashboard_delivery").fetchall()
            attempts = connection.execute("SELECT count(*) FROM dashboard_attempt").fetchone()
    finally:
        server.stop()
    assert Counter(dict(rows)) == sent_ids  # each once
    assert attempts == (len(sent),)


def await_log(connection: "psycopg.Connection[tuple[int]]", *, count: int) -> None:
    """Wait until this many deliveries are in the log: those of the spool enter it once the database is back."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = connection.execute("SELECT count(*) FROM dashboard_delivery").fetchone()
        if found is not None and found[0] >= count:
            return
        time.sleep(0.1)
    pytest.fail(f"{count} deliveries were answered, and {found} are in the log")
