"""Whether an older key may be removed: never while a spool needs it, or a receiver goes on using it."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from dashboard.receiver import segments
from dashboard.receiver.segments import HEADER_BYTES
from dashboard.receiver.spool import Spool
from dashboard.receiver.spool_folder import SpoolFailed
from dashboard.receiver.spool_keys import KeyUse, needs_key
from tests.receiver.disks import failing, flip, install

OLD, NEW, LOST = (Fernet.generate_key().decode() for _number in range(3))
ROOM = 2**30


def leave(folder: Path, *, keys: Sequence[str], records: Sequence[bytes] = (b"kept",)) -> Path:
    spool = Spool(folder, keys=keys, max_bytes=ROOM)
    spool.append(records)
    spool.close()
    return folder


def contents(root: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()}


def test_no_spool_needs_no_key(tmp_path: Path) -> None:
    assert needs_key(tmp_path / "nowhere", keys=[NEW, OLD]) == []
    assert needs_key(tmp_path, keys=[NEW, OLD]) == []


def test_spool_under_the_first_key_needs_no_other(tmp_path: Path) -> None:
    leave(tmp_path / "a", keys=[NEW, OLD])
    assert needs_key(tmp_path, keys=[NEW, OLD]) == []


def test_spool_that_waits_under_an_older_key_needs_it(tmp_path: Path) -> None:
    a = leave(tmp_path / "a", keys=[OLD])
    leave(tmp_path / "a", keys=[OLD])
    leave(tmp_path / "a", keys=[NEW, OLD])
    leave(tmp_path / "b", keys=[NEW])
    before = contents(tmp_path)
    assert needs_key(tmp_path, keys=[NEW, OLD]) == [KeyUse(a, older=2, unreadable=0, writes_older=False)]
    assert contents(tmp_path) == before


def test_spool_that_was_emptied_needs_its_key_no_more(tmp_path: Path) -> None:
    leave(tmp_path / "a", keys=[OLD])
    spool = Spool(tmp_path / "a", keys=[NEW, OLD], max_bytes=ROOM)
    batch = spool.read()
    assert batch is not None
    spool.release(batch)
    assert needs_key(tmp_path, keys=[NEW, OLD]) == []
    spool.close()


def test_spool_whose_key_is_gone_is_told(tmp_path: Path) -> None:
    a = leave(tmp_path / "a", keys=[LOST])
    assert needs_key(tmp_path, keys=[NEW, OLD]) == [KeyUse(a, older=0, unreadable=1, writes_older=False)]


def test_spool_of_another_version_may_need_any_key(tmp_path: Path) -> None:
    a = leave(tmp_path / "a", keys=[NEW])
    path = a / "0000000001.spool"
    path.write_bytes(path.read_bytes().replace(b"RDLSPOOL\0\1", b"RDLSPOOL\0\2"))
    assert needs_key(tmp_path, keys=[NEW, OLD]) == [KeyUse(a, older=0, unreadable=1, writes_older=False)]


def test_running_receiver_with_the_older_key_is_told_though_its_spool_is_empty(tmp_path: Path) -> None:
    """Its next segment would need the key that is about to be removed."""
    spool = Spool(tmp_path / "a", keys=[OLD], max_bytes=ROOM)
    assert needs_key(tmp_path, keys=[NEW, OLD]) == [KeyUse(spool.folder, older=0, unreadable=0, writes_older=True)]
    spool.append([b"kept"])
    assert needs_key(tmp_path, keys=[NEW, OLD]) == [KeyUse(spool.folder, older=1, unreadable=0, writes_older=True)]
    spool.close()
    spool = Spool(tmp_path / "a", keys=[NEW, OLD], max_bytes=ROOM)
    assert needs_key(tmp_path, keys=[NEW, OLD]) == [KeyUse(spool.folder, older=1, unreadable=0, writes_older=False)]
    spool.close()


def test_receiver_whose_lock_says_nothing_is_not_trusted(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "a", keys=[NEW], max_bytes=ROOM)
    (tmp_path / "a" / "lock").write_bytes(b"")
    assert needs_key(tmp_path, keys=[NEW]) == [KeyUse(spool.folder, older=0, unreadable=0, writes_older=True)]
    spool.close()


def test_segment_that_is_set_aside_needs_its_key(tmp_path: Path) -> None:
    a = leave(tmp_path / "a", keys=[OLD])
    flip(a / "0000000001.spool", at=HEADER_BYTES)
    spool = Spool(a, keys=[NEW, OLD], max_bytes=ROOM)
    batch = spool.read()
    assert batch is not None
    spool.release(batch)
    spool.close()
    assert needs_key(tmp_path, keys=[NEW, OLD]) == [KeyUse(a, older=1, unreadable=0, writes_older=False)]


def test_segment_whose_header_is_gone_needs_no_key(tmp_path: Path) -> None:
    a = leave(tmp_path / "a", keys=[OLD])
    path = a / "0000000001.spool"
    path.write_bytes(bytes(HEADER_BYTES) + path.read_bytes()[HEADER_BYTES:])
    assert needs_key(tmp_path, keys=[NEW, OLD]) == []


def test_segment_that_enters_the_log_meanwhile_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(tmp_path / "a", keys=[OLD])
    install(monkeypatch, segments, open=failing(2))
    assert needs_key(tmp_path, keys=[NEW, OLD]) == []


def test_spool_that_cannot_be_read_is_not_said_to_need_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(tmp_path / "a", keys=[NEW])
    install(monkeypatch, segments, open=failing(13))
    with pytest.raises(SpoolFailed) as failed:
        needs_key(tmp_path, keys=[NEW, OLD])
    assert str(failed.value) == f"The spools in {tmp_path} cannot be read: Permission denied."
