"""DATA_DIR: the folder with all data of Redeliver on one machine."""

import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

FREE_FIRST_MB = 200
FREE_AGAIN_MB = 20
"""Required free disk space of DATA_DIR, in MB: a new database takes 50 and grows by 16 at a time."""


class CannotStart(Exception):
    """Redeliver cannot start. The message is one line that says why and what to do."""


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The secrets that the processes of one installation share. Their names are environment variables."""

    SECRET_KEY: str
    FIELD_KEYS: str
    PARTNER_API_KEYS: str
    DEMO_HANDLER_TOKEN: str


def prepare(path: Path) -> Path:
    """Create the folder and return its full path.

    Raises: CannotStart if it cannot be written to or has too little free space.
    """
    folder = path.expanduser().resolve()
    try:
        # Other users may traverse it but not list it: under root, PostgreSQL runs as another user.
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        (folder / "logs").mkdir(exist_ok=True)
        probe = folder / "logs" / ".probe"
        probe.write_bytes(b"\0" * 4096)  # a full disk accepts an empty file
        probe.unlink()
    except OSError as error:
        raise CannotStart(f"DATA_DIR {folder} cannot be written to: {error.strerror}.") from error
    needed_mb = FREE_AGAIN_MB if (folder / "keys.json").exists() else FREE_FIRST_MB
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    if free_mb < needed_mb:
        raise CannotStart(f"DATA_DIR {folder} has {free_mb} MB of free disk space; {needed_mb} MB are needed.")
    return folder


def keys(folder: Path) -> Keys:
    """Return the folder's keys; the first start generates them.

    Raises: CannotStart if the file is damaged: new keys would make every stored secret unreadable.
    """
    stored = read_private(folder / "keys.json")
    if stored is None:
        fresh = Keys(
            SECRET_KEY=secrets.token_urlsafe(50),
            FIELD_KEYS=Fernet.generate_key().decode(),
            PARTNER_API_KEYS=Fernet.generate_key().decode(),
            DEMO_HANDLER_TOKEN=secrets.token_urlsafe(32),
        )
        write_private(folder / "keys.json", asdict(fresh))
        return fresh
    try:
        return Keys(**stored)
    except TypeError:
        raise CannotStart(f"{folder / 'keys.json'} has missing or unknown keys: restore it from a backup.") from None


def read_private(path: Path) -> dict[str, Any] | None:
    """Return the content that `write_private` stored; None if the file does not exist.

    Raises: CannotStart if the file cannot be read or is damaged.
    """
    try:
        stored = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError:
        stored = None
    if not isinstance(stored, dict):
        raise CannotStart(f"{path} is damaged: restore it from a backup, or move DATA_DIR away to start afresh.")
    return stored


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Store `content` as JSON that only the current user can read. The write is atomic.

    Raises: CannotStart.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise CannotStart(f"{path} cannot be written: {error.strerror}.") from error
