"""A spool on a disk that is full or fails: what it reports as kept is kept, and it goes on when there is room."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from dashboard.receiver import segments, spool_folder
from dashboard.receiver import spool as spool_module
from dashboard.receiver.segments import HEADER_BYTES, RECORD_BYTES
from dashboard.receiver.spool import Spool, SpoolFull
from dashboard.receiver.spool_folder import SpoolFailed
from tests.receiver.disks import failing, install, writing
from tests.small_disk import mounted

KEY = Fernet.generate_key().decode()
ROOM = 2**30
TEN = [f"record {number}".encode() for number in range(10)]
EACH = RECORD_BYTES + len(TEN[0])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", "size=256k,nr_inodes=20") as place:
        yield place


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool(tmp_path / "own", keys=[KEY], max_bytes=ROOM)
    yield opened
    opened.close()


def drained(spool: Spool) -> list[bytes]:
    found: list[bytes] = []
    while (batch := spool.read()) is not None:
        found += batch.records
        spool.release(batch)
    return found


def segments_of(spool: Spool) -> list[str]:
    return sorted(path.name for path in spool.folder.iterdir() if path.name != "lock")


def append_all(spool: Spool, records: list[bytes]) -> tuple[int, SpoolFailed | None]:
    try:
        spool.append(records)
    except SpoolFailed as failed:
        return failed.kept, failed
    return len(records), None


def test_full_disk_keeps_what_fits_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    spool = Spool(small_disk / "own", keys=[KEY], max_bytes=ROOM)
    records = [b"%d" % number * 1000 for number in range(10, 99)]
    kept: list[bytes] = []
    failed = None
    while failed is None:
        count, failed = append_all(spool, records)
        kept += records[:count]
    assert isinstance(failed, SpoolFull)
    assert str(failed) == f"The disk of the spool {small_disk}/own is full."
    assert 0 < failed.kept < len(records)
    assert append_all(spool, records)[0] in range(3)  # what is left of a page
    spool.close()

    following = Spool(small_disk / "own", keys=[KEY], max_bytes=ROOM)  # it opens on a full disk as well
    found = drained(following)
    assert found[: len(kept)] == kept
    assert following.torn == 0
    assert append_all(following, records) == (len(records), None)
    assert drained(following) == records
    following.close()


def test_disk_without_room_for_a_file_is_full(small_disk: Path) -> None:
    spool = Spool(small_disk / "own", keys=[KEY], max_bytes=ROOM)
    fillers = [small_disk / str(number) for number in range(30)]
    with contextlib.suppress(OSError):
        for filler in fillers:
            filler.touch()
    assert not fillers[-1].exists()
    with pytest.raises(SpoolFull) as full:
        spool.append(TEN)
    assert full.value.kept == 0
    fillers[0].unlink()
    spool.append(TEN)
    assert drained(spool) == TEN
    spool.close()


def test_full_disk_in_the_middle_of_a_record_keeps_those_before(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        install(patch, segments, write=writing(room=HEADER_BYTES + 4 * EACH + 5))
        kept, full = append_all(spool, TEN)
    assert (kept, type(full)) == (4, SpoolFull)
    path = spool.folder / "0000000001.spool"
    assert path.stat().st_size == spool.bytes_used == HEADER_BYTES + 4 * EACH
    spool.append(TEN[4:])  # with a new key: a nonce of the old one may have been used
    assert segments_of(spool) == ["0000000001.spool", "0000000002.spool"]
    assert drained(spool) == TEN


@pytest.mark.parametrize("room", [0, 1, HEADER_BYTES, HEADER_BYTES + EACH - 1])
def test_full_disk_before_the_first_record_leaves_no_file(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    with monkeypatch.context() as patch:
        install(patch, segments, write=writing(room=room))
        kept, full = append_all(spool, TEN)
    assert (kept, type(full)) == (0, SpoolFull)
    assert (segments_of(spool), spool.is_empty, spool.read()) == ([], True, None)
    spool.append(TEN)
    assert drained(spool) == TEN


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, SpoolFull, "The disk of the spool {folder} is full."),
        (errno.EDQUOT, SpoolFull, "The disk of the spool {folder} is full."),
        (errno.EIO, SpoolFailed, "The spool {folder} cannot be written to: Input/output error."),
        (errno.EROFS, SpoolFailed, "The spool {folder} cannot be written to: Read-only file system."),
    ],
)
@pytest.mark.parametrize("call", ["open", "write", "fsync"])
def test_failure_of_each_step_is_told_and_keeps_nothing(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, call: str, number: int, kind: type[SpoolFailed], words: str
) -> None:
    with monkeypatch.context() as patch:
        install(patch, segments, **{call: failing(number)})
        kept, failed = append_all(spool, TEN)
    assert (kept, type(failed), str(failed)) == (0, kind, words.format(folder=spool.folder))
    assert (segments_of(spool), spool.waiting) == ([], 0)
    spool.append(TEN)
    assert drained(spool) == TEN


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_failure_keeps_what_was_kept_before(spool: Spool, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    spool.append(TEN[:3])
    with monkeypatch.context() as patch:
        install(patch, segments, **{call: failing(errno.EIO)})
        assert append_all(spool, TEN[3:])[0] == 0
    assert spool.waiting == 3
    spool.append(TEN[3:])
    assert drained(spool) == TEN
    assert (spool.lost, spool.lost_unknown) == (0, 0)


def test_new_file_whose_name_is_not_on_the_disk_keeps_nothing(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        install(patch, spool_folder, fsync=failing(errno.EIO))
        kept, failed = append_all(spool, TEN)
    assert (kept, type(failed)) == (0, SpoolFailed)
    assert (segments_of(spool), spool.waiting) == ([], 0)


def test_failure_in_a_later_segment_keeps_the_ones_before(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", HEADER_BYTES + 3 * EACH)
    with monkeypatch.context() as patch:
        install(patch, segments, write=writing(room=2 * HEADER_BYTES + 5 * EACH))
        kept, full = append_all(spool, TEN)
    assert (kept, type(full)) == (5, SpoolFull)
    spool.append(TEN[5:])
    assert drained(spool) == TEN


def test_what_is_reported_as_kept_was_synced_with_its_name(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each append ends with an fsync of its bytes; a new file's name is synced after it."""
    calls: list[tuple[str, int]] = []

    def write(descriptor: int, data: bytes) -> int:
        calls.append(("write", os.fstat(descriptor).st_ino))
        return os.write(descriptor, data)

    def fsync(descriptor: int) -> None:
        calls.append(("fsync", os.fstat(descriptor).st_ino))
        os.fsync(descriptor)

    install(monkeypatch, segments, spool_folder, write=write, fsync=fsync)
    spool.append(TEN[:5])
    folder, file = spool.folder.stat().st_ino, (spool.folder / "0000000001.spool").stat().st_ino
    assert calls == [("write", file), ("fsync", file), ("fsync", folder)]
    calls.clear()
    spool.append(TEN[5:])
    assert calls == [("write", file), ("fsync", file)]


def test_group_is_one_fsync(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    spool.append(TEN)
    install(monkeypatch, segments, fsync=synced.append)
    spool.append(TEN * 100)
    assert len(synced) == 1


def test_reading_from_a_failing_disk_is_told_in_words(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.append(TEN)
    with monkeypatch.context() as patch:
        install(patch, segments, open=failing(errno.EACCES))
        with pytest.raises(SpoolFailed, match=r"0000000001\.spool cannot be read: Permission denied\."):
            spool.read()
    assert drained(spool) == TEN


def test_spool_opens_while_its_lock_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, spool_module, pwrite=failing(errno.ENOSPC))
    Spool(tmp_path / "own", keys=[KEY], max_bytes=ROOM).close()
    install(monkeypatch, spool_module, pwrite=failing(errno.EIO))
    with pytest.raises(SpoolFailed, match="cannot be opened: Input/output error"):
        Spool(tmp_path / "own", keys=[KEY], max_bytes=ROOM)
    monkeypatch.undo()
    Spool(tmp_path / "own", keys=[KEY], max_bytes=ROOM).close()  # the lock was given up


def test_end_that_the_disk_cannot_read_is_not_taken_for_a_torn_record(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A torn record was never reported as kept; these were."""
    records = [bytes([number]) * 1000 for number in range(20)]
    spool.append(records)
    spool.close()

    def pread(descriptor: int, size: int, at: int) -> bytes:
        if at + size > 4096:
            raise OSError(errno.EIO, "Input/output error")
        return os.pread(descriptor, size, at)

    install(monkeypatch, segments, pread=pread)
    following = Spool(spool.folder, keys=[KEY], max_bytes=ROOM)
    found = drained(following)
    following.close()
    assert found == records[: len(found)]
    assert (len(found), following.torn, following.lost, following.lost_unknown) == (3, 0, 1, 1)
