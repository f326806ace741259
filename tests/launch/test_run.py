"""`make run`: a signal stops it at any time, and it says how to begin."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dashboard.launch import run, site
from dashboard.launch.processes import claim_port

ROOT = Path(__file__).resolve().parents[2]


def test_stop_signal_before_it_is_up_ends_it_with_status_0(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "dashboard.launch", "run"],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(tmp_path), "PORT": str(claim_port(0))},
    ) as process:
        while not (tmp_path / "keys.json").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


def test_first_steps_are_printed_as_the_command_says_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "import os, sys; print(sys.argv[1], os.environ['DATA_DIR'])"
    monkeypatch.setattr(site, "manage", lambda *arguments: [sys.executable, "-c", said, *arguments])
    run._say_first_steps({"DATA_DIR": "/data"})
    assert capsys.readouterr().out == "first_account /data\n"
