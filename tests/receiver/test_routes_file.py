"""The file of routes: what is written is read again, nothing stands in it in clear, and there is always a whole one."""

import errno
import json
import os
import stat
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from dashboard.queries.routes import RouteRow
from dashboard.receiver import routes_file
from dashboard.receiver.routes_file import NAME, RoutesUnreadable, count, path_in, read, reencrypt, write
from dashboard.vault import Sealed, Secret, encrypt
from tests.factories import NOON
from tests.receiver.disks import failing, install

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def file(tmp_path: Path, settings) -> Path:
    settings.FIELD_KEYS = [OLD]
    return tmp_path / "receiver" / "routes"


def rows() -> list[RouteRow]:
    secret = Sealed.of(encrypt(Secret("whsec_canary")))
    handler = "https://acme.example.com/hook?token=canary"
    return [
        RouteRow(1, 7, "key-canary", handler, secret, NOON, "waiting", is_deleted=True, taken_url="", hash=5),
        RouteRow(
            2,
            7,
            None,
            "",
            None,
            None,
            "proven",
            is_deleted=False,
            taken_url="https://example.com/hooks/canary/",
            hash=-5,
        ),
        RouteRow(3, 8, "key-3", "", Sealed.of(b"\xff\0"), None, "none", is_deleted=False, taken_url=""),
    ]


def test_what_is_written_is_read_again(file: Path) -> None:
    given = rows()
    write(file, given, at=NOON)
    found = read(file)
    assert found is not None
    assert (found.rows, found.at) == (given, NOON)
    assert [row.hash for row in found.rows] == [None] * 3


def test_file_that_is_missing_is_none(file: Path) -> None:
    assert read(file) is None
    assert count(file) == routes_file.SecretCount(0, 0, 0)
    reencrypt(file)
    assert not file.exists()


def test_place_is_in_the_folder_of_the_setting() -> None:
    assert path_in("") is None
    assert path_in("/var/lib/receiver") == Path("/var/lib/receiver", NAME)


def test_nothing_stands_in_it_in_clear(file: Path) -> None:
    write(file, rows(), at=NOON)
    data = file.read_bytes()
    assert not [word for word in (b"canary", b"whsec", b"https", b"acme", b"endpoint", b"2026") if word in data]
    inner = json.loads(Fernet(OLD).decrypt(data[10:]))
    assert "whsec_canary" not in json.dumps(inner)
    # No token of an install is among what is kept.
    assert {name for row in inner["routes"] for name in row} == {
        "endpoint", "install", "key", "handler", "secret", "registering", "proof", "deleted", "taken",
    }  # fmt: skip


def test_only_its_user_can_read_it(file: Path) -> None:
    write(file, [], at=NOON)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    file.chmod(0o644)
    write(file, [], at=NOON)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(("user", "given"), [(0, True), (1000, False)])
def test_file_that_root_writes_belongs_to_the_folders_owner(
    file: Path, user: int, given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "fchown", lambda _descriptor, *owner: told.append(owner))
    write(file, [], at=NOON)
    folder = file.parent.stat()
    assert told == ([(folder.st_uid, folder.st_gid)] if given else [])


@pytest.mark.parametrize("step", ["fsync", "fdopen"])
def test_write_that_fails_leaves_the_old_file(file: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(file, rows(), at=NOON)
    before = file.read_bytes()
    with monkeypatch.context() as patch:
        install(patch, routes_file, **{step: failing(errno.ENOSPC)})
        with pytest.raises(OSError, match="No space left"):
            write(file, [], at=NOON)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["routes"]


def test_files_that_a_killed_process_left_are_removed_and_no_others(file: Path) -> None:
    write(file, [], at=NOON)
    left, young, other = (file.parent / name for name in ("routes.a.new", "routes.b.new", "0000000001.spool"))
    for path in (left, young, other):
        path.touch()
    for path in (left, other):
        os.utime(path, (time.time() - 120, time.time() - 120))
    write(file, [], at=NOON)
    assert sorted(path.name for path in file.parent.iterdir()) == sorted(["routes", young.name, other.name])


# Files that cannot be read


def test_wrong_keys_are_named(file: Path, settings) -> None:
    write(file, rows(), at=NOON)
    settings.FIELD_KEYS = [NEW]
    with pytest.raises(RoutesUnreadable) as refused:
        read(file)
    assert str(refused.value) == (
        f"{file} is damaged, or FIELD_KEYS lacks the key that encrypted it. Append that key to FIELD_KEYS, or delete "
        "the file: a receiver writes a new one."
    )


def test_other_versions_are_refused_in_words(file: Path) -> None:
    write(file, rows(), at=NOON)
    file.write_bytes(file.read_bytes().replace(b"RDROUTES\0\1", b"RDROUTES\0\2"))
    with pytest.raises(RoutesUnreadable, match=r"has format version 2; this release of Redeliver reads version 1\."):
        read(file)


@pytest.mark.parametrize("data", [b"", b"RDROUTES", b"anything else", b"\0" * 200])
def test_other_files_are_refused_in_words(file: Path, data: bytes) -> None:
    file.parent.mkdir()
    file.write_bytes(data)
    with pytest.raises(RoutesUnreadable, match=r"is not a file of routes\. Delete it"):
        read(file)


@pytest.mark.parametrize("said", [{}, {"routes": [{}], "at": NOON.isoformat()}, {"routes": [], "at": "now"}, []])
def test_file_with_other_fields_is_refused_in_words(file: Path, said: object) -> None:
    """The thread that reads it must go on, and ask the database."""
    write(file, rows(), at=NOON)
    data = file.read_bytes()
    file.write_bytes(data[:10] + Fernet(OLD).encrypt(json.dumps(said).encode()))
    with pytest.raises(RoutesUnreadable, match="has other fields than this release"):
        read(file)


def test_flipped_bit_never_gives_other_routes(file: Path) -> None:
    """Some bits of base64 mean nothing, so not every flip is refused."""
    write(file, rows()[:1], at=NOON)
    whole, kept = file.read_bytes(), read(file)
    refused = 0
    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            assert read(file) == kept
        except RoutesUnreadable:
            refused += 1
    assert refused > len(whole) - 5


def test_file_that_the_system_refuses_is_named(file: Path) -> None:
    file.mkdir(parents=True)
    with pytest.raises(RoutesUnreadable, match="cannot be read: Is a directory"):
        read(file)


VERSION_1 = (
    b"RDROUTES\0\1"
    b"gAAAAABrDRzuaWh2b8xUB0zM3ub83EamHnfzUFVdXJx_7eih2bJ0BhzpFWVbYBK2jhy83dv78iDfNEMbFJIGWd7gjlCqdyolfcXc"
    b"B-lhi6_4ZmCGrWjgLWy8uG-"
    b"5XHokVFfUeR8i1PHQDcC3024IGJOPepbsMGR_bdkbJrqP1CisoS1nmGJNdy_ckUky_Wlj0MDrIy06a6TO0c7A1Xzkme5WDw0otbp"
    b"kbG2tt3tbPATJ3jbJ42O9Vm6deozPajHuNqk3hd2d8sckgGFEZXpbCi-uQW_sIShqOtMZG-Za6BEKw2mKmjOmn6Cgq4nNNGY6NfB"
    b"PCTAV1DjQ8YPAAAqPMqkw4lGXRAtCcNXwylelyMi0ZLyOLZOJUbiih2dOf5SNc9gwEschntuX5BuKl5KATjWHMoQC3Hehnuv6q23"
    b"B7ifW5XowCYoHqyHfiizb02fpyVjSMs2Gum1PyyldsxojE4IJdse7XnMPW08AkwE61e6MlLn6i9_E_lLl1Y7yASYVCGB5Y3SIv_X"
    b"NxNlpWAZLYeS0kqHB30S0sQ=="
)
"""Written by the first release that had the file. Never change it: newer releases must read it."""


def test_what_version_1_wrote_is_read(file: Path, settings) -> None:
    settings.FIELD_KEYS = ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]
    file.parent.mkdir()
    file.write_bytes(VERSION_1)
    found = read(file)
    assert found is not None
    [row] = found.rows
    assert (row.endpoint_id, row.install_id, row.key, row.handler_url) == (
        1,
        7,
        "key-1",
        "https://acme.example.com/hook",
    )
    assert row.secret is not None
    assert row.secret.reveal() == "whsec_1"
    assert row.proof == "waiting"
    assert row.registering_since == found.at == datetime(2026, 3, 1, 12, tzinfo=UTC)


# Re-encryption


def test_reencrypt_puts_all_under_the_first_key(file: Path, settings) -> None:
    given = rows()
    write(file, given, at=NOON)
    settings.FIELD_KEYS = [NEW, OLD]
    assert count(file) == routes_file.SecretCount(3, 0, 1)
    reencrypt(file)
    assert count(file) == routes_file.SecretCount(3, 2, 1)
    settings.FIELD_KEYS = [NEW]
    found = read(file)
    assert found is not None
    assert found.at == NOON
    assert found.rows[0].secret is not None
    assert found.rows[0].secret.reveal() == "whsec_canary"
    assert found.rows[1:] == given[1:]


def test_reencrypt_changes_nothing_that_is_current(file: Path) -> None:
    write(file, rows(), at=NOON)
    before = file.read_bytes()
    reencrypt(file)
    assert file.read_bytes() == before
