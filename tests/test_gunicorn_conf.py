"""gunicorn settings that depend on the machine."""

import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "gunicorn.conf.py"
MEMORY = "/dev/shm"  # noqa: S108 - only named here


@pytest.mark.parametrize("error", [PermissionError, FileNotFoundError, OSError])
def test_folder_in_memory_that_cannot_be_written_is_left_to_gunicorn(
    error: type[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tempfile.TemporaryFile

    def refuse(*args: Any, **options: Any) -> Any:
        if options.get("dir") == MEMORY:
            raise error
        return whole(*args, **options)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert runpy.run_path(str(CONF))["worker_tmp_dir"] is None


def test_folder_in_memory_that_can_be_written_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []
    whole = tempfile.TemporaryFile

    def note(*args: Any, **options: Any) -> Any:
        asked.append(options.get("dir"))
        return whole(dir=tmp_path)

    monkeypatch.setattr(tempfile, "TemporaryFile", note)
    assert runpy.run_path(str(CONF))["worker_tmp_dir"] == MEMORY
    assert asked == [MEMORY]


@pytest.mark.parametrize(("given", "kept_s"), [({}, 75), ({"WEB_KEEP_ALIVE_S": "610"}, 610)])
def test_idle_connections_outlast_those_of_a_load_balancer(
    given: dict[str, str], kept_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert runpy.run_path(str(CONF))["keepalive"] == kept_s


@pytest.mark.slow
def test_gunicorn_takes_the_configuration_as_it_is() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "gunicorn",
            "--check-config",
            "--config",
            CONF,
            "dashboard.partner_api.wsgi:application",
        ],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PARTNER_API_DATABASE_URL": "postgresql://nobody@localhost:9/none"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
