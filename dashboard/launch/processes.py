"""Starting processes, waiting until they respond, watching them, and ending all of them."""

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
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Self

from dashboard.launch.folder import CannotStart, open_private

END_S = 7
"""How long a process may take to end after SIGTERM, in seconds. With PostgreSQL's stop, everything ends within 10 s."""

_PR_SET_PDEATHSIG = 1


class Ended(CannotStart):
    """A process ended although everything was up. The message says which, with the last line of its log."""


class Stopped(Exception):
    """A signal requested a stop: Ctrl-C, SIGTERM or SIGHUP."""


def stop_on_signals() -> None:
    """Raise `Stopped` on SIGINT, SIGTERM or SIGHUP, only once, so that ending the processes is not interrupted."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def end_with_owner(how: int = signal.SIGKILL) -> None:
    """Call in a child process: the kernel signals it when its parent ends for any reason.

    SIGKILL, because after SIGTERM a worker waits for its jobs, which wait for a database that has ended too.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, how)


def claim_port(port: int) -> int:
    """Return `port`, or a free one for 0.

    Raises: CannotStart if it is in use or not permitted.
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
    """The processes of one start. Use it as a context manager: leaving it ends all of them."""

    def __init__(self, *, logs: Path, environment: Mapping[str, str]) -> None:
        self._logs = logs
        self._environment = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        self._commands: dict[str, tuple[str, ...]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self, name: str, *command: str) -> None:
        """Start a command that keeps running or that `finish` waits for. Its output goes to logs/<name>.log.

        Raises: CannotStart if that cannot be written.
        """
        self._commands[name] = command
        with self._log(name) as log:
            self._running[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,  # Ctrl-C must reach only this process, which ends them in order
                preexec_fn=end_with_owner,  # noqa: PLW1509 - no threads run here
            )

    def _log(self, name: str) -> BinaryIO:
        path = self._logs / f"{name}.log"
        try:
            return open_private(path)
        except OSError as error:
            raise CannotStart(f"{path} cannot be written to: {error.strerror}.") from error

    def restart(self, *names: str) -> None:
        """End these, where they have not ended already, and start them again. Their logs begin again too."""
        self._end(names)
        for name in names:
            self.start(name, *self._commands[name])

    def finish(self, *names: str) -> None:
        """Wait until the commands have ended.

        Raises: CannotStart if one failed, with the last line of its log.
        """
        for name in names:
            if self._running.pop(name).wait() != 0:
                raise CannotStart(f"{name} failed: {self._last_line(name)} (full log: {self._logs / name}.log)")

    def await_answer(self, *urls: str, within_s: float) -> None:
        """Wait until every URL responds, with any status.

        Raises: CannotStart if one does not respond within `within_s` seconds, or a process ends in the meantime.
        """
        deadline = time.monotonic() + within_s
        for url in urls:
            while not _answers(url):
                self.check()
                if time.monotonic() > deadline:
                    raise CannotStart(f"{url} did not answer within {within_s:.0f} s; the logs are in {self._logs}.")
                time.sleep(0.05)

    def names(self) -> set[str]:
        """Return the processes that should be running."""
        return set(self._running)

    def ended(self) -> set[str]:
        """Return those that should be running and are not."""
        return {name for name, process in self._running.items() if process.poll() is not None}

    def why_ended(self, name: str) -> str:
        return f"{name} ended: {self._last_line(name)} (full log: {self._logs / name}.log)"

    def check(self) -> None:
        """Check that every process is running. Raises: CannotStart if one has ended."""
        for name in self._running:
            if name in self.ended():
                raise CannotStart(self.why_ended(name))

    def watch(self) -> None:
        """Run until a process ends or a signal requests a stop.

        Raises: Ended, Stopped.
        """
        while not self.ended():
            time.sleep(0.5)
        raise Ended(self.why_ended(min(self.ended())))

    def end(self) -> None:
        """End all processes at the same time: with SIGTERM, and after END_S seconds with SIGKILL."""
        self._end(self._running)
        self._running.clear()

    def _end(self, names: Iterable[str]) -> None:
        ending = [self._running[name] for name in names]
        for process in ending:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + END_S
        for process in ending:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0, deadline - time.monotonic()))
            if process.poll() is None:
                # The whole process group, because gunicorn's workers outlive their master briefly.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

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
