"""The real web server and worker, as `launch/site.py` starts them, and deliveries sent as OpenTrain does."""

import atexit
import contextlib
import functools
import http.client
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import pytest
from django.conf import settings

from dashboard.launch.processes import claim_port, end_with_owner
from dashboard.launch.site import gunicorn, manage, worker
from dashboard.signatures import sign
from tests.factories import BODY, SECRET

PATIENCE_S = 60


@functools.cache
def collected_static() -> Path:
    """Collect the static files once for all sites of this process."""
    folder = Path(tempfile.mkdtemp(prefix="redeliver-static-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    given = {"DJANGO_SETTINGS_MODULE": "dashboard.settings", "SECRET_KEY": "only-for-tests", "HTTPS": "0"}
    command = manage("collectstatic", "--noinput")
    environment = os.environ | given | {"STATIC_ROOT": str(folder)}
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
    return folder


@dataclass
class Site:
    """The console and the receiver under gunicorn. `start` and `kill` may be called repeatedly."""

    folder: Path
    port: int
    database_url: str
    application: str = "dashboard.wsgi:application"
    changed: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None
    worker: "subprocess.Popen[bytes] | None" = None

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "dashboard.settings",
            "DATABASE_URL": self.database_url,
            "SECRET_KEY": "only-for-tests",
            "FIELD_KEYS": settings.FIELD_KEYS[0],
            "ALLOWED_HOSTS": "localhost,127.0.0.1",
            "HTTPS": "0",
            "HANDLER_PRIVATE_ADDRESSES": "1",
            "STATIC_ROOT": str(collected_static()),
            **self.changed,
        }

    def manage(self, *arguments: str) -> None:
        subprocess.run(manage(*arguments), env=self.environment, check=True, capture_output=True, timeout=120)

    def start(self, *options: str) -> None:
        """Start the server, with more options of gunicorn, and wait until it responds."""
        command = gunicorn(application=self.application, bind=f"127.0.0.1:{self.port}", threads=16)
        self.process = self._run([*command, *options])
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.get("/hooks/none/")
                return
            time.sleep(0.05)
        pytest.fail("the server did not come up")

    def start_worker(self) -> None:
        """Start the worker for the console's background jobs."""
        self.worker = self._run(worker())

    def kill(self) -> None:
        """Kill the server's master and worker processes, and the job worker, at once with SIGKILL."""
        for process in (self.process, self.worker):
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        for process in (self.process, self.worker):
            if process is not None:
                process.wait(PATIENCE_S)

    def get(self, path: str, *, timeout_s: float = PATIENCE_S) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().status

    def read(self, path: str, *, session: str) -> str:
        """Return a page as the signed-in user of this session sees it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Cookie": f"sessionid={session}"})
            response = connection.getresponse()
            assert response.status == HTTPStatus.OK
            return response.read().decode()

    def _run(self, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        with (self.folder / "site.log").open("ab") as log:
            return subprocess.Popen(
                command,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_owner,  # noqa: PLW1509 - only asks the kernel for a signal
            )


def deliver(
    *, port: int, key: str, delivery_id: str, timeout_s: float = PATIENCE_S, secret: str = SECRET
) -> int | None:
    """POST one delivery as OpenTrain does; return the response's status, or None without a response."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    headers = {
        "Content-Type": "application/json",
        "X-OpenTrain-Event": "contract.started",
        "X-OpenTrain-Delivery": delivery_id,
        "X-OpenTrain-Signature": sign(secret=secret, body=BODY, timestamp=int(time.time())),
        "Connection": "close",
    }
    try:
        with contextlib.closing(connection):
            connection.request("POST", f"/hooks/{key}/", BODY, headers)
            return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None


@contextlib.contextmanager
def serving(folder: Path, *, database_url: str, **given: str) -> Iterator[Site]:
    """Serve until the block ends."""
    site = Site(folder=folder, port=claim_port(0), database_url=database_url, changed=given)
    try:
        yield site
    finally:
        site.kill()
