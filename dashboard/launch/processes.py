"""Start processes, wait until they answer, watch over them, and end them all."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Self

from dashboard.launch.folder import CannotStart

END_S = 7
"""How long a process may take to end by itself; with PostgreSQL's own end after it, all is over within 10 s."""

_PR_SET_PDEATHSIG = 1


class Stopped(Exception):
    """Somebody asked us to stop: Ctrl-C or SIGTERM."""


def stop_on_signals() -> None:
    """Turn SIGINT and SIGTERM into `Stopped`; once only, so that what ends the processes is not interrupted."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def end_with_owner(how: int = signal.SIGKILL) -> None:
    """Run in a child: have the kernel signal it when the process that started it is gone, however it went.

    SIGKILL, because a worker that is asked politely waits for its jobs, and these for a database that is gone too.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, how)


def claim_port(port: int) -> int:
    """Return `port`, or a free one for 0.

    Raises: CannotStart, when it is in use or not ours to use.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise CannotStart(f"Port {port} cannot be used: {reason}. Choose another with PORT=…") from error
        return int(probe.getsockname()[1])


class Processes:
    """The processes of one start. Use as a context manager: leaving it ends them all."""

    def __init__(self, *, logs: Path, environment: Mapping[str, str]) -> None:
        self._logs = logs
        self._environment = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self, name: str, *command: str) -> None:
        """Start a command: one that keeps running, or one that `finish` waits for. Its output is logs/<name>.log."""
        with (self._logs / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,  # a Ctrl-C is for us alone: we end them in order
                preexec_fn=end_with_owner,  # noqa: PLW1509 - no threads run here
            )

    def finish(self, *names: str) -> None:
        """Wait for commands that end by themselves.

        Raises: CannotStart, with the last line of its log, when one failed.
        """
        for name in names:
            if self._running.pop(name).wait() != 0:
                raise CannotStart(f"{name} failed: {self._last_line(name)} (all of it: {self._logs / name}.log)")

    def await_answer(self, *urls: str, within_s: float) -> None:
        """Wait until every URL answers, with any status.

        Raises: CannotStart, when one does not or a process ended meanwhile.
        """
        deadline = time.monotonic() + within_s
        for url in urls:
            while not _answers(url):
                self.check()
                if time.monotonic() > deadline:
                    raise CannotStart(f"{url} did not answer within {within_s:.0f} s; the logs are in {self._logs}.")
                time.sleep(0.05)

    def check(self) -> None:
        """Raises: CannotStart, when a process that should be running is not."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise CannotStart(f"{name} ended: {self._last_line(name)} (all of it: {self._logs / name}.log)")

    def watch(self) -> None:
        """Stay until a process ends or somebody asks us to stop.

        Raises: CannotStart, Stopped.
        """
        while True:
            self.check()
            time.sleep(0.5)

    def end(self) -> None:
        """End them all at once, politely for END_S seconds and then for certain."""
        for process in self._running.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + END_S
        for process in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0, deadline - time.monotonic()))
            if process.poll() is None:
                # The whole group: gunicorn's workers would outlive their master for a moment.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._running.clear()

    def _last_line(self, name: str) -> str:
        lines = (self._logs / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it gave no reason"


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()  # noqa: S310 - our own http addresses
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
