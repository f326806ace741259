"""Benchmark of PyPI's django-webhook on Celery with a Redis broker, in a temporary virtual environment.

This project does not depend on its packages: pip installs them for one run. Debian's redis-server must be installed.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg

from dashboard.launch import postgres
from tests.bench import engine_rows

COUNT, PROCESSES, PATIENCE_S = 3_000, 8, 120
PACKAGES = ["django-webhook", "celery[redis]", "packaging", "psycopg[binary]", "django>=5.2,<5.3"]
FOLDER = Path(__file__).parent


class CannotRun(Exception):
    """The benchmark cannot run here; the message says why and what would help."""


def measure(server: postgres.Server, *, target: str) -> float:
    """Return deliveries a second.

    Raises: CannotRun.
    """
    if shutil.which("redis-server") is None:
        raise CannotRun("there is no redis-server; on Debian: apt-get install redis-server")
    folder = Path(tempfile.mkdtemp(prefix="redeliver-celery-"))
    try:
        python = _environment(folder)
        server.create_database("django_webhook")
        with _redis(folder) as broker:
            return _run(folder, python, server.url("django_webhook"), broker=broker, target=target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _environment(folder: Path) -> Path:
    python = folder / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise CannotRun(f"its packages cannot be installed: {last}")
    return python


@contextlib.contextmanager
def _redis(folder: Path) -> Iterator[str]:
    socket = folder / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not socket.exists():
            if time.monotonic() > deadline:
                raise CannotRun("redis-server does not start")
            time.sleep(0.05)
        yield f"redis+socket://{socket}"
    finally:
        process.terminate()
        process.wait(10)


def _run(folder: Path, python: Path, url: str, *, broker: str, target: str) -> float:
    parts = urlsplit(url)
    environment = os.environ | {
        "BENCH_DATABASE": parts.path.lstrip("/"),
        "BENCH_USER": parts.username or "",
        "BENCH_HOST": parse_qs(parts.query)["host"][0],
        "BENCH_BROKER": broker,
        "PYTHONPATH": str(FOLDER),
        "DJANGO_SETTINGS_MODULE": "webhook_celery_settings",
    }
    fill = [python, FOLDER / "webhook_celery_app.py", str(COUNT), target]
    filled = subprocess.run(fill, env=environment, check=False, cwd=folder, capture_output=True, text=True)
    if filled.returncode != 0:
        raise CannotRun(f"deliveries cannot be queued: {filled.stderr.strip().splitlines()[-1]}")
    command = [python, "-m", "celery", "-A", "webhook_celery_app", "worker", "--concurrency", str(PROCESSES)]
    with (folder / "celery.log").open("wb") as log:
        worker = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            return _per_s(url, log=folder / "celery.log")
        finally:
            os.killpg(worker.pid, signal.SIGKILL)  # the measurement is complete; a clean stop takes long
            worker.wait(10)


def _per_s(url: str, *, log: Path) -> float:
    """Return deliveries a second from the first one until all are done or PATIENCE_S has passed.

    The worker's start-up time does not count.
    """
    deadline, first, began, done = time.monotonic() + PATIENCE_S, 0, 0.0, 0
    with psycopg.connect(url, autocommit=True) as connection:
        while done < COUNT and time.monotonic() < deadline:
            time.sleep(0.02)
            row = connection.execute(
                "SELECT count(*) FROM django_webhook_webhookevent WHERE status = 'SUCCESS'"
            ).fetchone()
            assert row is not None
            done = row[0]
            if done and not first:
                first, began = done, time.monotonic()
    if done == first:
        raise CannotRun(f"it did not deliver in {PATIENCE_S} s: {log.read_text()[-300:]}")
    return round((done - first) / (time.monotonic() - began), 1)


if __name__ == "__main__":
    with engine_rows.database() as (own_server, _), engine_rows.sink() as own_target:
        print(measure(own_server, target=own_target))
