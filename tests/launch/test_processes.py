"""Ports that cannot be used, and processes that end: really started ones, with a clock that the tests move."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest

from dashboard.launch import processes as module
from dashboard.launch.folder import CannotStart
from dashboard.launch.log_file import LogFile
from dashboard.launch.processes import Command, Processes, Stopped
from dashboard.rules.restarts import LONGEST_WAIT_S, STEADY_S
from tests.launch.test_folder import launch

SLEEP = (sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(600)")
FAIL = (sys.executable, "-c", "print('No space left on device.'); raise SystemExit(3)")
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ "
PATIENCE_S = 60


@pytest.mark.parametrize("what", ["demo", "run"])
def test_port_in_use_gets_one_line(what: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = launch(what, PORT=str(port), DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == (
        f"Redeliver cannot start: Port {port} cannot be used: Address already in use. Choose another with PORT=…\n"
    )


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1", "8000.5"])
def test_port_that_is_none_gets_one_line(port: str, tmp_path: Path) -> None:
    done = launch("demo", PORT=port, DATA_DIR=str(tmp_path))
    assert done.stderr == f"Redeliver cannot start: PORT is '{port}'; it must be a number from 1 to 65535.\n"


def test_log_that_is_a_link_is_left_alone_and_named(tmp_path: Path) -> None:
    (tmp_path / "web.log").symlink_to(tmp_path / "elsewhere")
    with Processes(logs=tmp_path, environment={}) as processes, pytest.raises(CannotStart) as raised:
        processes.start("web", sys.executable, "-c", "")
    assert str(raised.value).startswith(f"{tmp_path}/web.log cannot be written to: ")
    assert not (tmp_path / "elsewhere").exists()


class Clock:
    """The time that `Processes` reads. It moves when a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=made.monotonic, sleep=time.sleep))
    return made


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(logs=tmp_path, environment={}) as made:
        yield made


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def pid(processes: Processes, name: str) -> int:
    return processes._parts[name].program.process.pid


def await_end(processes: Processes, name: str) -> None:
    until(lambda: processes._parts[name].program.process.poll() is not None)


def said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> list[str]:
    """Return what was printed, without the times; logs/launch.log has the same lines."""
    lines = capfd.readouterr().err.splitlines()
    assert all(re.match(STAMP, line) for line in lines)
    log = tmp_path / "launch.log"
    assert not lines or log.read_text().splitlines()[-len(lines) :] == lines
    return [re.sub(STAMP, "", line) for line in lines]


def test_part_that_was_killed_starts_again_and_the_others_go_on(
    processes: Processes, clock: Clock, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    processes.start("console", *SLEEP)
    processes.start("worker", *SLEEP)
    console, worker = pid(processes, "console"), pid(processes, "worker")
    until(lambda: (tmp_path / "worker.log").read_text() == "begun\n")
    os.kill(worker, signal.SIGKILL)
    await_end(processes, "worker")
    for _ in range(2):
        processes.tend("console", "worker")
    assert pid(processes, "console") == console
    assert pid(processes, "worker") != worker
    assert processes.ended() == set()
    words = f"worker was ended by SIGKILL: begun (full log: {tmp_path}/worker.log). It starts again now."
    assert said(tmp_path, capfd) == [words]
    until(lambda: (tmp_path / "worker.log").read_text() == "begun\nbegun\n")
    assert {log.name: log.stat().st_mode & 0o777 for log in tmp_path.glob("*.log")} == dict.fromkeys(
        ["console.log", "worker.log", "launch.log"], 0o600
    )


def test_part_that_keeps_failing_is_retried_for_ever_and_told_of_when_something_changes(
    processes: Processes, clock: Clock, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    processes.start("worker", *FAIL)
    starts = []
    for _ in range(12):
        await_end(processes, "worker")
        processes.tend("worker")
        before = pid(processes, "worker")
        while pid(processes, "worker") == before:
            processes.tend("worker")
            clock.now += 0.5
        starts.append(clock.now - 0.5)
    waits = [round(later - earlier, 1) for earlier, later in zip([1000.0, *starts], starts, strict=False)]
    assert waits[:6] == [0, 1.5, 2.5, 4.5, 8.5, 15.5]
    assert set(waits[6:]) == {LONGEST_WAIT_S + 0.5}
    why = f"worker ended with status 3: No space left on device (full log: {tmp_path}/worker.log). It starts again"
    assert said(tmp_path, capfd) == [
        f"{why} now.",
        *(f"{why} in {wait} s." for wait in (1, 2, 4, 8)),
        f"{why} every 15 s. The next line about it says what has changed.",
    ]


def test_part_that_failed_and_stays_is_said_to_be_up_again(
    processes: Processes, clock: Clock, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cause = tmp_path / "cause"
    cause.touch()
    code = f"import os, time\nif os.path.exists({str(cause)!r}): raise SystemExit(1)\ntime.sleep(600)"
    processes.start("worker", sys.executable, "-c", code)
    for _ in range(3):
        await_end(processes, "worker")
        processes.tend("worker")
        clock.now += LONGEST_WAIT_S
        if len(processes._own_log.path.read_text().splitlines()) == 3:
            cause.unlink()
        processes.tend("worker")
    said(tmp_path, capfd)
    clock.now += STEADY_S - 1
    processes.tend("worker")
    assert said(tmp_path, capfd) == []
    clock.now += 1
    for _ in range(2):
        processes.tend("worker")
    assert said(tmp_path, capfd) == ["worker is up again, after it ended 3 times in succession."]
    os.kill(pid(processes, "worker"), signal.SIGTERM)
    await_end(processes, "worker")
    processes.tend("worker")
    assert said(tmp_path, capfd) == [
        f"worker was ended by SIGTERM: it gave no reason (full log: {tmp_path}/worker.log). It starts again now."
    ]


def test_part_whose_program_is_gone_is_retried_until_it_is_back(
    processes: Processes, clock: Clock, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "program"
    program.symlink_to("/bin/false")
    processes.start("worker", str(program))
    await_end(processes, "worker")
    processes.tend("worker")
    program.unlink()
    said(tmp_path, capfd)
    processes.tend("worker")
    assert said(tmp_path, capfd) == [
        f"worker cannot be started: [Errno 2] No such file or directory: '{program}'. It starts again in 1 s."
    ]
    program.symlink_to("/bin/true")
    clock.now += 1
    processes.tend("worker")
    await_end(processes, "worker")
    assert processes._parts["worker"].program.process.returncode == 0


def test_part_that_cannot_be_started_at_the_beginning_is_named(processes: Processes) -> None:
    with pytest.raises(CannotStart, match=r"^worker cannot be started: No such file or directory\.$"):
        processes.start("worker", "/nowhere/python")
    processes.start("console", *FAIL)
    await_end(processes, "console")
    words = r"^console ended with status 3: No space left on device \(full log: .*/console\.log\)$"
    for wait in (
        lambda: processes.await_answer("http://127.0.0.1:9/", within_s=PATIENCE_S),
        lambda: processes.await_true("console", lambda: False, within_s=PATIENCE_S),
    ):
        with pytest.raises(CannotStart, match=words):
            wait()


def test_part_that_does_not_begin_its_work_is_named(processes: Processes, tmp_path: Path) -> None:
    processes.start("worker", *SLEEP)
    with pytest.raises(CannotStart, match=rf"^worker did not start its work within 1 s; the logs are in {tmp_path}\.$"):
        processes.await_true("worker", lambda: False, within_s=1)
    processes.await_true("worker", lambda: True, within_s=1)


def test_command_that_failed_says_its_own_last_line_not_that_of_an_earlier_start(
    processes: Processes, tmp_path: Path
) -> None:
    (tmp_path / "migrate.log").write_text("of an earlier start\n")
    processes.start("migrate", "/bin/false")
    with pytest.raises(CannotStart, match=r"^migrate failed: it gave no reason "):
        processes.finish("migrate")
    assert (tmp_path / "migrate.log").read_text() == "of an earlier start\n"


def test_program_that_is_kept_is_tended_with_the_others_and_ended_by_its_owner(
    processes: Processes, clock: Clock, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = Command(SLEEP, environment=os.environ, log=LogFile(tmp_path / "postgres.log"))
    program.launch()
    processes.keep("postgres", program)
    assert processes.names() == set()
    first = program.process.pid
    program.process.kill()
    program.process.wait()
    with pytest.raises(CannotStart, match=r"^postgres was ended by SIGKILL: "):
        processes.check()
    for _ in range(2):
        processes.tend()
    assert program.process.pid != first
    assert len(said(tmp_path, capfd)) == 1
    processes.end()
    assert program.process.poll() is None
    program.process.kill()
    program.process.wait()


ACCEPT = """
import os, socket, sys
with socket.socket(fileno=int(sys.argv[1])) as door:
    print("ready", flush=True)
    connection, _ = door.accept()
    connection.sendall(str(os.getpid()).encode())
"""


def test_connection_waits_while_the_part_that_inherits_its_socket_starts_again(
    processes: Processes, clock: Clock, tmp_path: Path
) -> None:
    door = module.listening("127.0.0.1", 0)
    address = door.getsockname()
    processes.start("receiver", sys.executable, "-c", ACCEPT, str(door.fileno()), inherits=door)
    until(lambda: "ready" in (tmp_path / "receiver.log").read_text())
    first = pid(processes, "receiver")
    os.kill(first, signal.SIGKILL)
    await_end(processes, "receiver")
    with socket.create_connection(address, timeout=PATIENCE_S) as client:
        for _ in range(2):
            processes.tend("receiver")
        assert int(client.recv(100)) == pid(processes, "receiver") != first
    processes.end()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("begun", flush=True)
time.sleep(600)
"""


def test_each_part_has_its_own_time_to_end(tmp_path: Path) -> None:
    with Processes(logs=tmp_path, environment={}) as processes:
        for name, end_s in (("receiver", 1.5), ("worker", 0.0)):
            processes.start(name, sys.executable, "-c", DEAF, end_s=end_s)
            until(lambda name=name: (tmp_path / f"{name}.log").read_text() == "begun\n")
        programs = {name: processes._parts[name].program for name in processes.names()}
        began = time.monotonic()
    assert time.monotonic() - began >= 1.5
    assert {program.process.returncode for program in programs.values()} == {-signal.SIGKILL}


@pytest.mark.parametrize(("status", "is_up"), [(200, True), (404, True), (500, True), (502, False), (503, False)])
def test_front_without_a_server_behind_it_is_not_up(status: int, is_up: bool, tmp_path: Path) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    with server, Processes(logs=tmp_path, environment={}) as processes:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        with contextlib.nullcontext() if is_up else pytest.raises(CannotStart, match=f"{url} did not answer within"):
            processes.await_answer(url, within_s=0.2)
        server.shutdown()


CHILDREN = """
import os, subprocess, sys, time
sleep = "import os, signal, time; signal.signal(signal.SIGTERM, signal.{}); os.write(1, b'{} '); time.sleep(600)"
stubborn, obedient = sleep.format("SIG_IGN", "deaf"), sleep.format("SIG_DFL", "hears")
children = [subprocess.Popen([sys.executable, "-c", code]).pid for code in (stubborn, obedient)]
os.write(1, "children {} {} ".format(*children).encode())
time.sleep(600)
"""
"""Each writes with one call: `print` to an unbuffered file makes several, and they would mix."""


def family(processes: Processes, log: Path) -> list[int]:
    processes.start("console", sys.executable, "-c", CHILDREN)
    until(lambda: log.exists() and {"deaf", "hears"} < set(log.read_text().split()) and "children" in log.read_text())
    return [int(number) for number in re.findall(r"children (\d+) (\d+)", log.read_text())[0]]


def runs(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_a_part_leaves_behind_is_asked_to_end_and_then_ended(
    processes: Processes, clock: Clock, tmp_path: Path
) -> None:
    deaf, hears = family(processes, tmp_path / "console.log")
    os.kill(pid(processes, "console"), signal.SIGKILL)
    await_end(processes, "console")
    processes.tend("console")
    until(lambda: not runs(hears))
    processes.tend("console")
    assert runs(deaf)
    clock.now += module.END_S
    processes.tend("console")
    until(lambda: not runs(deaf))


def test_end_leaves_nothing_also_of_parts_that_had_ended(processes: Processes, clock: Clock, tmp_path: Path) -> None:
    deaf, hears = family(processes, tmp_path / "console.log")
    os.kill(pid(processes, "console"), signal.SIGKILL)
    await_end(processes, "console")
    processes.tend("console")
    processes.start("worker", *FAIL)  # it waits to be started again
    await_end(processes, "worker")
    processes.tend("worker")
    processes.end()
    until(lambda: not runs(hears) and not runs(deaf))


@pytest.fixture(params=["closed", "full"])
def unread(request: pytest.FixtureRequest) -> Iterator[int]:
    """The writing end of a pipe that nobody reads, as of a terminal that is gone, or stopped with Ctrl-S."""
    reading, writing = os.pipe()
    if request.param == "closed":
        os.close(reading)
    else:
        os.set_blocking(writing, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writing, b"x" * 4096)
        os.set_blocking(writing, True)
    yield writing
    os.close(writing)
    if request.param == "full":
        os.close(reading)


def test_watch_goes_on_without_anyone_to_tell_until_a_signal_stops_it(unread: int, tmp_path: Path) -> None:
    """Nor does it need a log: this one cannot be written."""
    (tmp_path / "launch.log").mkdir()
    code = (
        "import sys; from pathlib import Path\n"
        "from dashboard.launch.processes import Processes, Stopped, stop_on_signals\n"
        "stop_on_signals()\n"
        "try:\n"
        "    with Processes(logs=Path(sys.argv[1]), environment={}) as processes:\n"
        "        processes.start('worker', '/bin/sh', '-c', 'echo 1; exec sleep 600')\n"
        "        processes.watch()\n"
        "except Stopped:\n"
        "    sys.exit(7)\n"
    )
    log = tmp_path / "worker.log"
    buffering = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=unread, env=buffering) as owner:
        for starts in (1, 2, 3):
            until(lambda starts=starts: log.exists() and log.read_text() == "1\n" * starts)
            [worker] = Path(f"/proc/{owner.pid}/task/{owner.pid}/children").read_text().split()
            os.kill(int(worker), signal.SIGKILL)
        until(lambda: log.read_text() == "1\n" * 4)
        assert owner.poll() is None
        owner.send_signal(signal.SIGINT)
        assert owner.wait(timeout=PATIENCE_S) == 7


def test_stop_is_not_taken_for_an_ending(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_seconds: float) -> None:
        raise Stopped

    processes.start("worker", *SLEEP)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=time.monotonic, sleep=stop))
    with pytest.raises(Stopped):
        processes.watch()
