"""Which spool a receiver has: the first of its name that is free, and those that dead receivers left behind.

The folder `root` holds a spool for each receiver that uses it: `web1-a`, `web1-b`, … for two on the host web1. One that
starts after another was killed gets the same folder, and with it what waits there.
"""

import logging
import os
import re
import string
from collections.abc import Sequence
from pathlib import Path

from dashboard.models.receivers import NAME_LIMIT
from dashboard.receiver.segments import UnknownFormat
from dashboard.receiver.spool import Spool
from dashboard.receiver.spool_folder import SpoolFailed, SpoolHeld, locked, spools

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")

logger = logging.getLogger(__name__)


def open_own(root: Path, *, name: str, keys: Sequence[str], max_bytes: int) -> Spool:
    """Open the first spool of a receiver with this name that no process holds.

    One that this release cannot read is left alone: `adopt_dead` says so.

    Raises: SpoolHeld if there is none; SpoolFailed.
    """
    for letter in string.ascii_lowercase:
        folder = root / name_of(name, letter)
        if _is_held(folder):
            continue
        try:
            return Spool(folder, keys=keys, max_bytes=max_bytes)
        except (SpoolHeld, UnknownFormat):
            continue
    raise SpoolHeld(f"All spools in {root} for the name {name} are in use.")


def name_of(machine: str, letter: str = "a") -> str:
    """Return the name of a receiver and of its spool's folder."""
    return f"{_NOT_IN_NAMES.sub('-', machine)[: NAME_LIMIT - 2]}-{letter}"


def adopt_dead(spool: Spool, root: Path, *, told: set[str]) -> list[str]:
    """Move into the spool what receivers that have ended left in `root`; return the names of their folders.

    What cannot be moved stays where it is, and is logged unless `told` has the words, which this adds.
    """
    adopted = []
    for folder in _others(spool, root, told=told):
        try:
            count = spool.adopt(folder)
        except (SpoolFailed, UnknownFormat) as error:
            _tell(str(error), told=told)
            continue
        if count is not None:
            logger.info("took over the spool %s with %d attempts", folder, count)
            adopted.append(folder.name)
    return adopted


def _others(spool: Spool, root: Path, *, told: set[str]) -> list[Path]:
    try:
        return [folder for folder in spools(root) if folder not in {root, spool.folder}]
    except OSError as error:
        _tell(f"The spools in {root} cannot be listed: {error.strerror}.", told=told)
        return []


def _tell(words: str, *, told: set[str]) -> None:
    if words not in told:
        told.add(words)
        logger.error("%s", words)


def _is_held(folder: Path) -> bool:
    """Return whether a process holds the spool now, without waiting."""
    try:
        os.close(locked(folder, wait_s=0))
    except SpoolHeld:
        return True
    except OSError:
        return False  # it is missing, or opening it says what is wrong
    return False
