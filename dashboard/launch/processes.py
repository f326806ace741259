"""Starting processes, waiting until they respond, starting again what ends, and ending all of them.

When a part that ended starts again is decided in dashboard/rules/restarts.py.
"""

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn, Protocol, Self

from dashboard.launch.folder import CannotStart
from dashboard.launch.log_file import LogFile
from dashboard.logs import redact
from dashboard.rules import restarts

END_S = 7
"""How long a process may take to end after SIGTERM, in seconds, unless it says otherwise."""
LOOK_EVERY_S = 0.1
"""How often `watch` looks for processes that have ended, in seconds."""

_BACKLOG = 4096
"""Connections that may wait to be accepted; the kernel has its own maximum (net.core.somaxconn)."""
_AWAY = {502, 503, 504}
"""Statuses of a front whose server behind it is not up."""
_UNWRITTEN = 200
"""How many lines wait for room on the disk; the oldest are given up."""
_PR_SET_PDEATHSIG = 1
_CANNOT_START = (OSError, subprocess.SubprocessError, CannotStart)


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


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens on the address, for a part that inherits it; 0 is a free port.

    Connections wait while no part accepts them: they are not refused because a part starts again.

    Raises: CannotStart if it is in use or not permitted.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host.strip("[]"), port))
        made.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        made.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise CannotStart(f"Port {port} cannot be used: {reason}. Choose another with PORT=…") from error
    return made


class Program(Protocol):
    """What can be started again and again. `process` is its latest run, whose output goes to `log`."""

    log: LogFile
    process: "subprocess.Popen[bytes]"

    def launch(self) -> None:
        """Start it, and return without waiting. Raises: OSError, subprocess.SubprocessError, CannotStart."""

    def complaint(self) -> str:
        """Return what the log of the latest run gives as the reason of its end, without a final stop."""


class Command:
    """A program that is a command line."""

    process: "subprocess.Popen[bytes]"

    def __init__(
        self,
        command: tuple[str, ...],
        *,
        environment: Mapping[str, str],
        log: LogFile,
        inherits: socket.socket | None = None,
    ) -> None:
        self.log = log
        self.inherits = inherits
        self._command = command
        self._environment = environment

    def launch(self) -> None:
        try:
            output = self.log.open()
        except OSError as error:
            raise CannotStart(f"{self.log.path} cannot be written to: {error.strerror}.") from error
        with output:
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                pass_fds=() if self.inherits is None else (self.inherits.fileno(),),
                start_new_session=True,  # Ctrl-C must reach only this process, which ends them in order
                preexec_fn=end_with_owner,  # noqa: PLW1509 - no threads run here
            )

    def complaint(self) -> str:
        return self.log.last_line().rstrip(".")


@dataclass(slots=True)
class _Part:
    """A program that should be running: since when it does, or when it is due to (time.monotonic)."""

    program: Program
    is_ours_to_end: bool
    began: float
    end_s: float = END_S
    due: float | None = None
    course: restarts.Course = field(default_factory=restarts.Course)

    @property
    def is_running(self) -> bool:
        return self.program.process.poll() is None

    def launch(self) -> None:
        """Raises: any of _CANNOT_START."""
        self.began, self.due = time.monotonic(), None
        self.program.launch()


class Processes:
    """The processes of one start. Use it as a context manager: leaving it ends all of them."""

    def __init__(self, *, logs: Path, environment: Mapping[str, str]) -> None:
        self._logs = logs
        self._own_log = LogFile(logs / "launch.log")
        self._unwritten: deque[str] = deque(maxlen=_UNWRITTEN)
        self._environment = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        self._parts: dict[str, _Part] = {}
        self._sockets: list[socket.socket] = []
        self._left: dict[int, float] = {}
        """Process groups whose first process has ended, and when what is left of them ends by force."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self, name: str, *command: str, inherits: socket.socket | None = None, end_s: float = END_S) -> None:
        """Start a command that keeps running or that `finish` waits for. Its output is appended to logs/<name>.log.

        Each run of it inherits the socket, with the same number. `end` closes it, so that connections are refused.

        Raises: CannotStart, which names it.
        """
        log = LogFile(self._logs / f"{name}.log")
        program = Command(command, environment=self._environment, log=log, inherits=inherits)
        part = _Part(program, is_ours_to_end=True, began=time.monotonic(), end_s=end_s)
        if inherits is not None:
            self._sockets.append(inherits)
        try:
            part.launch()
        except (OSError, subprocess.SubprocessError) as error:
            raise CannotStart(f"{name} cannot be started: {getattr(error, 'strerror', error)}.") from error
        self._parts[name] = part

    def keep(self, name: str, program: Program) -> None:
        """Watch a program that was started elsewhere, as those that were started here. It is ended elsewhere too."""
        self._parts[name] = _Part(program, is_ours_to_end=False, began=time.monotonic())

    def restart(self, *names: str) -> None:
        """End these, where they have not ended already, and start them again. Raises: any of _CANNOT_START."""
        self._end(names)
        for name in names:
            self._parts[name].launch()

    def finish(self, *names: str) -> None:
        """Wait until the commands have ended.

        Raises: CannotStart if one failed, with the last line of its log.
        """
        for name in names:
            program = self._parts[name].program
            if program.process.wait() != 0:
                raise CannotStart(f"{name} failed: {_reason(program)}")
            del self._parts[name]

    def await_answer(self, *urls: str, within_s: float) -> None:
        """Wait until every URL responds, with any status but those of a front without a server behind it.

        Raises: CannotStart if one does not respond within `within_s` seconds, or a process ends in the meantime.
        """
        deadline = time.monotonic() + within_s
        for url in urls:
            while not _answers(url):
                self._wait(until=deadline, else_say=f"{url} did not answer within {within_s:.0f} s")

    def await_true(self, name: str, holds: Callable[[], bool], *, within_s: float) -> None:
        """Wait until the process shows in some other way that it is up.

        Raises: CannotStart if it does not within `within_s` seconds, or a process ends in the meantime.
        """
        deadline = time.monotonic() + within_s
        while not holds():
            self._wait(until=deadline, else_say=f"{name} did not start its work within {within_s:.0f} s")

    def _wait(self, *, until: float, else_say: str) -> None:
        self.check()
        if time.monotonic() > until:
            raise CannotStart(f"{else_say}; the logs are in {self._logs}.")
        time.sleep(0.05)

    def names(self) -> set[str]:
        """Return the processes that were started here and should be running."""
        return {name for name, part in self._parts.items() if part.is_ours_to_end}

    def ended(self) -> set[str]:
        """Return those of `names` that are not running."""
        return {name for name in self.names() if not self._parts[name].is_running}

    def why_ended(self, name: str) -> str:
        program = self._parts[name].program
        return f"{name} {restarts.how_ended(program.process.returncode)}: {_reason(program)}"

    def check(self) -> None:
        """Check that every process is running. Raises: CannotStart if one has ended."""
        for name, part in self._parts.items():
            if not part.is_running:
                raise CannotStart(self.why_ended(name))

    def watch(self) -> NoReturn:
        """Keep everything running until a signal requests a stop. Raises: Stopped."""
        while True:
            time.sleep(LOOK_EVERY_S)
            self.tend(*self.names())

    def tend(self, *names: str) -> None:
        """Start again what has ended of these and of what is kept, once it is due. Say so. Shorten all logs.

        One that ended because of another, such as a worker without its database, is started again like any other.
        """
        for name, part in self._parts.items():
            if part.due is not None and part.due <= time.monotonic():
                self._start_again(name, part)
            elif part.due is None and (name in names or not part.is_ours_to_end):
                self._look_at(name, part)
            part.program.log.shorten()
        self._write_log()
        self._end_what_is_left(at=time.monotonic())

    def _look_at(self, name: str, part: _Part) -> None:
        ran_s = time.monotonic() - part.began
        if not part.is_running:
            process = part.program.process
            self._leave(process.pid)
            self._plan(name, part, how=restarts.how_ended(process.returncode), why=_reason(part.program), ran_s=ran_s)
        elif restarts.is_up_again(part.course, ran_s=ran_s):
            self._say(f"{name} is up again, after it ended {part.course.endings} times in succession.")
            part.course = restarts.Course()

    def _start_again(self, name: str, part: _Part) -> None:
        try:
            part.launch()
        except _CANNOT_START as error:
            self._plan(name, part, how="cannot be started", why=str(error), ran_s=0)

    def _plan(self, name: str, part: _Part, *, how: str, why: str, ran_s: float) -> None:
        before = part.course
        part.course = restarts.after_ending(before, how=how, ran_s=ran_s)
        part.due = time.monotonic() + part.course.wait_s
        if restarts.is_news(before, part.course):
            self._say(f"{name} {how}: {why}. {restarts.what_follows(part.course)}")

    def _say(self, words: str) -> None:
        """Print a line with the time, and append it to logs/launch.log, on a full disk once there is room."""
        line = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {redact(words)}"
        _print(line)
        self._unwritten.append(line)

    def _write_log(self) -> None:
        with contextlib.suppress(OSError):
            while self._unwritten:
                self._own_log.append(self._unwritten[0])
                self._unwritten.popleft()

    def end(self) -> None:
        """End all processes at the same time: with SIGTERM, and with SIGKILL when their time is over."""
        while self._sockets:
            self._sockets.pop().close()
        self._end(self.names())
        self._end_what_is_left(at=float("inf"))
        self._write_log()
        self._parts.clear()

    def _end(self, names: Iterable[str]) -> None:
        running = sorted((self._parts[name] for name in names if self._parts[name].is_running), key=_end_s)
        for part in running:
            part.program.process.terminate()
        began = time.monotonic()
        for part in running:
            process = part.program.process
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0, began + part.end_s - time.monotonic()))
            # The whole process group, because gunicorn's workers outlive their master briefly.
            _signal_group(process.pid, signal.SIGKILL)
            process.wait()

    def _leave(self, group: int) -> None:
        """Have what a process that ended has left behind, such as gunicorn's workers, finish its requests and end."""
        if _signal_group(group, signal.SIGTERM):
            self._left[group] = time.monotonic() + END_S

    def _end_what_is_left(self, *, at: float) -> None:
        for group, deadline in list(self._left.items()):
            is_late = at >= deadline
            if not _signal_group(group, signal.SIGKILL if is_late else 0) or is_late:
                del self._left[group]


def _end_s(part: _Part) -> float:
    return part.end_s


def _print(line: str) -> None:
    """Write to stderr if it takes a line: a terminal may be gone, or stopped with Ctrl-S, and nothing waits for it.

    Python's own buffer would keep what nobody takes, and fail with it when the process ends (exit status 120).
    """
    with contextlib.suppress(OSError):
        if select.select([], [sys.stderr], [], 0)[1]:
            os.write(sys.stderr.fileno(), f"{line}\n".encode(errors="replace"))


def _signal_group(group: int, number: int) -> bool:
    """Send a signal to all processes of a group that are ours; return whether there are any."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _reason(program: Program) -> str:
    return f"{program.complaint()} (full log: {program.log.path})"


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()  # noqa: S310 - our own http addresses
    except urllib.error.HTTPError as error:
        error.close()
        return error.code not in _AWAY
    except OSError:
        return False
    return True
