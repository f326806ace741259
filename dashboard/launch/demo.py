"""`make demo`: everything on this machine: Partner API, engine, console, receiver, and a handler to break."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dashboard.launch import postgres, site
from dashboard.launch.folder import CannotStart, Keys, keys, read_private
from dashboard.launch.processes import Processes, claim_port
from dashboard.rules import json_limits

# OpenTrain's minutes become seconds, so that the whole scenario takes a few minutes.
RUN_INTERVAL_S = "2"
POLL_EVERY_S = "5"
RECONCILE_EVERY_S = "5"
RETRY_DELAYS_S = "4,8,16,32"
EVENT_EVERY_S = "3"
LOSE = "0.02"
"""The probability that an event is lost: OpenTrain emits them best-effort."""


def demo(*, folder: Path, port: int) -> None:
    """Start everything, print the READY line, and run until stopped.

    Raises: CannotStart, Stopped.
    """
    with running(folder=folder, port=port) as processes:
        processes.watch()


@contextlib.contextmanager
def running(*, folder: Path, port: int, settings: str = site.SETTINGS, reload: bool = False) -> Iterator[Processes]:
    """Bring everything up, print the READY line and yield the processes; all of them end with the block.

    With `reload`, the web servers start their workers again when their Python changes, and `settings` have to find the
    static files themselves: none are collected.

    Raises: CannotStart, Stopped.
    """
    with site.door(folder=folder, port=port) as door:
        _told(folder)
        _check_switches(folder)
        own = site.environment(folder=folder, keys=keys(folder), port=port) | door.environment
        server = postgres.start(folder=folder)
        try:
            for name in ("redeliver", "partner_api"):
                server.create_database(name)
            api_port, handler_port = claim_port(0), claim_port(0)
            environment = {
                **own,
                **_environment(folder=folder, keys=keys(folder), api_port=api_port, handler_port=handler_port),
                "DJANGO_SETTINGS_MODULE": settings,
                "DATABASE_URL": server.url("redeliver"),
                "PARTNER_API_DATABASE_URL": server.url("partner_api"),
            }
            site.forget_counts(folder)
            with Processes(logs=folder / "logs", environment=environment) as processes:
                processes.keep("postgres", server)
                _prepare(processes, static=not reload)
                begins = {
                    "worker": site.work_begins(server, database="redeliver"),
                    "engine": site.work_begins(server, database="partner_api"),
                }
                _start(processes, environment=environment, door=door, api_port=api_port, begins=begins, reload=reload)
                print(_ready_line(folder=folder, environment=environment), flush=True)  # noqa: T201
                yield processes
        finally:
            server.stop()


def _environment(*, folder: Path, keys: Keys, api_port: int, handler_port: int) -> dict[str, str]:
    return {
        "OPENTRAIN_BASE_URL": f"http://localhost:{api_port}/api/partner/v1",
        "OPENTRAIN_RUN_INTERVAL_S": RUN_INTERVAL_S,
        "POLL_EVERY_S": POLL_EVERY_S,
        "RECONCILE_EVERY_S": RECONCILE_EVERY_S,
        "OPENTRAIN_RETRY_DELAYS_S": RETRY_DELAYS_S,
        "PARTNER_API_KEYS": keys.PARTNER_API_KEYS,
        "PARTNER_API_RUN_INTERVAL_S": RUN_INTERVAL_S,
        "PARTNER_API_RETRY_DELAYS_S": RETRY_DELAYS_S,
        "HANDLER_PRIVATE_ADDRESSES": "1",  # the demo's handler is on this machine
        "ALERT_PRIVATE_ADDRESSES": "1",  # and so is the receiver of its alerts
        "DEMO_FOLDER": str(folder),
        "DEMO_HANDLER_URL": f"http://localhost:{handler_port}",
        "DEMO_HANDLER_TOKEN": keys.DEMO_HANDLER_TOKEN,
    }


def _prepare(processes: Processes, *, static: bool) -> None:
    processes.start("migrate", *site.manage("migrate", "--noinput"))
    processes.start("migrate-api", *site.manage_partner_api("migrate", "--noinput"))
    if static:
        processes.start("static", *site.manage("collectstatic", "--noinput"))
        processes.finish("static")
    processes.finish("migrate", "migrate-api")


def _start(
    processes: Processes,
    *,
    environment: Mapping[str, str],
    door: site.Door,
    api_port: int,
    begins: Mapping[str, Callable[[], bool]],
    reload: bool,
) -> None:
    api = site.gunicorn(
        application="dashboard.partner_api.wsgi:application", bind=f"127.0.0.1:{api_port}", threads=8, reload=reload
    )
    processes.start("partner-api", *api)
    processes.start("engine", *site.manage_partner_api("procrastinate", "worker"))
    processes.start("handler", *site.manage("demo_handler"))
    site.start_site(processes=processes, door=door, reload=reload)
    processes.await_answer(
        f"{door.url}/accounts/login/",
        f"{environment['OPENTRAIN_BASE_URL']}/openapi.json",
        f"{environment['DEMO_HANDLER_URL']}/",
        within_s=site.UP_S,
    )
    for name, holds in begins.items():
        processes.await_true(name, holds, within_s=site.UP_S)
    processes.start("story", *site.manage("demo_story"))
    processes.finish("story")
    for number, install in enumerate(_told(Path(environment["DEMO_FOLDER"]))["installs"]):
        live = site.manage_partner_api(
            "live", "--install", install, "--every", EVENT_EVERY_S, "--forever", "--lose", LOSE
        )
        processes.start(f"events-{number}", *live)


def _told(folder: Path) -> dict[str, Any]:
    """Return what the demo's story has written; {} before the first start. Raises: CannotStart if it is damaged."""
    told = read_private(folder / "demo.json") or {}
    texts = [told.get("username", ""), told.get("password", "")]
    installs = told.get("installs", [])
    whole = not told or (all(texts) and isinstance(installs, list))
    if not whole or not all(isinstance(text, str) for text in [*texts, *installs]):
        raise CannotStart(
            f"{folder / 'demo.json'} is damaged: restore it from a backup, or move DATA_DIR away to start afresh."
        )
    return told


def _check_switches(folder: Path) -> None:
    """Check what the demo's handler reads at each request. Raises: CannotStart."""
    path = folder / "handler.json"
    try:
        names = json_limits.loads(path.read_text()) if path.exists() else []
    except (OSError, ValueError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CannotStart(f"{path} is damaged: remove it, and every handler of the demo works again.")


def _ready_line(*, folder: Path, environment: Mapping[str, str]) -> str:
    told = _told(folder)
    ready = {
        "url": environment["PUBLIC_URL"],
        "username": told["username"],
        "password": told["password"],
        "partner_api": environment["OPENTRAIN_BASE_URL"],
    }
    return f"READY {json.dumps(ready)}"
