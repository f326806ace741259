"""`python -m dashboard.launch demo | run | manage COMMAND …`, with PORT and DATA_DIR from the environment.

Not a management command: these make the environment that Django's settings are read from.
"""

import argparse
import os
import sys
from pathlib import Path

from dashboard.launch.demo import demo
from dashboard.launch.folder import CannotStart, prepare
from dashboard.launch.processes import Stopped, stop_on_signals
from dashboard.launch.run import manage, run


def main(arguments: list[str]) -> int:
    """Do what the command line says and return the exit status: 0 when asked to stop, 1 with one line otherwise."""
    parser = argparse.ArgumentParser(prog="python -m dashboard.launch")
    parser.add_argument("what", choices=["demo", "run", "manage"])
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    chosen = parser.parse_args(arguments)
    stop_on_signals()
    try:
        folder = prepare(Path(os.environ.get("DATA_DIR") or (".demo" if chosen.what == "demo" else ".data")))
        if chosen.what == "manage":
            return manage(folder=folder, arguments=chosen.rest)
        (demo if chosen.what == "demo" else run)(folder=folder, port=_port())
    except Stopped:
        return 0
    except CannotStart as error:
        print(f"Redeliver cannot start: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _port() -> int:
    given = os.environ.get("PORT") or "8000"
    if not given.isdecimal() or not 0 < int(given) < 65536:  # noqa: PLR2004 - what TCP has
        raise CannotStart(f"PORT is {given!r}; it must be a number from 1 to 65535.")
    return int(given)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
