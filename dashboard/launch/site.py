"""The console, the receiver and their worker on this machine: what `run` and `demo` have in common."""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from dashboard.config.environment import is_given
from dashboard.launch import postgres
from dashboard.launch.folder import Keys
from dashboard.launch.processes import Processes

BASE_DIR = Path(__file__).resolve().parents[2]
UP_S = 60


def manage(*arguments: str) -> tuple[str, ...]:
    """Return the command line of one of Django's management commands."""
    return (sys.executable, str(BASE_DIR / "manage.py"), *arguments)


def manage_partner_api(command: str, *arguments: str) -> tuple[str, ...]:
    """Return the command line of one of the Partner API's commands: it has settings and a database of its own."""
    return manage(command, "--settings", "dashboard.partner_api.settings", *arguments)


def gunicorn(*, application: str, bind: str, threads: int) -> tuple[str, ...]:
    """Return the command line of one web server: gunicorn.conf.py, and an end within the seconds that Ctrl-C has."""
    options = ["--config", str(BASE_DIR / "gunicorn.conf.py"), "--bind", bind, "--threads", str(threads)]
    options += ["--graceful-timeout", "4"]
    return (sys.executable, "-m", "gunicorn", *options, application)


def worker() -> tuple[str, ...]:
    """Return the command line of the console's worker.

    Several jobs at once, so that a customer's slow API holds up nobody else's run. Refreshes for pages take eight of
    these at most (dashboard/tasks.py). It looks every second for what is due, because a run that waits for its outcome
    asks for its next look in seconds.
    """
    options = ["--queues", "console", "--concurrency", "12", "--fetch-job-polling-interval", "1"]
    return manage("procrastinate", "worker", *options)


@contextlib.contextmanager
def database(folder: Path, *, shared: bool = False) -> Iterator[Mapping[str, str]]:
    """Yield the environment's part that says where the database is: DATABASE_URL if set, the embedded one otherwise.

    With `shared`, a server that another process runs on the folder is used as it is.

    Raises: CannotStart.
    """
    if is_given("DATABASE_URL"):
        yield {}
        return
    running = postgres.running_url(folder=folder, database="redeliver") if shared else None
    if running is not None:
        yield {"DATABASE_URL": running}
        return
    server = postgres.start(folder=folder)
    try:
        server.create_database("redeliver")
        yield {"DATABASE_URL": server.url("redeliver")}
    finally:
        server.stop()


def environment(*, folder: Path, keys: Keys, port: int) -> dict[str, str]:
    """Return what every process of the console needs; what the person set already is theirs to say."""
    public_url = os.environ.get("PUBLIC_URL", f"http://localhost:{port}").rstrip("/")
    defaults = {
        "SECRET_KEY": keys.SECRET_KEY,
        "FIELD_KEYS": keys.FIELD_KEYS,
        "PUBLIC_URL": public_url,
        "CSRF_TRUSTED_ORIGINS": public_url,
        "HTTPS": "1" if public_url.startswith("https:") else "0",
        "STATIC_ROOT": str(folder / "static"),
        "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
    }
    (folder / "metrics").mkdir(exist_ok=True)
    return {name: os.environ.get(name) or value for name, value in defaults.items() if not _from_file(name)}


def _from_file(name: str) -> bool:
    return bool(os.environ.get(f"{name}_FILE"))


def forget_counts(folder: Path) -> None:
    """Remove what the processes of an earlier start had counted: no process adds to it any more."""
    shutil.rmtree(folder / "metrics", ignore_errors=True)
    (folder / "metrics").mkdir()


def start_console(*, processes: Processes, port: int) -> None:
    """Bring up the web server and the worker, with the database migrated and the static files in place already."""
    host = os.environ.get("HOST", "127.0.0.1")
    processes.start("console", *gunicorn(application="dashboard.wsgi:application", bind=f"{host}:{port}", threads=16))
    processes.start("worker", *worker())
