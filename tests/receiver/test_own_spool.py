"""Which spool a receiver has, and what it takes over."""

import logging
from pathlib import Path

import pytest

from dashboard.receiver.own_spool import adopt_dead, name_of, open_own
from dashboard.receiver.segments import HEADER_BYTES
from dashboard.receiver.spool import Spool
from dashboard.receiver.spool_folder import SpoolHeld
from tests.receiver.journals import KEY, ROOM


def own(root: Path, opened: list[Spool], *, name: str = "web1") -> Spool:
    opened.append(open_own(root, name=name, keys=[KEY], max_bytes=ROOM))
    return opened[-1]


def make_newer(folder: Path) -> None:
    """Let the segment in a folder have the next format version."""
    [path] = folder.glob("*.spool")
    data = path.read_bytes()
    block = data[: HEADER_BYTES // 2]
    path.write_bytes(2 * (block[:8] + b"\0\x02" + block[10:]) + data[HEADER_BYTES:])


def test_receivers_of_a_machine_have_one_each(tmp_path: Path, opened: list[Spool]) -> None:
    folders = [own(tmp_path, opened).folder.name for _ in range(3)]
    assert folders == ["web1-a", "web1-b", "web1-c"]


def test_next_receiver_has_what_a_killed_one_left(tmp_path: Path, opened: list[Spool]) -> None:
    first = own(tmp_path, opened)
    first.append([b"kept"])
    first.close()
    again = own(tmp_path, opened)
    assert (again.folder.name, again.waiting) == ("web1-a", 1)


def test_there_is_an_end_to_spools(tmp_path: Path, opened: list[Spool]) -> None:
    for _ in range(26):
        own(tmp_path, opened)
    with pytest.raises(SpoolHeld, match="for the name web1 are in use"):
        own(tmp_path, opened)


def test_spool_of_another_release_is_left_alone_and_said_once(tmp_path: Path, opened: list[Spool], caplog) -> None:
    first = own(tmp_path, opened)
    first.append([b"kept"])
    first.close()
    make_newer(first.folder)
    second = own(tmp_path, opened)
    assert second.folder.name == "web1-b"
    told: set[str] = set()
    with caplog.at_level(logging.ERROR):
        assert [adopt_dead(second, tmp_path, told=told) for _ in range(2)] == [[], []]
    assert caplog.text.count("format version 2") == 1
    assert len(list(first.folder.glob("*.spool"))) == 1


def test_dead_receivers_are_taken_over_and_living_ones_are_not(tmp_path: Path, opened: list[Spool]) -> None:
    living, dead, mine = (own(tmp_path, opened, name=name) for name in ("web2", "web3", "web1"))
    for spool in (living, dead):
        spool.append([b"first", b"second"])
    dead.close()
    assert adopt_dead(mine, tmp_path, told=set()) == ["web3-a"]
    assert (mine.waiting, living.waiting) == (2, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["web1-a", "web2-a"]


def test_folder_that_cannot_be_listed_is_said(tmp_path: Path, opened: list[Spool], monkeypatch, caplog) -> None:
    mine = own(tmp_path, opened)

    def fail(_root: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("dashboard.receiver.own_spool.spools", fail)
    assert adopt_dead(mine, tmp_path, told=set()) == []
    assert "cannot be listed: Permission denied" in caplog.text


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        ("web1", "web1-a"),
        ("web1.example.com", "web1.example.com-a"),
        ("../x", "..-x-a"),
        ("x" * 300, "x" * 98 + "-a"),
    ],
)
def test_name_is_one_of_a_folder_and_fits_its_column(machine: str, name: str) -> None:
    assert name_of(machine) == name
