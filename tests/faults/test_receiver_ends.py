"""A receiver that is told to end does so, whatever its threads wait for."""

import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dashboard.receiver.__main__ import DRAIN_S
from dashboard.rules.secret_texts import OBSERVATION_KEY_START
from tests.faults.cluster import KEY, Cluster
from tests.faults.receiver_process import Receiver, receiving
from tests.faults.serving import PATIENCE_S, answer_to

pytestmark = [pytest.mark.xdist_group("receiver_faults"), pytest.mark.slow]


def observe(receiver: Receiver) -> int | None:
    """Call the observations API, which looks up the key; return the status, None without an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=PATIENCE_S)
    try:
        headers = {"Authorization": f"Bearer {OBSERVATION_KEY_START}{'x' * 43}", "Content-Type": "application/json"}
        connection.request("POST", "/api/v1/observations/", b"{}", headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def test_receiver_ends_while_a_thread_waits_for_a_database_that_stands_still(cluster: Cluster, tmp_path: Path) -> None:
    cluster.renew(handler_url="")
    with ThreadPoolExecutor(1) as pool, receiving(tmp_path, environment=cluster.environment(tmp_path)) as receiver:
        assert observe(receiver) == 401  # its thread has a connection now
        cluster.freeze()
        try:
            waiting = pool.submit(observe, receiver)
            assert answer_to(port=receiver.port, key=KEY, delivery_id="dlv_1")[0] == 200
            began = time.monotonic()
            assert receiver.end() == 0
            assert time.monotonic() - began < 2 * DRAIN_S
            assert waiting.result() is None
        finally:
            cluster.thaw()
        assert len(receiver.segments()) == 1  # the attempt waits for the next receiver
