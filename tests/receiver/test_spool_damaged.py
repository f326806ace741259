"""Records and segments that are damaged or gone: the others are read, and what is lost is counted."""

import logging
import os

import pytest

from dashboard.receiver import spool_folder
from dashboard.receiver.segments import HEADER_BYTES, RECORD_BYTES, Damage
from dashboard.receiver.spool import Spool
from dashboard.receiver.spool_folder import SpoolFailed
from tests.receiver.disks import failing, flip, install
from tests.receiver.spools import TEN, again, batches, drained, files


def test_damaged_record_is_reported_and_the_others_are_read(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    spool.append(TEN)
    each = RECORD_BYTES + len(TEN[0])
    begin = HEADER_BYTES + 3 * each
    path = spool.folder / "0000000001.spool"
    flip(path, at=begin + each - 1)
    found = list(batches(spool))
    assert [batch.records for batch in found] == [(*TEN[:3], *TEN[4:])]
    assert [batch.damage for batch in found] == [(Damage(begin, begin + each, 1),)]
    assert (spool.lost, spool.lost_unknown, spool.waiting) == (1, 0, 0)
    assert caplog.record_tuples == [
        (
            "dashboard.receiver.spool",
            logging.ERROR,
            f"{path} is damaged from byte {begin} to {begin + each}: 1 records lost",
        )
    ]


def test_damaged_record_is_counted_once_however_often_it_is_read(spool: Spool, opened: list[Spool]) -> None:
    spool.append(TEN)
    flip(spool.folder / "0000000001.spool", at=HEADER_BYTES)
    assert spool.read() == spool.read()
    assert spool.lost == 0
    drained(spool)
    assert spool.lost == 1


def test_damaged_segment_is_set_aside(spool: Spool, opened: list[Spool]) -> None:
    spool.append(TEN)
    flip(spool.folder / "0000000001.spool", at=HEADER_BYTES)
    damaged = (spool.folder / "0000000001.spool").read_bytes()
    assert drained(spool, most=4) == TEN[1:]
    assert (spool.folder / "0000000001.aside").read_bytes() == damaged
    following = again(spool, opened)
    assert following.is_empty
    following.append(TEN)
    assert files(following) == ["0000000001.aside", "0000000002.spool", "lock"]


def test_segment_with_records_that_the_log_refuses_is_set_aside(
    spool: Spool, opened: list[Spool], caplog: pytest.LogCaptureFixture
) -> None:
    spool.append(TEN)
    path = spool.folder / "0000000001.spool"
    for number, batch in enumerate(iter(lambda: spool.read(most=4), None)):
        spool.release(batch, refused=2 if number == 1 else 0)
    assert (spool.refused, spool.lost, spool.is_empty) == (2, 0, True)
    assert caplog.messages == [f"{path} has 2 records that the log refused"]
    assert files(spool) == ["0000000001.aside", "lock"]
    (spool.folder / "0000000001.aside").rename(path)  # as an operator does, once the log can take them
    assert drained(again(spool, opened)) == TEN


def test_segment_whose_header_is_gone_is_lost_and_counted(spool: Spool, opened: list[Spool]) -> None:
    spool.append(TEN)
    path = spool.folder / "0000000001.spool"
    path.write_bytes(b"\xff" * HEADER_BYTES + path.read_bytes()[HEADER_BYTES:])
    following = again(spool, opened)
    following.append([b"later"])
    assert following.waiting == 11
    assert drained(following) == [b"later"]
    assert (following.lost, following.lost_unknown) == (10, 0)


@pytest.mark.parametrize("left", [0, HEADER_BYTES, HEADER_BYTES + 100])
def test_records_that_somebody_cuts_off_are_counted(left: int, spool: Spool) -> None:
    spool.append(TEN)
    os.truncate(spool.folder / "0000000001.spool", left)
    kept = drained(spool)
    assert kept == TEN[: len(kept)]
    assert (len(kept), spool.lost) == ((2, 8) if left > HEADER_BYTES else (0, 10))
    assert spool.is_empty


def test_segment_that_somebody_deletes_is_counted(spool: Spool) -> None:
    spool.append(TEN)
    (spool.folder / "0000000001.spool").unlink()
    assert drained(spool) == []
    assert (spool.lost, spool.is_empty) == (10, True)
    spool.append(TEN)
    assert drained(spool) == TEN


def test_number_that_nobody_knows_is_not_made_up(spool: Spool, opened: list[Spool]) -> None:
    spool.append(TEN)
    flip(spool.folder / "0000000001.spool", at=HEADER_BYTES + 9 * (RECORD_BYTES + len(TEN[0])))
    following = again(spool, opened)
    assert following.waiting == 9
    assert drained(following) == TEN[:9]
    assert (following.lost, following.lost_unknown, following.waiting) == (0, 1, 0)


def test_number_that_this_process_counted_is_known(spool: Spool) -> None:
    spool.append(TEN)
    flip(spool.folder / "0000000001.spool", at=HEADER_BYTES + 9 * (RECORD_BYTES + len(TEN[0])))
    assert drained(spool) == TEN[:9]
    assert (spool.lost, spool.lost_unknown) == (1, 0)


def test_segment_that_cannot_be_deleted_is_tried_again_and_read_once(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.append(TEN)
    batch = spool.read()
    assert batch is not None
    with monkeypatch.context() as patch:
        install(patch, spool_folder, fsync=failing(5))
        with pytest.raises(SpoolFailed, match=r"0000000001\.spool cannot be deleted: Input/output error\."):
            spool.release(batch)
    assert spool.waiting == 0
    assert [one.records for one in batches(spool)] == [()]
    assert (spool.is_empty, spool.lost) == (True, 0)
