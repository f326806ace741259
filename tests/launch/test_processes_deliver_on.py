"""`make run`, really started, while deliveries come: a stop finishes what has begun, and loses nothing."""

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from threading import Event

import pytest

from dashboard.launch import postgres
from dashboard.launch.folder import keys
from tests.faults.serving import deliver
from tests.launch.test_folder import ROOT
from tests.launch.test_processes_stay_up import Started, place, started, until
from tests.services.misbehaving import Connection, head, misbehaving

pytestmark = pytest.mark.xdist_group("stays-up")
__all__ = ["place"]

OPENTRAIN_WAITS_S = 10

OWN = {"HANDLER_PRIVATE_ADDRESSES": "1", "OPENTRAIN_BASE_URL": "http://localhost:9/api/partner/v1"}

ENDPOINT = """
import sys, django
django.setup()
from tests.factories import make_endpoint
print(make_endpoint(handler_url=sys.argv[1]).receiver_key)
"""


def environment(running: Started) -> dict[str, str]:
    own = keys(running.folder)
    url = postgres.running_url(folder=running.folder, database="redeliver")
    return {"DATABASE_URL": str(url), "FIELD_KEYS": own.FIELD_KEYS, "SECRET_KEY": own.SECRET_KEY}


def registered(running: Started, *, handler_url: str) -> str:
    """Register an endpoint that delivers through the receiver, and return its key."""
    command = [sys.executable, "-c", ENDPOINT, handler_url]
    given = os.environ | environment(running) | {"DJANGO_SETTINGS_MODULE": "dashboard.settings"}
    return subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=True).stdout.strip()


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
