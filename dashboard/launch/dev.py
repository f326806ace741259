"""`make dev`: the demo while you change it, with Django's debug pages, on this machine only.

A template shows its change at the next request, and so does a static file. After a change in Python, the processes
that use it start again: gunicorn replaces its own workers, and the others are started again here. A process that ends
because its code cannot run leaves the others running, and starts again with the next change. While that is the
receiver, which passes pages on, requests wait.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from dashboard.config.environment import is_loopback
from dashboard.launch import demo, site
from dashboard.launch.folder import CannotStart
from dashboard.launch.processes import Processes

SETTINGS = "dashboard.dev_settings"
LOOK_EVERY_S = 0.5
_CODE = site.BASE_DIR / "dashboard"
_RELOAD_THEMSELVES = {"console", "partner-api"}
_CONSOLES = {"receiver", "worker", "handler"}
"""The console's. The others are the Partner API's, which shares only modules that stand directly in dashboard/."""
_PAGES = {"forms", "middleware", "presenters", "templatetags", "views"}
"""Folders that the receiver may not import: it passes pages on while they change."""


def dev(*, folder: Path, port: int) -> None:
    """Bring the demo up, print its READY line, and start again what has changed, until it ends.

    Raises: CannotStart, Stopped.
    """
    _refuse_others()
    with demo.running(folder=folder, port=port, settings=SETTINGS, reload=True) as processes:
        _watch(processes)


def _refuse_others() -> None:
    """Raises: CannotStart, when anything in the environment would have other machines reach the debug pages."""
    for name, example in (("PUBLIC_URL", "{}"), ("RECEIVER_URL", "{}"), ("HOST", "http://{}")):
        given = os.environ.get(name, "")
        if given and not is_loopback(example.format(given)):
            raise CannotStart(
                f"{name} is {given!r}, and 'make dev' shows code and settings to everyone who reaches it: "
                f"unset {name}, or use 'make demo'."
            )


def _watch(processes: Processes) -> None:
    seen, changes, told = _times(), 0, set[str]()
    started = dict.fromkeys(processes.names(), 0)  # by name: the number of changes before its last start
    while True:
        time.sleep(LOOK_EVERY_S)
        processes.tend()
        changed = set[Path]()
        if _times() != seen:
            now = _settled()
            changed, seen, changes = {path for path, _ in now.items() ^ seen.items()}, now, changes + 1
        # A web server that reloads code which cannot run may end only after that code has been repaired.
        behind = {name for name in processes.ended() if started[name] < changes}
        again = behind | (_users(processes.names(), of=changed) if changed else set())
        if again:
            processes.restart(*sorted(again))
        started.update(dict.fromkeys(again, changes))
        told -= again
        for name in sorted(processes.ended() - told):
            print(f"{processes.why_ended(name)}; it starts again with the next change.", flush=True)  # noqa: T201
            told.add(name)


def _times() -> dict[Path, int]:
    found = {}
    for path in _CODE.rglob("*.py"):
        try:
            found[path] = path.stat().st_mtime_ns
        except FileNotFoundError:  # removed meanwhile
            continue
    return found


def _settled() -> dict[Path, int]:
    """Return the times once they stay: an editor, or git, changes several files one after the other."""
    before, now = None, _times()
    while now != before:
        time.sleep(LOOK_EVERY_S)
        before, now = now, _times()
    return now


def _users(names: Iterable[str], *, of: set[Path]) -> set[str]:
    """Return the processes that have to start again because these files have changed."""
    places = {path.relative_to(_CODE).parts[0] for path in of}
    shared = any(place.endswith(".py") for place in places)
    restarted = set(names) - _RELOAD_THEMSELVES
    consoles = restarted & _CONSOLES if places - {"partner_api"} else set()
    consoles -= {"receiver"} if places <= _PAGES | {"partner_api"} else set()
    return consoles | (restarted - _CONSOLES if shared or "partner_api" in places else set())
