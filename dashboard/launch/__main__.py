"""`python -m dashboard.launch demo | dev | run | manage COMMAND … | partner-api [COMMAND …]`.

PORT and DATA_DIR come from the environment.

These are not management commands, because they create the environment that Django's settings are read from.
"""

import argparse
import os
import sys
from pathlib import Path

from dashboard.config.environment import is_given
from dashboard.launch.demo import demo
from dashboard.launch.dev import dev
from dashboard.launch.folder import CannotStart, held, prepare, started_before
from dashboard.launch.partner_api import partner_api, partner_api_command
from dashboard.launch.processes import Stopped, stop_on_signals
from dashboard.launch.run import manage, run

_FOLDERS = {"demo": ".demo", "dev": ".dev", "partner-api": ".partner-api"}
_STARTS = {"demo": demo, "dev": dev, "run": run, "partner-api": partner_api}


def main(arguments: list[str]) -> int:
    """Run the command and return the exit status: 0 if stopped by a signal, else 1 with one line that says why."""
    parser = argparse.ArgumentParser(prog="python -m dashboard.launch")
    parser.add_argument("what", choices=["demo", "dev", "run", "manage", "partner-api"])
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    chosen = parser.parse_args(arguments)
    stop_on_signals()
    try:
        path = Path(os.environ.get("DATA_DIR") or _FOLDERS.get(chosen.what, ".data"))
        if chosen.what == "manage":
            folder = prepare(path if is_given("DATABASE_URL") else started_before(path))
            return manage(folder=folder, arguments=chosen.rest)
        if chosen.what == "partner-api" and chosen.rest:
            return partner_api_command(folder=prepare(started_before(path)), arguments=chosen.rest)
        folder, port = prepare(path), _port(default="8100" if chosen.what == "partner-api" else "8000")
        with held(folder):
            _STARTS[chosen.what](folder=folder, port=port)
    except Stopped:
        return 0
    except CannotStart as error:
        print(f"Redeliver cannot start: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _port(*, default: str) -> int:
    given = os.environ.get("PORT") or default
    if not given.isdecimal() or not 0 < int(given) < 65536:  # noqa: PLR2004 - the range of TCP ports
        raise CannotStart(f"PORT is {given!r}; it must be a number from 1 to 65535.")
    return int(given)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
