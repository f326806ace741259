"""The folder of a spool: its lock, the names of its files, and what can go wrong with its disk."""

import contextlib
import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

SUFFIX = ".spool"
ASIDE = ".aside"
"""Suffix of a segment that was set aside: it has records that are not in the log. Renamed back, it is read again."""
LOCK = "lock"
LOCK_WAIT_S = 1.0
"""Seconds to wait for a spool's lock: other receivers and `needs_key` hold it for a moment."""

_NAME = re.compile(r"(\d{10})(\.spool|\.aside)")


class SpoolFailed(Exception):
    """The spool's disk or folder cannot be used. `kept` is the number of the records, from the first, that are kept."""

    def __init__(self, words: str, *, kept: int = 0) -> None:
        super().__init__(words)
        self.kept = kept


class SpoolHeld(Exception):
    """Another process, or another Spool of this one, holds the spool."""


def spools(root: Path) -> list[Path]:
    """Return the folders that hold a spool: `root` and those directly in it. Raises: OSError; none if it is missing."""
    if not root.is_dir():
        return []
    folders = [root, *sorted(path for path in root.iterdir() if path.is_dir() and not path.is_symlink())]
    return [folder for folder in folders if (folder / LOCK).exists() or any(files(folder))]


def files(folder: Path, suffix: str = "") -> Iterator[tuple[int, Path]]:
    """Yield the segments in a folder, in order, with their numbers; of one suffix, or all. Raises: OSError."""
    for path in sorted(folder.iterdir()):
        if (match := _NAME.fullmatch(path.name)) and path.name.endswith(suffix):
            yield int(match[1]), path


def path_of(folder: Path, number: int, suffix: str = SUFFIX) -> Path:
    return folder / f"{number:010d}{suffix}"


def make(folder: Path) -> None:
    """Make a folder that only the current user can open, and its parents. Raises: OSError."""
    if folder.is_dir():
        return
    make(folder.parent)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
    sync(folder.parent)


def sync(folder: Path) -> None:
    """Put the names in a folder on the disk. Raises: OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def locked(folder: Path, *, wait_s: float, create: bool = False) -> int:
    """Return the descriptor of the folder's lock, which it holds until it is closed.

    With `create`, the folder and its lock are made where they are missing.

    Raises: SpoolHeld; OSError.
    """
    until = time.monotonic() + wait_s
    while True:
        if create:
            make(folder)
        try:
            return _attempt(folder / LOCK, create=create)
        except (BlockingIOError, FileNotFoundError) as error:
            # Who adopts a spool removes lock and folder, so what is missing can be made again.
            if isinstance(error, FileNotFoundError) and not create:
                raise
            if time.monotonic() >= until:
                raise SpoolHeld(f"Another process holds the spool {folder}.") from None
        time.sleep(0.02)


def _attempt(path: Path, *, create: bool) -> int:
    """Return the held lock. Raises: BlockingIOError if it is held; FileNotFoundError if it was removed; OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | (os.O_CREAT if create else 0), 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    raise FileNotFoundError(path)


@contextlib.contextmanager
def in_words(what: str) -> Iterator[None]:
    """Raise an OSError as SpoolFailed, with words."""
    try:
        yield
    except OSError as error:
        raise SpoolFailed(f"{what}: {error.strerror}.") from error
