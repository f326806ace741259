"""Commands that do something once, several times, or until they are stopped."""

import argparse
import itertools
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from django.core.management.base import CommandError


def add_repeating(parser: argparse.ArgumentParser) -> None:
    """Add --count, --every and --forever."""
    parser.add_argument("--count", type=int, default=1, metavar="N")
    parser.add_argument("--every", type=float, default=0.0, metavar="SECONDS", help="wait between two events")
    parser.add_argument("--forever", action="store_true", help="with --every: until SIGTERM or SIGINT")


def ticks(options: dict[str, Any]) -> Iterator[None]:
    """Yield once for each time, and stop on SIGTERM or SIGINT. Raises: CommandError."""
    if options["every"] < 0 or (options["forever"] and not options["every"]):
        raise CommandError("--forever needs --every with more than 0 seconds.")
    stop = threading.Event()
    if options["every"]:

        def on_signal(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - Python's signature
            stop.set()

        signal.signal(signal.SIGTERM, on_signal)
        signal.signal(signal.SIGINT, on_signal)
    for number in itertools.count(1):
        yield
        if (number >= options["count"] and not options["forever"]) or stop.wait(options["every"]):
            return
