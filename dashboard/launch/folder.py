"""DATA_DIR: the folder with all data of Redeliver on one machine.

Under root it may stand in a folder where others can write, such as /tmp. So a folder is opened once, and checked and
changed through its descriptor: its name may mean another folder a moment later.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import secrets
import shutil
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.fernet import Fernet

from dashboard.config.environment import split
from dashboard.rules import json_limits

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

    Raises: CannotStart if it cannot be written to, has too little free space, or may be someone else's.
    """
    folder = path.expanduser().resolve()
    try:
        # Other users may traverse it but not list it: under root, PostgreSQL runs as another user.
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        _check_owner(folder)
        (folder / "logs").mkdir(mode=0o700, exist_ok=True)
        probe = folder / "logs" / ".probe"
        with open_private(probe) as file:
            file.write(b"\0" * 4096)  # a full disk accepts an empty file
        probe.unlink()
    except OSError as error:
        raise CannotStart(f"DATA_DIR {folder} cannot be written to: {error.strerror}.") from error
    needed_mb = FREE_AGAIN_MB if (folder / "keys.json").exists() else FREE_FIRST_MB
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    if free_mb < needed_mb:
        raise CannotStart(f"DATA_DIR {folder} has {free_mb} MB of free disk space; {needed_mb} MB are needed.")
    return folder


def started_before(path: Path) -> Path:
    """Return the full path of a folder that has a database, without changing anything.

    Raises: CannotStart if it has none.
    """
    folder = path.expanduser().resolve()
    if not os.path.lexists(folder / "postgres"):
        raise CannotStart(
            f"DATA_DIR {folder} has no database: Redeliver was never started on it. Start it first, and leave it "
            "running or stop it; or set DATA_DIR to the folder that it was started on."
        )
    return folder


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder until the block ends, so that nothing else is started on it. Ends with this process too.

    Raises: CannotStart if another process holds it.
    """
    with contextlib.ExitStack() as stack:
        try:
            fcntl.flock(stack.enter_context(open_private(folder / "lock")), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(already_running(folder)) from None
        except OSError as error:
            raise CannotStart(f"{folder / 'lock'} cannot be locked: {error.strerror}.") from error
        yield


def already_running(folder: Path) -> str:
    return f"Redeliver is already running on {folder}. Stop it first, or choose another DATA_DIR."


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
    if stored.keys() != {field.name for field in fields(Keys)}:
        raise CannotStart(f"{folder / 'keys.json'} has missing or unknown keys: restore it from a backup.")
    wrong = sorted(name for name, value in stored.items() if not _is_usable(name, value))
    if wrong:
        raise CannotStart(
            f"{folder / 'keys.json'} has values that cannot be used ({', '.join(wrong)}): restore it from a backup."
        )
    return Keys(**stored)


def _is_usable(name: str, value: object) -> bool:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        return False
    try:
        return not name.endswith("_KEYS") or all(map(Fernet, split(value)))
    except ValueError:
        return False


def read_private(path: Path) -> dict[str, Any] | None:
    """Return the content that `write_private` stored; None if the file does not exist.

    Raises: CannotStart if the file cannot be read or is damaged.
    """
    try:
        stored = json_limits.loads(path.read_text(encoding="utf-8-sig"))
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
        with open_private(unfinished) as file:
            file.write(json.dumps(content).encode())
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise CannotStart(f"{path} cannot be written: {error.strerror}.") from error


def open_private(path: Path) -> BinaryIO:
    """Open an empty file for writing that only the current user can read, also if it existed with another mode.

    Raises: OSError; a symbolic link is not followed.
    """
    return os.fdopen(_private(path, os.O_TRUNC), "wb")


def append_private(path: Path) -> BinaryIO:
    """Open a file to append to that only the current user can read, also if it existed with another mode.

    Raises: OSError; a symbolic link is not followed.
    """
    return os.fdopen(_private(path, os.O_APPEND), "ab")


def _private(path: Path, how: int) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | how, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[int]:
    """Yield the folder's descriptor. Raises: OSError if it is not a folder; a symbolic link is not followed."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def socket_folder(of: Path) -> Path:
    """Return the place of the private folder for the sockets of what is in `of`; `make_private` makes it.

    The same for the same place, so that other commands find it; short, because a socket's path is limited to 107 bytes.
    """
    name = hashlib.sha256(f"{os.geteuid()}:{of}".encode()).hexdigest()[:16]
    return Path("/tmp") / f"redeliver-{name}"  # noqa: S108 - ownership is checked in make_private


def make_private(path: Path, *, user: str | None = None) -> None:
    """Make a folder that only `user` (by default the current one) can enter, or take one that is ours.

    Raises: CannotStart, OSError.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    if path.is_symlink():
        raise CannotStart(f"{path} is a symbolic link: remove it and start again.")
    runner = pwd.getpwnam(user) if user is not None else None
    with opened(path) as folder:  # refuses a link that was made just now
        if os.fstat(folder).st_uid not in {os.geteuid(), runner.pw_uid if runner else os.geteuid()}:
            raise CannotStart(f"{path} belongs to another user: remove it and start again.")
        os.fchmod(folder, 0o700)
        if runner is not None:
            os.fchown(folder, runner.pw_uid, runner.pw_gid)


def _check_owner(folder: Path) -> None:
    """Check that no other user made the folder in a place where everyone can. Raises: CannotStart."""
    with opened(folder) as own:
        owner = os.fstat(own).st_uid
    shared = folder.parent.stat().st_mode & stat.S_IWOTH
    if shared and owner != os.geteuid():
        raise CannotStart(f"DATA_DIR {folder} belongs to another user: choose another, or make it yours with chown.")
