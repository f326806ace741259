"""Emit sample events of an install: once, several times, or until stopped. Nothing happens behind them."""

import argparse
import json
import random
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError

from dashboard.partner_api import clock, events, samples
from dashboard.partner_api.management.happening import add_lose
from dashboard.partner_api.management.migrated import MigratedCommand
from dashboard.partner_api.management.repeating import add_repeating, ticks
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
        add_lose(parser)
        add_repeating(parser)

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        chance = random.Random()  # noqa: S311 - sample data
        for _ in ticks(options):
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
