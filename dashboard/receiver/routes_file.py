"""The file of routes: with it, a receiver starts while its database is away.

It holds what the receiver holds in memory, encrypted as a whole under FIELD_KEYS; the signing secrets in it are
encrypted once more, as they are in the database. It has no tokens. In every version it begins with mark and version.

A file is written beside the old one and takes its place, so there is always a whole one. Receivers that share a folder
write the same.
"""

import contextlib
import json
import os
import struct
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from dashboard.actions import reencryption
from dashboard.queries.routes import RouteRow
from dashboard.receiver.spool_folder import make, sync
from dashboard.vault import Sealed, Secret, Unreadable, decrypt, encrypt

NAME = "routes"
VERSION = 1
"""The format version that this release writes and reads."""
_MARK = b"RDROUTES"
_START = struct.Struct(">8sH")
_LEFT_OVER_S = 60
"""Age in seconds from which on a file that was not finished is of a process that was killed."""


class RoutesUnreadable(Exception):
    """The file cannot be read. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class KeptRoutes:
    """The routes of a file, and when the database confirmed them."""

    rows: list[RouteRow]
    at: datetime


@dataclass(frozen=True, slots=True)
class SecretCount:
    """How many of a file's secrets the first of FIELD_KEYS reads. The file as a whole counts as one more."""

    total: int
    current: int
    unreadable: int

    @property
    def left(self) -> int:
        return self.total - self.current - self.unreadable


def path_in(folder: str) -> Path | None:
    """Return the file's place in the receiver's folder (RECEIVER_SPOOL_DIR); None if it has none."""
    return Path(folder) / NAME if folder else None


def write(path: Path, rows: Collection[RouteRow], *, at: datetime) -> None:
    """Write the file; `at` is when the database confirmed the rows. Only its user can read it.

    Written by root, as `manage reencrypt` may be, it belongs to the folder's owner, who is the receiver's user.

    Raises: OSError.
    """
    make(path.parent)
    _remove_left_over(path)
    text = json.dumps({"at": at.isoformat(), "routes": [_written(row) for row in rows]})
    data = _START.pack(_MARK, VERSION) + encrypt(Secret(text))
    descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".new", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            if os.geteuid() == 0:
                owner = path.parent.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    sync(path.parent)


def read(path: Path) -> KeptRoutes | None:
    """Return what the file holds; None if there is no file. Raises: RoutesUnreadable."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RoutesUnreadable(f"{path} cannot be read: {error.strerror}.") from error
    mark, version = _START.unpack_from(data) if len(data) >= _START.size else (b"", 0)
    if mark != _MARK:
        raise RoutesUnreadable(f"{path} is not a file of routes. Delete it: a receiver writes a new one.")
    if version != VERSION:
        raise RoutesUnreadable(
            f"{path} has format version {version}; this release of Redeliver reads version {VERSION}. Delete it: a "
            "receiver writes a new one."
        )
    try:
        said = json.loads(decrypt(data[_START.size :], once=True).reveal())
    except Unreadable:
        raise RoutesUnreadable(
            f"{path} is damaged, or FIELD_KEYS lacks the key that encrypted it. Append that key to FIELD_KEYS, or "
            "delete the file: a receiver writes a new one."
        ) from None
    try:
        return KeptRoutes([_row(written) for written in said["routes"]], datetime.fromisoformat(said["at"]))
    except (KeyError, TypeError, ValueError):
        raise RoutesUnreadable(
            f"{path} has other fields than this release of Redeliver knows. Delete it: a receiver writes a new one."
        ) from None


def reencrypt(path: Path) -> None:
    """Put the file and its secrets under the first of FIELD_KEYS; a secret that no key reads stays as it is.

    Raises: RoutesUnreadable, OSError.
    """
    kept = read(path)
    if kept is not None and count(path).left:
        write(path, [_fresh(row) for row in kept.rows], at=kept.at)


def count(path: Path) -> SecretCount:
    """Count the file's secrets; none if there is no file. Raises: RoutesUnreadable."""
    kept = read(path)
    if kept is None:
        return SecretCount(0, 0, 0)
    stored = [path.read_bytes()[_START.size :], *(row.secret.stored for row in kept.rows if row.secret)]
    old = [one for one in stored if not reencryption.is_current(one)]
    return SecretCount(len(stored), len(stored) - len(old), sum(not _is_readable(one) for one in old))


def _is_readable(stored: bytes) -> bool:
    try:
        decrypt(stored, once=True)
    except Unreadable:
        return False
    return True


def _fresh(row: RouteRow) -> RouteRow:
    if row.secret is None or reencryption.is_current(row.secret.stored) or not _is_readable(row.secret.stored):
        return row
    return replace(row, secret=Sealed.of(encrypt(row.secret)))


def _written(row: RouteRow) -> dict[str, Any]:
    """Return what the file says of a route. Readers of this version ignore names that they do not know."""
    return {
        "endpoint": row.endpoint_id,
        "install": row.install_id,
        "key": row.key,
        "handler": row.handler_url,
        "secret": None if row.secret is None else row.secret.stored.decode("latin-1"),
        "registering": None if row.registering_since is None else row.registering_since.isoformat(),
        "proof": row.proof,
        "deleted": row.is_deleted,
        "taken": row.taken_url,
    }


def _row(written: dict[str, Any]) -> RouteRow:
    secret, registering = written["secret"], written["registering"]
    return RouteRow(
        endpoint_id=written["endpoint"],
        install_id=written["install"],
        key=written["key"],
        handler_url=written["handler"],
        secret=None if secret is None else Sealed.of(secret.encode("latin-1")),
        registering_since=None if registering is None else datetime.fromisoformat(registering),
        proof=written["proof"],
        is_deleted=written["deleted"],
        taken_url=written["taken"],
    )


def _remove_left_over(path: Path) -> None:
    for other in path.parent.glob(f"{path.name}.*.new"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - other.stat().st_mtime > _LEFT_OVER_S:
                other.unlink()
