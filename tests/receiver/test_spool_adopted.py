"""A spool of a receiver that has ended is adopted once, with all that it holds."""

from pathlib import Path

import pytest

from dashboard.receiver import segments
from dashboard.receiver.segments import HEADER_BYTES, UnknownFormat
from dashboard.receiver.spool import Spool, SpoolFull
from dashboard.receiver.spool_folder import SpoolFailed
from tests.receiver.disks import failing
from tests.receiver.spools import KEY, ROOM, TEN, again, drained, make_dead


def test_spool_of_a_dead_receiver_is_adopted_behind_what_waits(spool: Spool, tmp_path: Path) -> None:
    dead = make_dead(tmp_path / "dead")
    spool.append([b"own"])
    assert spool.adopt(dead) == 10
    spool.append([b"later"])
    assert spool.waiting == 12
    assert drained(spool) == [b"own", *TEN, b"later"]
    assert not dead.exists()


def test_spool_of_a_living_receiver_is_not_adopted(spool: Spool, tmp_path: Path, opened: list[Spool]) -> None:
    opened.append(Spool(tmp_path / "living", keys=[KEY], max_bytes=ROOM))
    opened[1].append(TEN)
    assert spool.adopt(tmp_path / "living") is None
    assert spool.adopt(spool.folder) is None
    assert (spool.waiting, opened[1].waiting) == (0, 10)


def test_adopted_spool_stays_with_its_new_owner(spool: Spool, tmp_path: Path, opened: list[Spool]) -> None:
    spool.adopt(make_dead(tmp_path / "dead"))
    assert drained(again(spool, opened)) == TEN


def test_empty_spool_is_cleared_away(spool: Spool, tmp_path: Path) -> None:
    assert spool.adopt(make_dead(tmp_path / "dead", [])) == 0
    assert not (tmp_path / "dead").exists()


def test_torn_records_and_damaged_segments_come_along(spool: Spool, tmp_path: Path) -> None:
    dead = make_dead(tmp_path / "dead")
    path = dead / "0000000001.spool"
    (dead / "0000000002.spool").write_bytes(path.read_bytes()[:100])
    (dead / "0000000003.aside").write_bytes(b"evidence")
    path.write_bytes(path.read_bytes()[:-1])
    spool.append([b"own"])
    assert spool.adopt(dead) == 9
    assert spool.torn == 2
    assert drained(spool) == [b"own", *TEN[:9]]
    assert (spool.folder / "0000000003.aside").read_bytes() == b"evidence"


def test_other_files_of_a_dead_receiver_stay(spool: Spool, tmp_path: Path) -> None:
    dead = make_dead(tmp_path / "dead")
    (dead / "note").touch()
    assert spool.adopt(dead) == 10
    assert [path.name for path in dead.iterdir()] == ["note"]


def test_spool_that_does_not_fit_is_not_adopted(tmp_path: Path, opened: list[Spool]) -> None:
    dead = make_dead(tmp_path / "dead")
    opened.append(Spool(tmp_path / "own", keys=[KEY], max_bytes=500))
    for _again in range(2):
        with pytest.raises(SpoolFull, match=f"The spool {dead} does not fit into {tmp_path}/own"):
            opened[0].adopt(dead)
    assert (opened[0].is_empty, (dead / "0000000001.spool").exists()) == (True, True)


def test_spool_of_another_version_is_not_adopted(spool: Spool, tmp_path: Path) -> None:
    dead = make_dead(tmp_path / "dead")
    path = dead / "0000000001.spool"
    path.write_bytes(path.read_bytes().replace(b"RDLSPOOL\0\1", b"RDLSPOOL\0\2"))
    with pytest.raises(UnknownFormat):
        spool.adopt(dead)
    assert path.exists()


def test_spool_that_is_not_there_is_told_in_words(spool: Spool, tmp_path: Path) -> None:
    with pytest.raises(SpoolFailed) as refused:
        spool.adopt(tmp_path / "nowhere")
    assert str(refused.value) == f"The spool {tmp_path}/nowhere cannot be adopted: No such file or directory."


def test_adoption_that_fails_half_way_loses_nothing(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[Spool]
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", HEADER_BYTES + 150)
    dead = make_dead(tmp_path / "dead")
    rename, moved = Path.rename, iter([True])

    def failing_second(self: Path, target: Path) -> Path:
        return rename(self, target) if next(moved, False) else failing(18)()

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", failing_second)
        with pytest.raises(SpoolFailed, match="cannot be adopted: Invalid cross-device link"):
            spool.adopt(dead)
    assert spool.waiting == 4
    assert spool.adopt(dead) == 6
    assert drained(spool) == TEN


def test_owner_that_comes_back_makes_a_new_spool(spool: Spool, tmp_path: Path, opened: list[Spool]) -> None:
    spool.adopt(make_dead(tmp_path / "dead"))
    opened.append(Spool(tmp_path / "dead", keys=[KEY], max_bytes=ROOM))
    opened[1].append([b"new"])
    assert drained(opened[1]) == [b"new"]
