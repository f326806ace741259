"""The Partner API as in production: its own settings and database, and gunicorn on its own port."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from dashboard.launch import postgres
from dashboard.launch.processes import claim_port, end_with_owner
from dashboard.launch.site import gunicorn, manage_partner_api

PATIENCE_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A migrated database of its own, and the environment for processes that use it."""

    url: str
    environment: dict[str, str] = field(repr=False)

    def manage(self, *arguments: str, **variables: str) -> str:
        """Run a management command of the Partner API; return its output."""
        command = manage_partner_api(*arguments)
        environment = self.environment | variables
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=120)
        return done.stdout

    def create_install(self, organization: str) -> dict[str, str]:
        created: dict[str, str] = json.loads(self.manage("create_install", "--organization", organization))
        return created


def installation(server: postgres.Server, *, database: str) -> Installation:
    server.create_database(database)
    environment = os.environ | {
        "PARTNER_API_DATABASE_URL": server.url(database),
        "PARTNER_API_KEYS": Fernet.generate_key().decode(),
        "PARTNER_API_SECRET_KEY": "only-for-tests",
        "PARTNER_API_RUN_INTERVAL_S": "1",
        "PYTHONUNBUFFERED": "1",
    }
    made = Installation(url=server.url(database), environment=environment)
    made.manage("migrate", "--noinput")
    return made


@contextlib.contextmanager
def serving(installed: Installation, *, folder: Path, **variables: str) -> Iterator[int]:
    """Serve until the block ends; yield the port. `launch/partner_api.py` runs the same command."""
    port = claim_port(0)
    log = folder / f"partner-api-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            gunicorn(application="dashboard.partner_api.wsgi:application", bind=f"127.0.0.1:{port}", threads=8),
            env=installed.environment | variables,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=end_with_owner,  # noqa: PLW1509 - it only asks the kernel for a signal
        )
    try:
        _await(process, port=port, log=log)
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_S)


def ask(
    port: int,
    method: str,
    path: str,
    *,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], Any]:
    """Send one request on its own connection; return status, headers, and the body as JSON or text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        text = response.read().decode()
    is_json = response.headers.get_content_type() == "application/json"
    told = {name: "; ".join(response.headers.get_all(name, [])) for name in response.headers}
    return response.status, told, json.loads(text) if is_json else text


def _await(process: "subprocess.Popen[bytes]", *, port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            ask(port, "GET", "/api/partner/v1/openapi.json")
            return
        time.sleep(0.05)
    pytest.fail(f"the server did not come up: {log.read_text()[-2000:]}")
