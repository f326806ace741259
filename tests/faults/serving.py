"""The real receiver, console and worker, one behind the other, and deliveries sent as OpenTrain does."""

import atexit
import contextlib
import functools
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
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
RECEIVER = (sys.executable, "-m", "dashboard.receiver")


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
    """The receiver as the front of the console under gunicorn. `start` and `kill` may be called repeatedly."""

    folder: Path
    port: int
    database_url: str
    application: str = "dashboard.wsgi:application"
    changed: dict[str, str] = field(default_factory=dict)
    console: "subprocess.Popen[bytes] | None" = None
    receiver: "subprocess.Popen[bytes] | None" = None
    others: "list[subprocess.Popen[bytes]]" = field(default_factory=list)
    worker: "subprocess.Popen[bytes] | None" = None

    @property
    def private(self) -> Path:
        """The console's private socket."""
        return self.folder / "console"

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
            "RECEIVER_BIND": f"127.0.0.1:{self.port}",
            "RECEIVER_CONSOLE": str(self.private),
            "RECEIVER_SPOOL_DIR": str(self.folder / "receiver"),
            **self.changed,
        }

    def manage(self, *arguments: str) -> None:
        subprocess.run(manage(*arguments), env=self.environment, check=True, capture_output=True, timeout=120)

    def start(self, *options: str) -> None:
        """Start the console, with more options of gunicorn, and the receiver, and wait until both respond."""
        command = gunicorn(application=self.application, bind=f"unix:{self.private}", threads=16)
        self.console = self._run([*command, *options])
        self.receiver = self._run(RECEIVER)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.console.poll() is None and self.receiver.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.get("/static/none") != HTTPStatus.SERVICE_UNAVAILABLE:
                    return
            time.sleep(0.05)
        pytest.fail(f"the site did not come up: {(self.folder / 'site.log').read_text()[-2000:]}")

    def start_another_receiver(self, *, port: int = 0, inherits: "socket.socket | None" = None) -> int:
        """Start one more receiver, on a port or on a socket that it inherits; return its port once it responds."""
        port = inherits.getsockname()[1] if inherits else port or claim_port(0)
        bind = f"fd://{inherits.fileno()}" if inherits else f"127.0.0.1:{port}"
        log = self.folder / f"receiver-{len(self.others)}.log"
        self.others.append(
            self._run(RECEIVER, log=log, RECEIVER_BIND=bind, passed=(inherits.fileno(),) if inherits else ())
        )
        deadline = time.monotonic() + PATIENCE_S
        while "the receiver listens" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.05)
        return port

    def start_worker(self) -> None:
        """Start the worker for the console's background jobs."""
        self.worker = self._run(worker())

    def kill(self) -> None:
        """Kill the receiver, the console's master and worker processes, and the job worker, at once with SIGKILL."""
        running = [one for one in (self.receiver, *self.others, self.console, self.worker) if one is not None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in running:
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

    def _run(
        self, command: Sequence[str], *, log: Path | None = None, passed: tuple[int, ...] = (), **changed: str
    ) -> "subprocess.Popen[bytes]":
        with (log or self.folder / "site.log").open("ab") as output:
            return subprocess.Popen(
                command,
                env=self.environment | changed,
                stdout=output,
                stderr=output,
                pass_fds=passed,
                start_new_session=True,
                preexec_fn=end_with_owner,  # noqa: PLW1509 - only asks the kernel for a signal
            )


def deliver(
    *, port: int, key: str, delivery_id: str, timeout_s: float = PATIENCE_S, secret: str = SECRET
) -> int | None:
    """POST one delivery as OpenTrain does; return the response's status, or None without a response."""
    return answer_to(port=port, key=key, delivery_id=delivery_id, timeout_s=timeout_s, secret=secret)[0]


def answer_to(
    *, port: int, key: str, delivery_id: str, timeout_s: float = PATIENCE_S, secret: str = SECRET, body: bytes = BODY
) -> tuple[int | None, bytes]:
    """POST one delivery as OpenTrain does; return the response's status and body, None and b"" without a response."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    headers = {
        "Content-Type": "application/json",
        "X-OpenTrain-Event": "contract.started",
        "X-OpenTrain-Delivery": delivery_id,
        "X-OpenTrain-Signature": sign(secret=secret, body=body, timestamp=int(time.time())),
        "Connection": "close",
    }
    try:
        with contextlib.closing(connection):
            connection.request("POST", f"/hooks/{key}/", body, headers)
            response = connection.getresponse()
            return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return None, b""


@contextlib.contextmanager
def serving(folder: Path, *, database_url: str, **given: str) -> Iterator[Site]:
    """Serve until the block ends."""
    site = Site(folder=folder, port=claim_port(0), database_url=database_url, changed=given)
    try:
        yield site
    finally:
        site.kill()
