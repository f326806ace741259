"""The folder of a spool: who finds it, who holds its lock, and how it is made."""

import os
import threading
from pathlib import Path

import pytest

from dashboard.receiver import spool_folder
from dashboard.receiver.spool_folder import SpoolFailed, SpoolHeld, files, in_words, locked, make, path_of, spools


def hold(folder: Path) -> int:
    return locked(folder, wait_s=0, create=True)


def test_spools_are_folders_with_a_lock_or_a_segment(tmp_path: Path) -> None:
    os.close(hold(tmp_path / "b"))
    (tmp_path / "a").mkdir()
    path_of(tmp_path / "a", 7).touch()
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "notes.spool").touch()
    (tmp_path / "d").symlink_to(tmp_path / "b")
    (tmp_path / "lost+found").touch()
    assert spools(tmp_path) == [tmp_path / "a", tmp_path / "b"]


def test_root_can_be_a_spool_itself(tmp_path: Path) -> None:
    os.close(hold(tmp_path))
    assert spools(tmp_path) == [tmp_path]


def test_root_that_is_missing_has_no_spools(tmp_path: Path) -> None:
    assert spools(tmp_path / "nowhere") == []


def test_files_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("0000000010.spool", "0000000009.aside", "0000000002.spool", "3.spool", "0000000004.spool~"):
        (tmp_path / name).touch()
    assert [number for number, _path in files(tmp_path)] == [2, 9, 10]
    assert [path.name for _number, path in files(tmp_path, ".aside")] == ["0000000009.aside"]


def test_lock_is_held_by_one_until_it_is_closed(tmp_path: Path) -> None:
    first = hold(tmp_path)
    with pytest.raises(SpoolHeld, match=f"Another process holds the spool {tmp_path}"):
        hold(tmp_path)
    os.close(first)
    os.close(hold(tmp_path))


def test_lock_that_is_given_up_soon_is_waited_for(tmp_path: Path) -> None:
    first = hold(tmp_path)
    timer = threading.Timer(0.05, os.close, [first])
    timer.start()
    os.close(locked(tmp_path, wait_s=60))
    timer.join()


def test_lock_that_was_removed_meanwhile_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between open and lock, another receiver may adopt the spool and remove its folder."""
    folder, flock, adopted = tmp_path / "own", spool_folder.fcntl.flock, iter([True])

    def late(descriptor: int, how: int) -> None:
        if next(adopted, False):
            (folder / "lock").unlink()
            folder.rmdir()
        flock(descriptor, how)

    monkeypatch.setattr(spool_folder.fcntl, "flock", late)
    mine = locked(folder, wait_s=60, create=True)
    assert os.path.samestat(os.fstat(mine), (folder / "lock").stat())
    os.close(mine)


def test_lock_that_is_missing_is_made_only_if_asked(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        locked(tmp_path, wait_s=0)
    assert list(tmp_path.iterdir()) == []


def test_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        hold(tmp_path)
    assert not (tmp_path / "victim").exists()


def test_each_folder_that_is_made_is_synced_into_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(spool_folder, "sync", synced.append)
    make(tmp_path / "a" / "b")
    make(tmp_path / "a" / "b")
    assert synced == [tmp_path, tmp_path / "a"]


def test_errors_of_the_disk_get_words() -> None:
    with pytest.raises(SpoolFailed) as failed, in_words("It cannot be read"):
        raise OSError(5, "Input/output error")
    assert (str(failed.value), failed.value.kept) == ("It cannot be read: Input/output error.", 0)
