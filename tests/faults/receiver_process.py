"""The receiver's own process beside a site, and other processes of a test that are killed and started again."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dashboard.launch.processes import claim_port, end_with_owner
from tests.faults.serving import PATIENCE_S


@dataclass
class Program:
    """A program that listens on a port. `start` and `kill` may be called repeatedly."""

    port: int
    log: Path
    environment: dict[str, str]
    command: Sequence[str] = ()
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=end_with_owner,  # noqa: PLW1509 - only asks the kernel for a signal
            )  # fmt: skip
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.05)
        pytest.fail(f"{self.command} did not come up: {self.log.read_text(errors='replace')[-2000:]}")

    def kill(self) -> None:
        """End it at once with SIGKILL."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE_S)

    def end(self) -> int:
        """End it as a supervisor does, with SIGTERM; return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


@dataclass
class Receiver(Program):
    """`python -m dashboard.receiver`, with a spool of its own."""

    command: Sequence[str] = field(default=(sys.executable, "-m", "dashboard.receiver"))

    @property
    def spool(self) -> Path:
        return Path(self.environment["RECEIVER_SPOOL_DIR"])

    def segments(self) -> list[Path]:
        """Return the files of all spools that have attempts."""
        return sorted(self.spool.rglob("*.spool"))

    def keeps_in(self) -> str:
        """Return where it keeps the next attempt: "database", "spool" or "nothing"."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request("GET", "/readyz")
            return str(json.loads(connection.getresponse().read())["checks"]["attempts"]["place"])


@contextlib.contextmanager
def receiving(folder: Path, *, environment: dict[str, str], **given: str) -> Iterator[Receiver]:
    """Run a receiver until the block ends. `environment` is that of its site; `given` changes it."""
    port, spool = claim_port(0), folder / "spool"
    spool.mkdir(mode=0o700, exist_ok=True)
    own = {"RECEIVER_BIND": f"127.0.0.1:{port}", "RECEIVER_SPOOL_DIR": str(spool), "LOG_LEVEL": "WARNING"}
    one = Receiver(port=port, log=folder / "receiver.log", environment=environment | own | given)
    try:
        one.start()
        yield one
    finally:
        one.kill()


@contextlib.contextmanager
def running(folder: Path, *command: str, port: int, environment: dict[str, str]) -> Iterator[Program]:
    """Run a program until the block ends."""
    one = Program(command=command, port=port, log=folder / "program.log", environment=environment)
    try:
        one.start()
        yield one
    finally:
        one.kill()
