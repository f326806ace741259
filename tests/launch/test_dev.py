"""`make dev`, really started on a copy of the code that the tests change; it serves this machine only."""

import contextlib
import os
import re
import secrets
import select
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dashboard.launch import dev, site
from dashboard.launch.folder import keys, prepare
from dashboard.launch.processes import Processes, Stopped, claim_port
from tests.launch.test_folder import ROOT, launch

pytestmark = pytest.mark.xdist_group("dev")
READY_S = 120
RELOADED_S = 120


@dataclass(slots=True)
class Dev:
    """A running `make dev`, and the copy of the code that it runs."""

    process: "subprocess.Popen[str]"
    code: Path
    url: str
    said: list[str] = field(default_factory=list)
    unfinished: str = ""

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=60) as answer:  # noqa: S310 - a local URL
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:  # the old process has ended, the next has not started
            return 0, ""

    def read(self, *, wait_s: float) -> None:
        """Append what it prints to `said`, in lines, if anything arrives within `wait_s` seconds.

        Reads the descriptor itself: `select` does not see lines that a file object has already buffered.
        """
        if select.select([self.process.stdout], [], [], wait_s)[0]:
            text = self.unfinished + os.read(self.process.stdout.fileno(), 65536).decode()
            *lines, self.unfinished = text.split("\n")
            self.said += [f"{line}\n" for line in lines]

    def change(self, name: str, *, old: str = "", new: str) -> None:
        """Replace `old` in a file of the copy; without `old`, append."""
        path = self.code / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1) if old else text + new)

    def pids(self, *words: str) -> set[int]:
        """Return the IDs of the copy's processes whose command line contains all of these words."""
        found = set()
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (folder / "cmdline").read_bytes().decode().split("\0")
                if any(part.startswith(f"{self.code}/") for part in command) and set(words) <= set(command):
                    found.add(int(folder.name))
        return found


def until(holds: Callable[[], bool], *, within_s: float = RELOADED_S) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    # The tests find its processes by this name; another suite may run at the same time with the same numbers.
    code = tmp_path_factory.mktemp(f"dev-{secrets.token_hex(8)}")
    code.chmod(0o711)
    for name in ("dashboard", "templates", "static"):
        shutil.copytree(ROOT / name, code / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("manage.py", "gunicorn.conf.py"):
        shutil.copy(ROOT / name, code)
    environment = {**os.environ, "DATA_DIR": str(code / ".dev"), "PORT": str(claim_port(0))}
    process = subprocess.Popen(
        [sys.executable, "-m", "dashboard.launch", "dev"], cwd=code, env=environment, stdout=subprocess.PIPE, text=True
    )
    started = Dev(process=process, code=code, url=f"http://localhost:{environment['PORT']}")
    try:
        until(lambda: started.read(wait_s=1) or bool(started.said) or process.poll() is not None, within_s=READY_S)
        assert started.said
        assert started.said[0].startswith("READY {")
        yield started
    finally:
        process.terminate()
        process.wait(timeout=60)
        process.stdout.close()


def test_page_that_is_not_there_is_djangos_debug_page(running: Dev) -> None:
    status, page = running.get("/nowhere")
    assert (status, "You’re seeing this error because you have <code>DEBUG = True</code>" in page) == (404, True)  # noqa: RUF001 - Django's own


def test_changed_template_shows_at_the_next_request(running: Dev) -> None:
    assert "Sign in, changed" not in running.get("/accounts/login/")[1]
    running.change("templates/account/login.html", old="</h1>", new=", changed</h1>")
    assert "Sign in, changed" in running.get("/accounts/login/")[1]


def test_changed_static_file_is_served_at_the_next_request(running: Dev) -> None:
    page = running.get("/accounts/login/")[1]
    [address] = re.findall(r'href="(/static/css/app\.css)"', page)
    running.change("static/css/app.css", new="\n.changed {}\n")
    assert running.get(address)[1].endswith("\n.changed {}\n")


def test_changed_python_is_run_and_code_that_fails_is_shown(running: Dev) -> None:
    worker = running.pids("--queues", "console")
    assert len(worker) == 1
    running.change("dashboard/urls.py", new='\nraise RuntimeError("half written")\n')
    until(lambda: running.get("/accounts/login/")[0] == 500)
    page = running.get("/accounts/login/")[1]
    assert "half written" in page
    assert "Traceback" in page
    running.change(
        "dashboard/urls.py",
        old='raise RuntimeError("half written")',
        new='urlpatterns += [path("changed", checks[0].callback), path("fails", lambda request: 1 / 0)]',
    )
    until(lambda: running.get("/changed")[0] == 200)
    # Each web process loads the change by itself: for a moment, the other one still shows the earlier error.
    seen: list[tuple[int, str]] = []
    until(lambda: seen.append(running.get("/fails")) or "half written" not in seen[-1][1])
    status, page = seen[-1]
    assert (status, "ZeroDivisionError at /fails" in page, "urls.py" in page) == (500, True, True)
    until(lambda: len(running.pids("--queues", "console") - worker) == 1)
    assert running.process.poll() is None


def test_process_that_cannot_run_its_code_is_told_and_starts_again_with_the_next_change(running: Dev) -> None:
    running.change("dashboard/tasks.py", new='\nraise RuntimeError("cannot run")\n')
    told = (
        f"worker ended with status 1: RuntimeError: cannot run (full log: {running.code}/.dev/logs/worker.log); "
        "it starts again with the next change.\n"
    )
    until(lambda: running.read(wait_s=0.2) or told in running.said)
    running.change("dashboard/tasks.py", old='\nraise RuntimeError("cannot run")\n', new="")
    until(lambda: len(running.pids("--queues", "console")) == 1 and running.get("/accounts/login/")[0] == 200)


def test_process_that_ends_after_its_code_was_repaired_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A web server reloads code that cannot run, and ends only after the repair has been seen."""
    code = tmp_path / "tasks.py"
    code.write_text("broken")
    looks: list[Path] = []
    monkeypatch.setattr(dev, "_CODE", tmp_path)
    monkeypatch.setattr(dev, "LOOK_EVERY_S", 0.01)

    class Console(Processes):
        def ended(self) -> set[str]:
            looks.append(code)
            if len(looks) == 1:
                code.write_text("repaired")
            elif len(looks) == 3:
                self._parts["console"].program.process.kill()
                self._parts["console"].program.process.wait()
            return super().ended()

        def restart(self, *names: str) -> None:
            raise Stopped(f"started again: {names}")

        def why_ended(self, name: str) -> str:
            raise AssertionError(f"{name} waits for the next change")

    with Console(logs=tmp_path, environment={}) as processes:
        processes.start("console", "sleep", "60")
        with pytest.raises(Stopped, match=r"started again: \('console',\)"):
            dev._watch(processes)


def test_ctrl_c_ends_all_of_it(running: Dev) -> None:
    assert len(running.pids()) > 8
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(timeout=60) == 0
    assert running.pids() == set()


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("PUBLIC_URL", "https://redeliver.example.com"),
        ("PUBLIC_URL", "http://localhost.example.com:8000"),
        ("RECEIVER_URL", "https://hooks.example.com"),
        ("HOST", "0.0.0.0"),  # noqa: S104 - refused
        ("HOST", "192.168.0.7"),
    ],
)
def test_address_that_others_reach_is_refused_before_anything_is_made(name: str, given: str, tmp_path: Path) -> None:
    done = launch("dev", DATA_DIR=str(tmp_path), **{name: given})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"Redeliver cannot start: {name} is '{given}', and 'make dev' shows code and settings to everyone who reaches "
        f"it: unset {name}, or use 'make demo'.\n"
    )
    assert not (tmp_path / "keys.json").exists()


@pytest.mark.parametrize("name", ["PUBLIC_URL", "RECEIVER_URL"])
def test_settings_of_dev_refuse_an_address_that_others_reach(name: str) -> None:
    command = [sys.executable, "-c", "import dashboard.dev_settings"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, name: "https://x.example.com"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"django.core.exceptions.ImproperlyConfigured: {name} is 'https://x.example.com': "
        "dashboard.dev_settings is for http://localhost only."
    )


def test_other_starts_never_take_the_settings_of_dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", dev.SETTINGS)
    folder = prepare(tmp_path)
    assert site.environment(folder=folder, keys=keys(folder), port=8000)["DJANGO_SETTINGS_MODULE"] == site.SETTINGS


@pytest.mark.parametrize("given", ["1", "true", "True"])
def test_no_variable_turns_debug_on(given: str) -> None:
    command = [sys.executable, "-c", "from dashboard import settings; print(settings.DEBUG)"]
    environment = {**os.environ, "DEBUG": given, "DJANGO_DEBUG": given}
    assert subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout == (
        "False\n"
    )


@pytest.mark.parametrize(
    ("changed", "restarted"),
    [
        ({"views/inbox.py"}, {"worker", "handler"}),
        ({"views/inbox.py", "partner_api/engine.py"}, {"worker", "handler", "engine", "events-0"}),
        ({"receiver/app.py"}, {"receiver", "worker", "handler"}),
        ({"views/inbox.py", "rules/causes.py"}, {"receiver", "worker", "handler"}),
        ({"partner_api/engine.py"}, {"engine", "events-0"}),
        ({"signatures.py"}, {"receiver", "worker", "handler", "engine", "events-0"}),
    ],
)
def test_only_the_processes_that_use_a_file_start_again(changed: set[str], restarted: set[str]) -> None:
    names = {"receiver", "console", "partner-api", "worker", "handler", "engine", "events-0"}
    assert dev._users(names, of={dev._CODE / name for name in changed}) == restarted
