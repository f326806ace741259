"""Segment files: what was appended is read again, and whatever happens to the bytes is noticed."""

import errno
import itertools
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from dashboard.receiver import segments
from dashboard.receiver.segments import (
    HEADER_BYTES,
    RECORD_BYTES,
    SEGMENT_BYTES,
    Damage,
    KeyMissing,
    Reader,
    Record,
    Torn,
    UnknownFormat,
    Writer,
    parts,
    read_from,
    read_header,
)
from tests.receiver.disks import failing, flip, install, writing

KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
OTHER = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
RECORDS = [b"first", b"", b"third" * 20]
ENDLESS = 2**40


def written(path: Path, records: Sequence[bytes] = RECORDS, *, keys: Sequence[str] = (KEY,)) -> bytes:
    writer = Writer(path, keys=keys)
    assert writer.append(records, most_bytes=ENDLESS) == (len(records), None)
    writer.close()
    return path.read_bytes()


def read(data: bytes, *, keys: Sequence[str] = (KEY,)) -> list[bytes | Damage | Torn | None]:
    """Return the contents of records, None for one that was changed, and what stands between them."""
    reader = Reader.of(read_header(data[:HEADER_BYTES], name="a.spool"), keys=keys, name="a.spool")
    found = parts(data[HEADER_BYTES:], start=HEADER_BYTES, number=0)
    return [(reader.content(part) if reader else None) if isinstance(part, Record) else part for part in found]


def starts(records: Sequence[bytes] = RECORDS) -> list[int]:
    """Return the offsets at which the records begin, and the end of the last one."""
    return list(itertools.accumulate((RECORD_BYTES + len(one) for one in records), initial=HEADER_BYTES))


def test_records_are_read_in_order(tmp_path: Path) -> None:
    assert read(written(tmp_path / "a")) == RECORDS


def test_records_of_several_appends_are_one_sequence(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a", keys=[KEY])
    for record in RECORDS:
        writer.append([record], most_bytes=ENDLESS)
    assert (writer.count, writer.size) == (3, starts()[-1])
    assert read((tmp_path / "a").read_bytes()) == RECORDS


def test_file_is_readable_by_its_user_only(tmp_path: Path) -> None:
    written(tmp_path / "a")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


def test_file_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"kept")
    (tmp_path / "b").symlink_to(tmp_path / "nowhere")
    for name in "ab":
        with pytest.raises(FileExistsError):
            Writer(tmp_path / name, keys=[KEY])
    assert (tmp_path / "a").read_bytes() == b"kept"


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_any_bytes_can_be_kept(tmp_path_factory: pytest.TempPathFactory, records: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("any") / "a"
    assert read(written(path, records) if records else b"") == records


def test_record_that_looks_like_records_is_content(tmp_path: Path) -> None:
    inner = written(tmp_path / "inner")
    assert read(written(tmp_path / "a", [inner, inner[HEADER_BYTES:]])) == [inner, inner[HEADER_BYTES:]]


def test_segment_stops_at_its_size(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a", keys=[KEY])
    half = bytes(SEGMENT_BYTES // 2)
    assert writer.append([half] * 5, most_bytes=ENDLESS) == (2, None)
    assert writer.is_full


def test_record_that_does_not_fit_is_not_begun(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a", keys=[KEY])
    assert writer.append(RECORDS, most_bytes=starts()[1] - 1) == (0, None)
    assert (tmp_path / "a").read_bytes() == b""
    assert writer.append(RECORDS, most_bytes=starts()[2]) == (2, None)
    assert read((tmp_path / "a").read_bytes()) == RECORDS[:2]


# Encryption


def test_each_segment_has_a_key_of_its_own(tmp_path: Path) -> None:
    one, two = written(tmp_path / "a"), written(tmp_path / "b")
    keys = [Fernet(KEY).decrypt(read_header(data, name="").wrapped_key or b"") for data in (one, two)]
    assert len(set(keys)) == 2
    assert all(len(key) == 32 for key in keys)


def test_equal_records_have_different_ciphertexts(tmp_path: Path) -> None:
    data = written(tmp_path / "a", [b"same"] * 3)
    found = [part.ciphertext for part in parts(data[HEADER_BYTES:], start=0, number=0) if isinstance(part, Record)]
    assert len(set(found)) == 3


def test_first_key_encrypts_and_each_key_decrypts(tmp_path: Path) -> None:
    data = written(tmp_path / "a", keys=[KEY, OTHER])
    assert read(data, keys=[OTHER, KEY]) == RECORDS
    assert read(data, keys=[KEY]) == RECORDS


def test_missing_key_is_told_in_words(tmp_path: Path) -> None:
    data = written(tmp_path / "a")
    with pytest.raises(KeyMissing) as refused:
        read(data, keys=[OTHER])
    assert str(refused.value) == (
        "a.spool cannot be read with the keys in FIELD_KEYS. Append the key that encrypted it to FIELD_KEYS."
    )


def test_records_can_be_told_apart_without_a_key(tmp_path: Path) -> None:
    data = written(tmp_path / "a")
    found = [part for part in parts(data[HEADER_BYTES:], start=HEADER_BYTES, number=0) if isinstance(part, Record)]
    assert [(part.number, part.end) for part in found] == [(0, starts()[1]), (1, starts()[2]), (2, starts()[3])]


def test_record_at_another_place_of_the_segment_is_not_read(tmp_path: Path) -> None:
    """Whoever can write the file can fix checksums, but gives no record another number, and repeats none."""
    begin, second, third, _end = starts()
    data = written(tmp_path / "a")
    repeated = data[:second] + data[begin:second] + data[second:]
    assert read(repeated) == [b"first", Damage(second, second + second - begin, 0), *RECORDS[1:]]
    swapped = data[:begin] + data[second:third] + data[begin:second] + data[third:]
    assert read(swapped) == [
        Damage(begin, begin, 1),
        RECORDS[1],
        Damage(begin + third - second, third, 0),
        RECORDS[2],
    ]


def test_record_of_another_segment_is_not_read(tmp_path: Path) -> None:
    one, two = written(tmp_path / "a"), written(tmp_path / "b")
    assert read(one[:HEADER_BYTES] + two[HEADER_BYTES:]) == [None, None, None]


# Damage


def test_any_flipped_bit_costs_one_record_at_most_and_is_noticed(tmp_path: Path) -> None:
    whole = written(tmp_path / "a")
    for at, bit in itertools.product(range(len(whole)), range(8)):
        data = bytearray(whole)
        data[at] ^= 1 << bit
        found = read(bytes(data))
        if at < HEADER_BYTES:
            assert found == RECORDS
            continue
        hit = sum(start <= at for start in starts()) - 1
        begin, end = starts()[hit : hit + 2]
        # Of a last record whose own fields are damaged, no later number tells how many are missing.
        is_open = hit == 2 and at < begin + RECORD_BYTES - 16
        assert found == [*RECORDS[:hit], Damage(begin, end, None if is_open else 1), *RECORDS[hit + 1 :]]


@pytest.mark.parametrize(("at", "lost"), [(0, 1), (1, 2), (30, 3)])
def test_damage_over_several_records_is_counted(tmp_path: Path, at: int, lost: int) -> None:
    records = [bytes([number]) * 30 for number in range(60)]
    begin, end = starts(records)[at], starts(records)[at + lost]
    data = written(tmp_path / "a", records)
    found = read(data[:begin] + os.urandom(end - begin) + data[end:])
    assert found == [*records[:at], Damage(begin, end, lost), *records[at + lost :]]


def test_record_that_is_missing_in_the_middle_is_counted(tmp_path: Path) -> None:
    begin, end = starts()[1:3]
    data = written(tmp_path / "a")
    assert read(data[:begin] + data[end:]) == [RECORDS[0], Damage(begin, begin, 1), RECORDS[2]]


@given(st.data())
def test_no_bytes_make_reading_fail_or_return_something_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = written(tmp_path_factory.mktemp("any") / "a")
    begin = data.draw(st.integers(HEADER_BYTES, len(whole)))
    end = data.draw(st.integers(begin, len(whole)))
    found = read(whole[:begin] + data.draw(st.binary(max_size=200)) + whole[end:])
    kept = [part for part in found if isinstance(part, bytes)]
    assert kept == [record for record in RECORDS if record in kept]


# Cut-off writes


def test_file_that_is_cut_off_anywhere_keeps_the_records_before(tmp_path: Path) -> None:
    whole = written(tmp_path / "a")
    for size in range(HEADER_BYTES, len(whole)):
        count = sum(end <= size for end in starts()[1:])
        begin = starts()[count]
        assert read(whole[:size]) == [*RECORDS[:count], *([Torn(begin, size)] if size > begin else [])]


@pytest.mark.parametrize("zeros", [1, 39, 40, 5000])
def test_zeros_at_the_end_are_an_unfinished_write(tmp_path: Path, zeros: int) -> None:
    end = starts()[-1]
    assert read(written(tmp_path / "a") + bytes(zeros)) == [*RECORDS, Torn(end, end + zeros)]


def test_anything_else_at_the_end_is_damage(tmp_path: Path) -> None:
    end = starts()[-1]
    assert read(written(tmp_path / "a") + b"\0" * 39 + b"\1") == [*RECORDS, Damage(end, end + 40, None)]


def test_header_that_was_never_finished_has_no_key(tmp_path: Path) -> None:
    header = written(tmp_path / "a")[:HEADER_BYTES]
    for size in range(HEADER_BYTES // 2):
        assert read_header(header[:size], name="").wrapped_key is None
        assert read_header(header[:size].ljust(HEADER_BYTES, b"\0"), name="").wrapped_key is None


# Versions


def test_unknown_version_is_refused_in_words(tmp_path: Path) -> None:
    newer = written(tmp_path / "a").replace(b"RDLSPOOL\0\1", b"RDLSPOOL\0\2")
    for data in (newer, newer[:10], newer[:HEADER_BYTES]):
        with pytest.raises(UnknownFormat) as refused:
            read_header(data[:HEADER_BYTES], name="/spool/a.spool")
        assert str(refused.value) == (
            "/spool/a.spool has format version 2; this release of Redeliver reads version 1. Start the release that "
            "wrote it and let it empty the spool, or move the file away."
        )


VERSION_1 = bytes.fromhex(
    "52444c53504f4f4c0001008c6741414141414272444f6a71362d696c4166506a66514c72756159774b773873503731324557556f3636"
    "305270654831387475314945417830314957764c654b4b32476237444561654e58376e4844587161644e343243776b52492d44556635"
    "2d6f6336694f34754779625f5f72454334396b5f31314c417044416f79764d4d325f3864656b5567456d6e3100000000000000000000"
    "00000000000000000000668aa23552444c53504f4f4c0001008c6741414141414272444f6a71362d696c4166506a66514c7275615977"
    "4b773873503731324557556f3636305270654831387475314945417830314957764c654b4b32476237444561654e58376e4844587161"
    "644e343243776b52492d445566352d6f6336694f34754779625f5f72454334396b5f31314c417044416f79764d4d325f3864656b5567"
    "456d6e310000000000000000000000000000000000000000668aa235d75244d8000000210000000000000000322937093783bfee39de"
    "8ed8bb378e43078c7fba2c167a8da08e9fefbb2c8f8c18fac827bb61227db9d75244d80000001000000000000000017f03b1e3a1aed5"
    "89cd5f7049d809b01bcf2c2d5f8c731765"
)
"""Written by the first release that had a spool, with KEY. Never change it: newer releases must read it."""


def test_what_version_1_wrote_is_read() -> None:
    assert read(VERSION_1) == [b"kept by version 1", b""]


# Disks that fail


def test_full_disk_keeps_the_records_before_it_and_cuts_off_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in range(starts()[-1]):
        path = tmp_path / str(room)
        install(monkeypatch, segments, write=writing(room=room))
        writer = Writer(path, keys=[KEY])
        kept, error = writer.append(RECORDS, most_bytes=ENDLESS)
        writer.close()
        assert error is not None
        assert error.errno == errno.ENOSPC
        assert kept == sum(end <= room for end in starts()[1:])
        assert (writer.count, writer.size) == (kept, starts()[kept] if kept else 0)
        data = path.read_bytes()
        assert len(data) == writer.size
        assert not kept or read(data) == RECORDS[:kept]


def test_writes_of_a_few_bytes_make_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, segments, write=lambda descriptor, data: os.write(descriptor, data[:7]))
    assert read(written(tmp_path / "a")) == RECORDS


def test_failed_fsync_keeps_nothing_of_its_append(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(tmp_path / "a", keys=[KEY])
    writer.append(RECORDS[:1], most_bytes=ENDLESS)
    install(monkeypatch, segments, fsync=failing(errno.EIO))
    kept, error = writer.append(RECORDS[1:], most_bytes=ENDLESS)
    assert error is not None
    assert (kept, error.errno, writer.count) == (0, errno.EIO, 1)
    assert read((tmp_path / "a").read_bytes()) == RECORDS[:1]


def test_what_cannot_be_cut_off_is_torn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, segments, write=writing(room=starts()[1] + 9, then=errno.EIO), ftruncate=failing(errno.EIO))
    kept, _error = Writer(tmp_path / "a", keys=[KEY]).append(RECORDS, most_bytes=ENDLESS)
    assert kept == 1
    assert read((tmp_path / "a").read_bytes()) == [RECORDS[0], Torn(starts()[1], starts()[1] + 9)]


def test_sector_that_cannot_be_read_costs_its_records_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [bytes([number]) * 1000 for number in range(20)]
    whole = written(tmp_path / "a", records)

    def pread(descriptor: int, size: int, at: int) -> bytes:
        if at < 8192 and at + size > 4096:
            raise OSError(errno.EIO, "Input/output error")
        return os.pread(descriptor, size, at)

    install(monkeypatch, segments, pread=pread)
    found = read(read_from(tmp_path / "a", start=0, end=len(whole)))
    hit = [end > 4096 and begin < 8192 for begin, end in itertools.pairwise(starts(records))]
    assert [part for part in found if isinstance(part, bytes)] == [
        record for record, is_hit in zip(records, hit, strict=True) if not is_hit
    ]
    assert sum(part.records or 0 for part in found if isinstance(part, Damage)) == sum(hit)


def test_other_errors_of_reading_are_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "a")
    install(monkeypatch, segments, pread=failing(errno.EACCES))
    with pytest.raises(PermissionError):
        read_from(tmp_path / "a", start=0, end=10)


def test_part_of_a_file_is_read(tmp_path: Path) -> None:
    whole = written(tmp_path / "a")
    assert read_from(tmp_path / "a", start=5, end=50) == whole[5:50]
    assert read_from(tmp_path / "a", start=5, end=ENDLESS) == whole[5:]


def test_flip_changes_one_bit(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\0\0")
    flip(tmp_path / "a", at=1, bit=3)
    assert (tmp_path / "a").read_bytes() == b"\0\x08"
