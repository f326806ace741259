"""The spool keeps records in order until they are released, once, and says what it cannot keep or read."""

import os
import stat
import threading
from pathlib import Path
from unittest import mock

import pytest

from dashboard.receiver import segments
from dashboard.receiver import spool as spool_module
from dashboard.receiver.segments import HEADER_BYTES, RECORD_BYTES, KeyMissing, UnknownFormat
from dashboard.receiver.spool import Spool, SpoolFull
from dashboard.receiver.spool_folder import SpoolFailed, SpoolHeld
from tests.receiver.disks import flip, install
from tests.receiver.spools import KEY, OTHER, ROOM, TEN, again, batches, drained, files, make_dead

# Order and release


def test_new_spool_is_empty(spool: Spool) -> None:
    assert (spool.is_empty, spool.waiting, spool.bytes_used, spool.read()) == (True, 0, 0, None)
    assert files(spool) == ["lock"]


def test_records_are_read_in_the_order_in_which_they_were_appended(spool: Spool) -> None:
    for record in TEN:
        spool.append([record])
    assert spool.waiting == 10
    assert drained(spool, most=3) == TEN
    assert (spool.is_empty, spool.waiting, spool.bytes_used) == (True, 0, 0)


def test_nothing_appended_makes_no_file(spool: Spool) -> None:
    spool.append([])
    assert files(spool) == ["lock"]


def test_what_is_not_released_is_read_again(spool: Spool) -> None:
    spool.append(TEN)
    assert spool.read(most=4) == spool.read(most=4)
    assert spool.waiting == 10


def test_release_forgets_what_was_read(spool: Spool) -> None:
    spool.append(TEN)
    batch = spool.read(most=4)
    assert batch is not None
    spool.release(batch)
    assert spool.waiting == 6
    assert drained(spool) == TEN[4:]


def test_batch_that_was_released_cannot_be_released_again(spool: Spool) -> None:
    spool.append(TEN)
    batch = spool.read(most=4)
    assert batch is not None
    spool.release(batch)
    with pytest.raises(ValueError, match="released before"):
        spool.release(batch)
    assert drained(spool) == TEN[4:]
    spool.append(TEN)
    with pytest.raises(ValueError, match="released before"):
        spool.release(batch)
    assert drained(spool) == TEN


def test_records_that_come_while_a_batch_is_out_are_read_after_it(spool: Spool) -> None:
    spool.append(TEN[:5])
    batch = spool.read()
    assert batch is not None
    spool.append(TEN[5:])
    spool.release(batch)
    assert spool.waiting == 5
    assert drained(spool) == TEN[5:]


def test_spool_that_was_emptied_keeps_records_again(spool: Spool) -> None:
    for number in range(3):
        spool.append(TEN)
        assert files(spool) == [f"{number + 1:010d}.spool", "lock"]
        assert drained(spool) == TEN
        assert files(spool) == ["lock"]


def test_records_of_many_segments_keep_their_order(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", HEADER_BYTES + 150)
    spool.append(TEN)
    assert len(files(spool)) == 4  # 4, 4 and 2 records, and the lock
    assert drained(spool, most=2) == TEN


def test_segment_is_deleted_when_all_of_it_is_released(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", HEADER_BYTES + 150)
    spool.append(TEN)
    assert [len(files(spool)) for _batch in batches(spool, most=2)] == [4, 4, 3, 3, 2]
    assert files(spool) == ["lock"]


def test_large_record_is_kept(spool: Spool) -> None:
    large = os.urandom(9 * 1024 * 1024)
    spool.append([b"before", large, b"after"])
    assert drained(spool) == [b"before", large, b"after"]


# The next process


def test_next_process_reads_what_is_left(spool: Spool, opened: list[Spool]) -> None:
    spool.append(TEN)
    following = again(spool, opened)
    assert (following.waiting, following.is_empty, following.torn) == (10, False, 0)
    following.append([b"later"])
    assert drained(following) == [*TEN, b"later"]


def test_next_process_begins_a_segment_of_its_own(spool: Spool, opened: list[Spool]) -> None:
    spool.append(TEN)
    before = (spool.folder / "0000000001.spool").read_bytes()
    again(spool, opened).append(TEN)
    assert files(spool) == ["0000000001.spool", "0000000002.spool", "lock"]
    assert (spool.folder / "0000000001.spool").read_bytes() == before


def test_segment_that_was_partly_released_is_read_from_its_beginning(spool: Spool, opened: list[Spool]) -> None:
    spool.append(TEN)
    batch = spool.read(most=4)
    assert batch is not None
    spool.release(batch)
    assert drained(again(spool, opened)) == TEN


def test_torn_record_is_ignored_and_counted(spool: Spool, opened: list[Spool]) -> None:
    spool.append(TEN)
    path = spool.folder / "0000000001.spool"
    path.write_bytes(path.read_bytes()[:-1])
    following = again(spool, opened)
    assert (following.torn, following.waiting) == (1, 9)
    assert drained(following) == TEN[:9]
    assert (following.lost, following.lost_unknown) == (0, 0)
    assert files(following) == ["lock"]


@pytest.mark.parametrize("size", [0, 1, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 30])
def test_segment_without_a_whole_record_is_deleted(size: int, spool: Spool, opened: list[Spool]) -> None:
    spool.append(TEN)
    path = spool.folder / "0000000001.spool"
    path.write_bytes(path.read_bytes()[:size])
    following = again(spool, opened)
    assert (following.torn, following.waiting, following.is_empty) == (int(size != HEADER_BYTES), 0, True)
    assert files(following) == ["lock"]


def test_other_files_are_left_alone(spool: Spool, opened: list[Spool]) -> None:
    for name in ("lost+found", "1.spool", "0000000001.spool.bak"):
        (spool.folder / name).write_bytes(b"x")
    following = again(spool, opened)
    assert (following.is_empty, len(files(following))) == (True, 4)


# Locks and modes


def test_only_one_holds_a_spool(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    with mock.patch("dashboard.receiver.spool.LOCK_WAIT_S", 0), pytest.raises(SpoolHeld) as refused:
        Spool(spool.folder, keys=[KEY], max_bytes=ROOM)
    assert str(refused.value) == f"Another process holds the spool {spool.folder}."


def test_files_are_readable_by_their_user_only(tmp_path: Path, opened: list[Spool]) -> None:
    before = os.umask(0)
    try:
        opened.append(Spool(tmp_path / "a" / "b", keys=[KEY], max_bytes=ROOM))
        opened[0].append(TEN)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a").rglob("*")}
    assert modes == {"b": 0o700, "lock": 0o600, "0000000001.spool": 0o600}
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


def test_closed_spool_keeps_nothing_more(spool: Spool) -> None:
    spool.append(TEN)
    batch = spool.read()
    assert batch is not None
    spool.close()
    spool.close()
    for call in (lambda: spool.append(TEN), lambda: spool.release(batch), lambda: spool.adopt(spool.folder)):
        with pytest.raises(SpoolFailed, match="is closed"):
            call()


@pytest.mark.parametrize("keys", [[], ["no key"]])
def test_keys_that_are_none_are_refused(keys: list[str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"."):
        Spool(tmp_path / "own", keys=keys, max_bytes=ROOM)
    assert not (tmp_path / "own").exists()


def test_folder_that_cannot_be_made_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolFailed) as refused:
        Spool(tmp_path / "file" / "own", keys=[KEY], max_bytes=ROOM)
    assert str(refused.value) == f"The spool {tmp_path}/file/own cannot be opened: Not a directory."


# What is on the disk


def test_nothing_is_in_clear(spool: Spool, opened: list[Spool]) -> None:
    canaries = [b"whsec_c4n4ry-secret", b"Bearer c4n4ry-token", b'{"email":"c4n4ry@example.com"}']
    spool.append(canaries)
    spool.append([canary * 100 for canary in canaries])
    content = b"".join(path.read_bytes() + path.name.encode() for path in spool.folder.iterdir())
    for canary in [*canaries, b"c4n4ry", KEY.encode(), b"email"]:
        assert canary not in content


def test_no_repr_or_message_shows_records_or_keys(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    spool.append([b"c4n4ry"] * 3)
    flip(spool.folder / "0000000001.spool", at=HEADER_BYTES + RECORD_BYTES)
    shown = "".join(repr(batch) for batch in batches(spool)) + repr(vars(spool)).replace(repr((KEY,)), "") + caplog.text
    assert "lost" in caplog.text
    assert "c4n4ry" not in shown
    assert KEY not in repr(spool) + caplog.text


# Room


def test_spool_takes_no_more_than_its_size(tmp_path: Path, opened: list[Spool]) -> None:
    each = RECORD_BYTES + len(TEN[0])
    opened.append(Spool(tmp_path / "own", keys=[KEY], max_bytes=HEADER_BYTES + 4 * each + each // 2))
    with pytest.raises(SpoolFull) as full:
        opened[0].append(TEN)
    assert full.value.kept == 4
    assert str(full.value) == (
        f"The spool {tmp_path}/own is full: {HEADER_BYTES + 4 * each} of {opened[0].max_bytes} bytes are used."
    )
    with pytest.raises(SpoolFull) as full:
        opened[0].append(TEN[4:])
    assert full.value.kept == 0
    assert (opened[0].waiting, opened[0].bytes_used) == (4, HEADER_BYTES + 4 * each)
    assert drained(opened[0]) == TEN[:4]


def test_spool_that_was_full_keeps_records_again(tmp_path: Path, opened: list[Spool]) -> None:
    opened.append(Spool(tmp_path / "own", keys=[KEY], max_bytes=HEADER_BYTES + 100))
    with pytest.raises(SpoolFull):
        opened[0].append(TEN)
    assert drained(opened[0]) == TEN[:2]
    opened[0].append(TEN[2:4])
    assert drained(opened[0]) == TEN[2:4]


def test_size_counts_what_an_earlier_process_left(spool: Spool, opened: list[Spool]) -> None:
    spool.append(TEN)
    following = again(spool, opened, max_bytes=spool.bytes_used)
    with pytest.raises(SpoolFull):
        following.append([b""])
    assert drained(following) == TEN


# Keys and versions


def test_older_key_reads_and_the_first_one_encrypts(spool: Spool, opened: list[Spool]) -> None:
    spool.append(TEN)
    rotated = again(spool, opened, keys=[OTHER, KEY])
    rotated.append([b"later"])
    batch = rotated.read()
    assert batch is not None
    rotated.release(batch)
    assert drained(again(rotated, opened, keys=[OTHER])) == [b"later"]


def test_missing_key_loses_nothing(spool: Spool, opened: list[Spool]) -> None:
    spool.append(TEN)
    without = again(spool, opened, keys=[OTHER])
    without.append([b"later"])
    with pytest.raises(KeyMissing, match=f"{spool.folder}/0000000001.spool cannot be read with the keys in FIELD_KEYS"):
        without.read()
    assert without.waiting == 11
    assert drained(again(without, opened, keys=[OTHER, KEY])) == [*TEN, b"later"]


def test_unknown_version_is_refused_and_left_as_it_is(spool: Spool, opened: list[Spool]) -> None:
    spool.append(TEN)
    path = spool.folder / "0000000001.spool"
    newer = path.read_bytes().replace(b"RDLSPOOL\0\1", b"RDLSPOOL\0\2")
    path.write_bytes(newer)
    for _again in range(2):  # the lock is free after the first
        with pytest.raises(
            UnknownFormat, match=f"{path} has format version 2; this release of Redeliver reads version 1"
        ):
            again(spool, opened)
    assert path.read_bytes() == newer


# Threads


def test_reading_goes_on_while_others_append(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 2000)
    senders, each = 4, 60

    def send(sender: int) -> None:
        for number in range(0, each, 3):
            spool.append([b"%d:%d" % (sender, one) for one in range(number, number + 3)])

    threads = [threading.Thread(target=send, args=[sender]) for sender in range(senders)]
    for thread in threads:
        thread.start()
    read: list[bytes] = []
    while len(read) < senders * each:
        read += drained(spool, most=5)
        assert spool.waiting >= 0
    for thread in threads:
        thread.join()
    for sender in range(senders):
        own = [record for record in read if record.startswith(b"%d:" % sender)]
        assert own == [b"%d:%d" % (sender, number) for number in range(each)]
    assert (spool.is_empty, spool.lost, spool.torn) == (True, 0, 0)


def test_reading_waits_for_no_fsync(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.append(TEN)
    begun, may_end = threading.Event(), threading.Event()

    def slow(descriptor: int) -> None:
        begun.set()
        assert may_end.wait(30)
        os.fsync(descriptor)

    install(monkeypatch, segments, fsync=slow)
    thread = threading.Thread(target=spool.append, args=[[b"later"]])
    thread.start()
    assert begun.wait(30)
    batch = spool.read()
    assert batch is not None
    assert (batch.records, spool.waiting) == (tuple(TEN), 10)  # what is not on the disk is not shown
    may_end.set()
    thread.join()
    assert spool.waiting == 11


def test_others_append_while_a_spool_is_looked_through(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = make_dead(tmp_path / "dead")
    begun, may_end, scan = threading.Event(), threading.Event(), spool_module._scan

    def slow(folder: Path) -> object:
        begun.set()
        assert may_end.wait(30)
        return scan(folder)

    monkeypatch.setattr(spool_module, "_scan", slow)
    thread = threading.Thread(target=spool.adopt, args=[dead])
    thread.start()
    assert begun.wait(30)
    spool.append([b"own"])
    assert spool.waiting == 1
    may_end.set()
    thread.join()
    assert drained(spool) == [b"own", *TEN]
