"""Ports that cannot be used, and processes that end."""

import socket
import sys
from pathlib import Path

import pytest

from dashboard.launch import __main__
from dashboard.launch.folder import CannotStart
from dashboard.launch.processes import Ended, Processes
from tests.launch.test_folder import launch


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


def test_watch_ends_with_the_process_that_ended_and_its_last_line(tmp_path: Path) -> None:
    with Processes(logs=tmp_path, environment={}) as processes:
        processes.start("web", sys.executable, "-c", "import time; time.sleep(60)")
        processes.start("worker", sys.executable, "-c", "print('first'); print('No space left on device')")
        with pytest.raises(Ended) as raised:
            processes.watch()
    assert str(raised.value) == f"worker ended: No space left on device (full log: {tmp_path}/worker.log)"
    assert {log.stat().st_mode & 0o777 for log in tmp_path.glob("*.log")} == {0o600}


def test_process_that_ends_is_no_failure_to_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(**_: object) -> None:
        raise Ended("worker ended: No space left on device (full log: worker.log)")

    monkeypatch.setitem(__main__._STARTS, "run", run)
    monkeypatch.setattr(__main__, "stop_on_signals", lambda: None)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PORT", "8000")
    assert __main__.main(["run"]) == 1
    assert capsys.readouterr().err == (
        "Redeliver has stopped: worker ended: No space left on device (full log: worker.log)\n"
    )
