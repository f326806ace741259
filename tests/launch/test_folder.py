"""Errors of starting Redeliver with an unusable folder: one line, without a traceback."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.launch.folder import CannotStart, keys, prepare
from dashboard.launch.processes import claim_port

ROOT = Path(__file__).resolve().parents[2]


def launch(what: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "dashboard.launch", what]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def full_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    place = tmp_path / "full"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={request.param}", "tmpfs", place]
    if subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("a small file system can be mounted by root only")
    (place / "filler").write_bytes(b"\0" * 65536)
    yield place
    subprocess.run(["umount", place], check=True)


def test_folder_that_cannot_be_made_gets_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = launch("demo", DATA_DIR=str(tmp_path / "file" / "data"))
    assert done.stderr == (
        f"Redeliver cannot start: DATA_DIR {tmp_path}/file/data cannot be written to: Not a directory.\n"
    )


def test_folder_on_a_read_only_file_system_gets_one_line() -> None:
    done = launch("demo", DATA_DIR="/proc/redeliver")
    assert done.stderr.startswith("Redeliver cannot start: DATA_DIR /proc/redeliver cannot be written to: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("full_disk", ["60m"], indirect=True)
def test_disk_with_too_little_left_gets_one_line_before_anything_is_made(full_disk: Path) -> None:
    done = launch("demo", DATA_DIR=str(full_disk))
    assert done.stderr == (
        f"Redeliver cannot start: DATA_DIR {full_disk} has 62 MB of free disk space; 200 MB are needed.\n"
    )
    assert {path.name for path in full_disk.iterdir()} == {"filler", "logs"}


@pytest.mark.parametrize("full_disk", ["64k"], indirect=True)
def test_full_disk_gets_one_line(full_disk: Path) -> None:
    done = launch("demo", DATA_DIR=str(full_disk))
    assert done.stderr == (
        f"Redeliver cannot start: DATA_DIR {full_disk} cannot be written to: No space left on device.\n"
    )


@pytest.mark.parametrize("what", ["demo", "run"])
def test_database_folder_without_its_database_gets_one_line(what: str, tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    done = launch(what, DATA_DIR=str(tmp_path), PORT=str(claim_port(0)))
    assert done.stderr == (
        f"Redeliver cannot start: {tmp_path}/postgres is not a complete PostgreSQL folder (PG_VERSION is missing): "
        "restore it, or move it away to start with an empty database.\n"
    )


def test_damaged_keys_are_never_replaced(tmp_path: Path) -> None:
    folder = prepare(tmp_path)
    made = keys(folder)
    assert keys(folder) == made
    assert (folder / "keys.json").stat().st_mode & 0o777 == 0o600
    (folder / "keys.json").write_text('{"SECRET_KEY": ')
    with pytest.raises(CannotStart, match="damaged"):
        keys(folder)
    (folder / "keys.json").write_text('{"SECRET_KEY": "x"}')
    with pytest.raises(CannotStart, match="has missing or unknown keys"):
        keys(folder)


def test_keys_are_in_no_repr(tmp_path: Path) -> None:
    made = keys(prepare(tmp_path))
    assert made.FIELD_KEYS not in repr(made)
    assert made.SECRET_KEY not in repr(made)
