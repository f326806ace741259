"""`demo_handler` serves until it is told to stop."""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings

from dashboard.launch.processes import claim_port


def status_of(port: int) -> int:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("HEAD", "/acme/webhooks")
        return connection.getresponse().status


@pytest.mark.slow
def test_handler_answers_at_its_address_and_ends_on_sigterm(tmp_path: Path) -> None:
    port = claim_port(0)
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DEMO_HANDLER_URL": f"http://localhost:{port}",
        "DEMO_HANDLER_TOKEN": "c4n4ry",
        "DEMO_FOLDER": str(tmp_path),
    }
    command = [sys.executable, "manage.py", "demo_handler"]
    with subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment) as process:
        try:
            until = time.monotonic() + 60
            while True:
                assert process.poll() is None
                try:
                    assert status_of(port) == 405
                    break
                except ConnectionRefusedError:
                    assert time.monotonic() < until
                    time.sleep(0.1)
            (tmp_path / "handler.json").write_text('["acme"]')
            assert status_of(port) == 503
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
