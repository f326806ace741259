"""Which spools need an older key, for `manage reencrypt`: remove no key from FIELD_KEYS before they are empty."""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from dashboard.receiver.segments import HEADER_BYTES, KeyMissing, Reader, UnknownFormat, read_from, read_header
from dashboard.receiver.spool_folder import LOCK, SpoolHeld, files, in_words, locked, spools


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What a spool needs of FIELD_KEYS beyond the first key.

    `older` segments need an older key. `unreadable` ones cannot be read with any of the keys, or by this release.
    `writes_older` is whether a running receiver encrypts new segments with another key than the first: it was started
    before the keys changed.
    """

    folder: Path
    older: int
    unreadable: int
    writes_older: bool


def needs_key(root: Path, *, keys: Sequence[str]) -> list[KeyUse]:
    """Return the spools in `root` that need more of FIELD_KEYS (`keys`) than the first one. It changes nothing.

    Segments that were set aside count as well: their file needs the key until it is deleted.

    Raises: SpoolFailed: then it is not known.
    """
    with in_words(f"The spools in {root} cannot be read"):
        found = [_key_use(folder, keys=keys) for folder in spools(root)]
    return [use for use in found if use.older or use.unreadable or use.writes_older]


def _key_use(folder: Path, *, keys: Sequence[str]) -> KeyUse:
    # First who writes: a segment that it starts afterwards is found below, or made by a receiver that knows the key.
    writes_older = _writes_older(folder, keys=keys)
    older = unreadable = 0
    for _number, path in files(folder):
        with contextlib.suppress(FileNotFoundError):  # it is in the log now
            readers = [_reads(path, keys=keys[:1]), _reads(path, keys=keys)]
            older += readers == [False, True]
            unreadable += readers == [False, False]
    return KeyUse(folder, older, unreadable, writes_older)


def _reads(path: Path, *, keys: Sequence[str]) -> bool:
    """Return whether the keys read a segment. One whose header is damaged needs none: no key reads it."""
    try:
        header = read_header(read_from(path, start=0, end=HEADER_BYTES), name=str(path))
        Reader.of(header, keys=keys, name=str(path))
    except (KeyMissing, UnknownFormat):
        return False
    return True


def _writes_older(folder: Path, *, keys: Sequence[str]) -> bool:
    """Return whether a receiver has the spool open with another first key. The lock's content is encrypted with it."""
    try:
        os.close(locked(folder, wait_s=0))
    except FileNotFoundError:
        return False
    except SpoolHeld:
        with contextlib.suppress(InvalidToken, FileNotFoundError):
            Fernet(keys[0]).decrypt((folder / LOCK).read_bytes())
            return False
        return True
    return False
