"""The console, the receiver and their worker on this machine, shared by `run` and `demo`."""

import contextlib
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from dashboard.config.environment import is_given
from dashboard.config.environment import keys as checked_keys
from dashboard.launch import postgres
from dashboard.launch.folder import CannotStart, Keys, make_private, socket_folder
from dashboard.launch.processes import Processes, listening

BASE_DIR = Path(__file__).resolve().parents[2]
UP_S = 60
RECEIVER_END_S = 20
"""How long the receiver may take to end, in seconds: it finishes the deliveries in progress, and then writes what waits
(receiver/__main__.py)."""
SETTINGS = "dashboard.settings"
# All of the code, not only what has been loaded: a module that failed is not.
_RELOAD = ["--reload", "--reload-extra-file", str(BASE_DIR / "dashboard" / "**" / "*.py")]


def manage(*arguments: str) -> tuple[str, ...]:
    """Return the command line of a Django management command."""
    return (sys.executable, str(BASE_DIR / "manage.py"), *arguments)


def manage_partner_api(command: str, *arguments: str) -> tuple[str, ...]:
    """Return the command line of a Partner API command, which has separate settings and a separate database."""
    return manage(command, "--settings", "dashboard.partner_api.settings", *arguments)


def gunicorn(*, application: str, bind: str, threads: int, reload: bool = False) -> tuple[str, ...]:
    """Return the command line of a web server with gunicorn.conf.py and a shorter graceful timeout for Ctrl-C.

    With `reload`, its workers restart when Python files change.
    """
    options = ["--config", str(BASE_DIR / "gunicorn.conf.py"), "--bind", bind, "--threads", str(threads)]
    options += ["--graceful-timeout", "4", *(_RELOAD if reload else [])]
    return (sys.executable, "-m", "gunicorn", *options, application)


def receiver() -> tuple[str, ...]:
    """Return the command line of the receiver. RECEIVER_BIND and RECEIVER_CONSOLE are in its environment."""
    return (sys.executable, "-m", "dashboard.receiver")


def worker() -> tuple[str, ...]:
    """Return the command line of the console's worker.

    It runs several jobs at once, so that slow calls for one customer do not block another's run. Refreshes for pages
    use at most eight of them (dashboard/tasks.py). It polls for due jobs every second, because a run that waits for its
    outcome schedules its next step in seconds.
    """
    options = ["--queues", "console", "--concurrency", "14", "--fetch-job-polling-interval", "1"]
    return manage("procrastinate", "worker", *options)


@dataclass(frozen=True, slots=True)
class Door:
    """The socket that clients connect to, which the receiver inherits, and the console's private one behind it."""

    socket: socket.socket
    console: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that say so."""
        return {"RECEIVER_BIND": f"fd://{self.socket.fileno()}", "RECEIVER_CONSOLE": str(self.console)}

    @property
    def url(self) -> str:
        """The address at which this machine reaches it."""
        host, port = self.socket.getsockname()[:2]
        reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - it is compared
        return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


@contextlib.contextmanager
def door(*, folder: Path, port: int) -> Iterator[Door]:
    """Listen on HOST and the port until the block ends. Raises: CannotStart."""
    private = socket_folder(folder / "console")
    with listening(os.environ.get("HOST", "127.0.0.1"), port) as made:
        try:
            make_private(private)
        except OSError as error:
            raise CannotStart(f"{private} cannot be made: {error.strerror}.") from error
        try:
            yield Door(socket=made, console=private / "console")
        finally:
            shutil.rmtree(private, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Database:
    """The environment variables of a database, and its server if this process has started it."""

    environment: Mapping[str, str]
    server: postgres.Server | None = None


@contextlib.contextmanager
def database(folder: Path, *, shared: bool = False) -> Iterator[Database]:
    """Yield the database: that of DATABASE_URL if it is set (without variables), else the embedded one.

    With `shared`, for a command, the database must exist, and a server that another process runs on the folder is used.

    Raises: CannotStart.
    """
    if is_given("DATABASE_URL"):
        yield Database({})
        return
    running = postgres.running_url(folder=folder, database="redeliver") if shared else None
    if running is not None:
        yield Database({"DATABASE_URL": running})
        return
    server = postgres.start(folder=folder)
    try:
        if shared:
            url = server.existing_url("redeliver")
        else:
            server.create_database("redeliver")
            url = server.url("redeliver")
        yield Database({"DATABASE_URL": url}, server)
    finally:
        server.stop()


def environment(*, folder: Path, keys: Keys, port: int) -> dict[str, str]:
    """Return the environment variables that all processes of the console need. Those already set take precedence.

    DJANGO_SETTINGS_MODULE does not: left in a shell, that of `make dev` would show debug pages.

    Raises: CannotStart.
    """
    public_url = os.environ.get("PUBLIC_URL", f"http://localhost:{port}").rstrip("/")
    defaults = {
        "SECRET_KEY": keys.SECRET_KEY,
        "FIELD_KEYS": keys.FIELD_KEYS,
        "PUBLIC_URL": public_url,
        "CSRF_TRUSTED_ORIGINS": public_url,
        "HTTPS": "1" if public_url.startswith("https:") else "0",
        "STATIC_ROOT": str(folder / "static"),
        "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
        "RECEIVER_SPOOL_DIR": str(folder / "receiver"),
    }
    _make_metrics(folder)
    chosen = {name: os.environ.get(name) or value for name, value in defaults.items() if not _from_file(name)}
    try:
        checked_keys("FIELD_KEYS", chosen.get("FIELD_KEYS", ""))  # those in a file are read by each process
    except ImproperlyConfigured as error:
        raise CannotStart(str(error)) from None
    return {**chosen, "DJANGO_SETTINGS_MODULE": SETTINGS}


def _from_file(name: str) -> bool:
    return bool(os.environ.get(f"{name}_FILE"))


def forget_counts(folder: Path) -> None:
    """Delete the metrics files of an earlier start, whose processes have ended. Raises: CannotStart."""
    shutil.rmtree(folder / "metrics", ignore_errors=True)
    _make_metrics(folder)


def _make_metrics(folder: Path) -> None:
    try:
        (folder / "metrics").mkdir(exist_ok=True)
    except OSError as error:
        raise CannotStart(f"{folder / 'metrics'} cannot be made: {error.strerror}.") from error


def work_begins(server: postgres.Server, *, database: str) -> Callable[[], bool]:
    """Return what says whether a worker has begun on the database since this call: it has no address to ask at.

    Raises: CannotStart, and so does what is returned.
    """
    before = server.newest_worker(database)
    return lambda: server.newest_worker(database) > before


def start_site(*, processes: Processes, door: Door, reload: bool = False) -> None:
    """Start receiver, console and worker. Migrate the database and collect static files first."""
    web = gunicorn(application="dashboard.wsgi:application", bind=f"unix:{door.console}", threads=16, reload=reload)
    processes.start("receiver", *receiver(), inherits=door.socket, end_s=RECEIVER_END_S)
    processes.start("console", *web)
    processes.start("worker", *worker())
