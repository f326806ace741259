"""Errors of starting Redeliver with an unusable folder: one line, without a traceback."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.launch import folder as module
from dashboard.launch.folder import CannotStart, held, keys, open_private, prepare, read_private, started_before
from dashboard.launch.processes import claim_port
from tests.small_disk import mounted

ROOT = Path(__file__).resolve().parents[2]
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def launch(what: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "dashboard.launch", what]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def full_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    with mounted(tmp_path / "full", f"size={request.param}") as place:
        (place / "filler").write_bytes(b"\0" * 65536)
        yield place


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


GOOD = {"SECRET_KEY": "s", "FIELD_KEYS": KEY, "PARTNER_API_KEYS": f"{KEY},{KEY}", "DEMO_HANDLER_TOKEN": "t"}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"SECRET_KEY": 5}, "SECRET_KEY"),
        ({"SECRET_KEY": ""}, "SECRET_KEY"),
        ({"FIELD_KEYS": [KEY]}, "FIELD_KEYS"),
        ({"FIELD_KEYS": "not a key"}, "FIELD_KEYS"),
        ({"FIELD_KEYS": None, "DEMO_HANDLER_TOKEN": {}}, "DEMO_HANDLER_TOKEN, FIELD_KEYS"),
        ({"PARTNER_API_KEYS": f"{KEY},ü"}, "PARTNER_API_KEYS"),
        ({"DEMO_HANDLER_TOKEN": "a\nb"}, "DEMO_HANDLER_TOKEN"),
    ],
)
def test_keys_of_wrong_types_are_named_in_words(changed: dict[str, object], named: str, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(json.dumps(GOOD | changed))
    with pytest.raises(CannotStart, match=rf"keys\.json has values that cannot be used \({named}\): restore it"):
        keys(tmp_path)


def test_keys_saved_by_a_windows_editor_are_the_keys(tmp_path: Path) -> None:
    text = json.dumps(GOOD, indent=1).replace("\n", "\r\n")
    (tmp_path / "keys.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert keys(tmp_path).FIELD_KEYS == KEY


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe", b"[]", b"5", b"", b"1" * 5_000])
def test_file_that_is_not_an_object_of_json_is_damaged(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(content)
    with pytest.raises(CannotStart, match="is damaged: restore it from a backup"):
        read_private(tmp_path / "keys.json")


def test_file_that_was_readable_is_private_when_it_is_written_again(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    log.write_text("of an earlier release")
    log.chmod(0o644)
    with open_private(log) as file:
        file.write(b"x")
    assert (log.stat().st_mode & 0o777, log.read_bytes()) == (0o600, b"x")
    (tmp_path / "link").symlink_to(log)
    with pytest.raises(OSError, match="symbolic links"):
        open_private(tmp_path / "link")


def test_folder_of_another_user_is_refused_where_everyone_can_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    prepare(tmp_path / "theirs")  # nobody but its owner can make folders there
    tmp_path.chmod(0o1777)
    with pytest.raises(CannotStart, match=f"DATA_DIR {tmp_path}/theirs belongs to another user"):
        prepare(tmp_path / "theirs")


def test_second_start_on_a_held_folder_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    words = f"already running on {tmp_path}. Stop it first"
    with held(tmp_path), pytest.raises(CannotStart, match=re.escape(words)), held(tmp_path):
        pytest.fail("held twice")
    with held(tmp_path):
        assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("what", ["run", "demo", "dev", "partner-api"])
def test_second_start_on_a_live_folder_changes_nothing(what: str, tmp_path: Path) -> None:
    folder = prepare(tmp_path)
    keys(folder)
    (folder / "metrics").mkdir()
    kept = {
        "metrics/counter_1.db": "5",
        "logs/console.log": "of the first",
        "logs/migrate.log": "",
        "postgres.log": "x",
    }
    for name, text in kept.items():
        (folder / name).write_text(text)
    elsewhere = {"DATABASE_URL": "postgresql://nobody@localhost:9/x"}
    with held(folder):
        done = launch(what, DATA_DIR=str(folder), PORT=str(claim_port(0)), **elsewhere)
    words = f"Redeliver is already running on {folder}. Stop it first, or choose another DATA_DIR."
    assert (done.returncode, done.stderr) == (1, f"Redeliver cannot start: {words}\n")
    assert {name: (folder / name).read_text() for name in kept} == kept


@pytest.mark.parametrize("wrong", ["not-a-key", " ", f"{KEY}{KEY}"])
@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("FIELD_KEYS", ["run"]),
        ("FIELD_KEYS", ["demo"]),
        ("FIELD_KEYS", ["dev"]),
        ("FIELD_KEYS", ["manage", "account", "ada"]),
        ("PARTNER_API_KEYS", ["partner-api"]),
        ("PARTNER_API_KEYS", ["partner-api", "create_install", "--organization", "Acme"]),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else given,
)
def test_keys_that_are_none_are_refused_before_anything_is_made(
    name: str, command: list[str], wrong: str, tmp_path: Path
) -> None:
    folder = prepare(tmp_path)
    if command[1:]:
        (folder / "postgres").mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DATABASE_URL")}
    given = {"DATA_DIR": str(folder), "PORT": str(claim_port(0)), name: wrong}
    done = subprocess.run(
        [sys.executable, "-m", "dashboard.launch", *command], cwd=ROOT, capture_output=True, text=True, timeout=60,
        env=environment | given, check=False,
    )  # fmt: skip
    why = "is set and holds no key" if wrong == " " else "key 1 of 1 is not a key"
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert re.match(
        rf"Redeliver cannot start: {name}:? {why}: a key is 44 characters of URL-safe base64\.\n", done.stderr
    )
    assert wrong == " " or wrong not in done.stderr
    assert not (folder / "postgres.log").exists()


@pytest.mark.parametrize(
    "command", [["partner-api", "create_install", "--organization", "Acme"], ["manage", "account", "ada"]]
)
def test_command_on_a_folder_that_was_never_started_says_what_to_do_and_makes_nothing(
    command: list[str], tmp_path: Path
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DATABASE_URL")}
    done = subprocess.run(
        [sys.executable, "-m", "dashboard.launch", *command], cwd=ROOT, capture_output=True, text=True, timeout=60,
        env=environment | {"DATA_DIR": str(tmp_path / "new")}, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"DATA_DIR {tmp_path}/new has no database: Redeliver was never started on it. Start it first" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_folder_that_was_started_is_known_by_its_database_wherever_that_is(tmp_path: Path) -> None:
    (tmp_path / "postgres").symlink_to(tmp_path / "elsewhere")
    assert started_before(tmp_path) == tmp_path


def test_keys_are_in_no_repr(tmp_path: Path) -> None:
    made = keys(prepare(tmp_path))
    assert made.FIELD_KEYS not in repr(made)
    assert made.SECRET_KEY not in repr(made)


def test_folder_is_checked_and_changed_by_its_descriptor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name may lead to another folder right after the check, so nothing may be changed by name."""
    victim, ours = tmp_path / "victim", tmp_path / "ours"
    victim.mkdir(mode=0o755)
    fstat = os.fstat

    def swap(descriptor: int) -> os.stat_result:
        found = fstat(descriptor)
        ours.rename(tmp_path / "moved")
        ours.symlink_to(victim)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(module.os, "fstat", swap)
        module.make_private(ours)
    assert victim.stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "moved").stat().st_mode & 0o777 == 0o700


def test_folder_of_another_user_or_a_link_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    with pytest.raises(CannotStart, match="is a symbolic link"):
        module.make_private(tmp_path / "link")
    monkeypatch.setattr(module.os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(CannotStart, match="belongs to another user"):
        module.make_private(tmp_path / "theirs")
    assert (tmp_path / "theirs").stat().st_mode & 0o777 == 0o755
