"""`make partner-api`: only the Partner API and its engine, for development against it."""

import os
import subprocess
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from dashboard.config.environment import keys as checked_keys
from dashboard.launch import postgres, site
from dashboard.launch.folder import CannotStart, keys
from dashboard.launch.processes import Processes, claim_port


def partner_api(*, folder: Path, port: int) -> None:
    """Start it on the embedded PostgreSQL, print its base URL, and run until stopped.

    Deliveries run every 5 seconds instead of OpenTrain's 5 minutes, unless PARTNER_API_RUN_INTERVAL_S says otherwise.

    Raises: CannotStart, Stopped.
    """
    port = claim_port(port)
    _encryption_keys(folder)
    server = postgres.start(folder=folder)
    try:
        server.create_database("partner_api")
        environment = _environment(folder=folder, url=server.url("partner_api"))
        with Processes(logs=folder / "logs", environment=environment) as processes:
            processes.keep("postgres", server)
            processes.start("migrate", *site.manage_partner_api("migrate", "--noinput"))
            processes.finish("migrate")
            api = site.gunicorn(
                application="dashboard.partner_api.wsgi:application", bind=f"127.0.0.1:{port}", threads=8
            )
            processes.start("partner-api", *api)
            begins = site.work_begins(server, database="partner_api")
            processes.start("engine", *site.manage_partner_api("procrastinate", "worker"))
            base = f"http://localhost:{port}/api/partner/v1"
            processes.await_answer(f"{base}/openapi.json", within_s=site.UP_S)
            processes.await_true("engine", begins, within_s=site.UP_S)
            print(f"The Partner API is up: {base}", flush=True)  # noqa: T201
            processes.watch()
    finally:
        server.stop()


def partner_api_command(*, folder: Path, arguments: list[str]) -> int:
    """Run a command of the Partner API on the folder's data, whether or not it is running; return the exit status.

    Raises: CannotStart.
    """
    _encryption_keys(folder)
    running = postgres.running_url(folder=folder, database="partner_api")
    if running is not None:
        return _run(_environment(folder=folder, url=running), arguments)
    server = postgres.start(folder=folder)
    try:
        return _run(_environment(folder=folder, url=server.existing_url("partner_api")), arguments)
    finally:
        server.stop()


def _run(environment: dict[str, str], arguments: list[str]) -> int:
    command = site.manage_partner_api(*arguments)
    return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode


def _environment(*, folder: Path, url: str) -> dict[str, str]:
    own = keys(folder)
    return {
        "PARTNER_API_DATABASE_URL": url,
        "PARTNER_API_KEYS": _encryption_keys(folder),
        "PARTNER_API_SECRET_KEY": os.environ.get("PARTNER_API_SECRET_KEY") or own.SECRET_KEY,
        "PARTNER_API_RUN_INTERVAL_S": os.environ.get("PARTNER_API_RUN_INTERVAL_S") or "5",
    }


def _encryption_keys(folder: Path) -> str:
    """Return those of the environment, or of the folder. Raises: CannotStart if one of them is no key."""
    given = os.environ.get("PARTNER_API_KEYS") or keys(folder).PARTNER_API_KEYS
    try:
        return ",".join(checked_keys("PARTNER_API_KEYS", given))
    except ImproperlyConfigured as error:
        raise CannotStart(str(error)) from None
