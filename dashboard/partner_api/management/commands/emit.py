"""Emit sample events of an install: once, several times, or until stopped. Nothing happens behind them."""

import argparse
import itertools
import json
import random
import signal
import threading
from collections.abc import Iterator
from datetime import datetime
from types import FrameType
from typing import Any

from django.core.management.base import CommandError

from dashboard.partner_api import clock, events, samples
from dashboard.partner_api.management.happening import add_lose
from dashboard.partner_api.management.migrated import MigratedCommand
from dashboard.partner_api.models import EventType


class Command(MigratedCommand):
    help = (
        "Emit events of things that are made up. Prints one JSON line for each: its ID, its type and the number of its "
        "deliveries."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--install", required=True, metavar="ID")
        parser.add_argument("--type", choices=EventType.values, help="default: a plausible mix")
        parser.add_argument("--resource", metavar="ID", help="the resource of the event; default: made up")
        parser.add_argument("--count", type=int, default=1, metavar="N")
        parser.add_argument("--every", type=float, default=0.0, metavar="SECONDS", help="wait between two events")
        add_lose(parser)
        parser.add_argument("--forever", action="store_true", help="with --every: until SIGTERM or SIGINT")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        if options["every"] < 0 or (options["forever"] and not options["every"]):
            raise CommandError("--forever needs --every with more than 0 seconds.")
        chance = random.Random()  # noqa: S311 - sample data
        for _ in self._ticks(options):
            event_type = options["type"] or samples.any_type(chance=chance)
            if chance.random() < options["lose"]:
                self.stdout.write(json.dumps({"lost": event_type}))
                continue
            now = clock.now()
            sample = samples.sample(
                event_type=event_type,
                install_id=options["install"],
                resource_id=options["resource"],
                chance=chance,
                now=now,
            )
            self._emit(options["install"], sample, now=now)

    def _emit(self, install_id: str, sample: samples.Sample, *, now: datetime) -> None:
        try:
            emitted = events.emit(
                install_id=install_id,
                event_type=sample.type,
                resource_id=sample.resource_id,
                job_id=sample.job_id,
                data=sample.data,
                now=now,
            )
        except events.NotEmitted as error:
            raise CommandError(str(error)) from error
        line = {"event": emitted.event_id, "type": emitted.type, "deliveries": emitted.deliveries}
        self.stdout.write(json.dumps(line))
        self.stdout.flush()
        if not emitted.deliveries:
            self.stderr.write(
                f"{emitted.type} has no deliveries: no endpoint of this install is ACTIVE and subscribed to it."
            )

    def _ticks(self, options: dict[str, Any]) -> Iterator[None]:
        """Yield once for each event to emit, and stop on SIGTERM or SIGINT."""
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
