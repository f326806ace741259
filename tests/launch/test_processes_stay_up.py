"""`make run`, `make demo` and `make partner-api`, really started: what is killed comes back, until they are stopped."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from dashboard.launch import postgres
from dashboard.launch.folder import socket_folder
from dashboard.launch.processes import claim_port
from dashboard.management.commands.first_account import NO_ACCOUNT
from tests.launch.test_folder import ROOT
from tests.launch.test_processes import STAMP
from tests.small_disk import mounted

pytestmark = pytest.mark.xdist_group("stays-up")
PATIENCE_S = 180
PARTS = {
    "run": {"postgres", "receiver", "console", "worker"},
    "partner-api": {"postgres", "partner-api", "engine"},
    "demo": {"postgres", "receiver", "console", "worker", "partner-api", "engine", "handler", "events-0", "events-1"},
}
KNOWN_BY = {
    "postgres": {"-D"},
    "receiver": {"dashboard.receiver"},
    "console": {"dashboard.wsgi:application"},
    "partner-api": {"dashboard.partner_api.wsgi:application"},
    "worker": {"procrastinate", "console"},
    "engine": {"procrastinate", "dashboard.partner_api.settings"},
    "handler": {"demo_handler"},
}
UP = ("Redeliver is up", "The Partner API is up", "READY")


def until(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.1)


class _AtSocket(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.host)


def _asked(connection: http.client.HTTPConnection, path: str) -> tuple[int, dict[str, object]]:
    """Return the status and the JSON of an answer; 0 if there is none."""
    with contextlib.closing(connection):
        try:
            connection.request("GET", path, headers={"Host": "localhost"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            return 0, {}


@dataclass(slots=True)
class Started:
    """One start: its process, its folder, and the address that shows that it serves."""

    process: "subprocess.Popen[bytes]"
    folder: Path
    url: str
    output: Path

    def printed(self) -> str:
        return self.output.read_text()

    def parts(self) -> dict[str, int]:
        """Return the parts that run, by name."""
        found: dict[str, int] = {}
        task = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        for number in sorted(map(int, Path(task).read_text().split())):
            words = command_line(number)
            found |= {name: number for name, known_by in self.known_by().items() if known_by <= set(words)}
        return found

    def known_by(self) -> dict[str, set[str]]:
        """Return the words of each part's command line that no other has."""
        told = self.folder / "demo.json"
        installs = json.loads(told.read_text())["installs"] if told.exists() else []
        return KNOWN_BY | {f"events-{number}": {"live", install} for number, install in enumerate(installs)}

    def status(self, path: str) -> tuple[int, dict[str, object]]:
        return _asked(http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=30), path)

    def console(self, path: str) -> tuple[int, dict[str, object]]:
        """Ask the console itself, at its private socket."""
        return _asked(_AtSocket(str(socket_folder(self.folder / "console") / "console")), path)

    def told(self) -> list[str]:
        """Return what was printed of its parts after it was up."""
        return [line for line in self.printed().splitlines()[1:] if line != NO_ACCOUNT]

    def logged(self) -> list[str]:
        return (self.folder / "logs" / "launch.log").read_text().splitlines()

    def left(self) -> set[int]:
        """Return every process, also of others' children, that has this folder in its environment."""
        mark, found = f"DATA_DIR={self.folder}".encode(), set[int]()
        for environ in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in environ.read_bytes().split(b"\0"):
                    found.add(int(environ.parent.name))
        return found


def command_line(number: int) -> list[str]:
    try:
        return Path(f"/proc/{number}/cmdline").read_text().split("\0")
    except FileNotFoundError:
        return []


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the user who runs PostgreSQL can reach."""
    folder = Path(tempfile.mkdtemp(prefix="redeliver-stays-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@contextlib.contextmanager
def started(what: str, *, folder: Path, output: Path, **given: str) -> Iterator[Started]:
    port = claim_port(0)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DATABASE_URL")}
    with output.open("wb") as printed:
        process = subprocess.Popen(
            [sys.executable, "-m", "dashboard.launch", what],
            cwd=ROOT,
            env=environment | {"DATA_DIR": str(folder), "PORT": str(port)} | given,
            stdout=printed,
            stderr=printed,
        )
    running = Started(process, folder, f"http://127.0.0.1:{port}", output)
    try:
        until(lambda: running.printed().startswith(UP) or process.poll() is not None)
        assert running.printed().startswith(UP), running.printed()
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=60)
        until(lambda: not running.left())


@pytest.mark.parametrize("what", ["run", "partner-api", "demo"])
def test_every_part_that_is_killed_comes_back_and_ctrl_c_ends_all(what: str, place: Path, tmp_path: Path) -> None:
    with started(what, folder=place, output=tmp_path / "printed") as running:
        assert running.parts().keys() == PARTS[what]
        for name in sorted(PARTS[what] - {"postgres"}):
            before = running.parts()
            os.kill(before[name], signal.SIGKILL)
            until(lambda name=name, old=before[name]: running.parts().get(name, old) != old)
            assert set(before.values()) - set(running.parts().values()) == {before[name]}
            assert re.fullmatch(rf"{STAMP}{name} was ended by SIGKILL: .* It starts again now\.", running.told()[-1])
        old = running.parts()["postgres"]
        os.kill(old, signal.SIGKILL)
        until(lambda: running.parts().get("postgres", old) != old)
        assert any(" postgres was ended by SIGKILL: " in line for line in running.told())
        ready = running.status if what == "partner-api" else running.console
        until(lambda: running.parts().keys() == PARTS[what] and ready("/readyz")[0] == 200)
        until(lambda: running.logged() == running.told())
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(timeout=60) == 0
        assert running.left() == set()


def test_owner_that_is_killed_takes_all_with_it_also_parts_that_came_back(place: Path, tmp_path: Path) -> None:
    with started("run", folder=place, output=tmp_path / "printed") as running:
        for name in ("console", "postgres"):
            old = running.parts()[name]
            os.kill(old, signal.SIGKILL)
            until(lambda name=name, old=old: running.parts().get(name, old) != old)
        running.process.kill()
        running.process.wait()
        until(lambda: not running.left())


BROKEN = """
import os, sys
if "--queues" in sys.orig_argv:
    print("broken here", flush=True)
    os._exit(3)
"""


def test_part_that_cannot_start_at_all_ends_the_start_and_is_named(place: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BROKEN)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DATABASE_URL")}
    environment |= {"DATA_DIR": str(place), "PORT": str(claim_port(0)), "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "dashboard.launch", "run"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        _, complaint = process.communicate(timeout=PATIENCE_S)
        running = Started(process, place, "", tmp_path / "printed")
    assert process.returncode == 1
    assert complaint == (
        f"Redeliver cannot start: worker ended with status 3: broken here (full log: {place}/logs/worker.log)\n"
    )
    assert running.left() == set()


@pytest.fixture
def small_disk(place: Path) -> Iterator[Path]:
    with mounted(place, "size=300m,mode=0711"):
        yield place


def test_postgresql_that_panicked_on_a_full_disk_comes_back_when_there_is_room(
    small_disk: Path, tmp_path: Path
) -> None:
    with started("run", folder=small_disk, output=tmp_path / "printed") as running:
        until(lambda: running.console("/readyz")[0] == 200)
        console = running.parts()["console"]
        fill(small_disk / "filler")
        full = {"ok": False, "why": "the disk of the database is full"}
        # Each web process tries a write of its own at most every 5 s, so for a while one of them may say otherwise.
        until(lambda: running.console("/readyz")[1]["checks"]["database"] == full)
        url = postgres.running_url(folder=small_disk, database="redeliver")
        with pytest.raises(psycopg.OperationalError):
            fill_log(str(url))
        until(lambda: any(" postgres ended with status 1: " in line for line in running.told()))
        assert running.console("/readyz")[0] == 503
        assert running.console("/healthz") == running.status("/healthz") == (200, {"ok": True})
        assert running.process.poll() is None
        (small_disk / "filler").unlink()
        until(lambda: running.console("/readyz")[0] == 200)
        assert running.parts()["console"] == console
        until(lambda: running.logged() == running.told())


def fill(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 65536)
    with contextlib.suppress(OSError), path.open("ab", buffering=0) as file:
        while True:
            file.write(b"\0" * 512)


def fill_log(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as database:
        while True:
            database.execute("SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000))")
