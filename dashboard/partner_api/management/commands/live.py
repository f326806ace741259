"""Let an install live: once, several times, or until stopped, something happens that the demo's installs show."""

import argparse
import json
import random
from typing import Any

from django.core.management.base import CommandError

from dashboard.partner_api import clock, life
from dashboard.partner_api.announcements import Announcer
from dashboard.partner_api.errors import Conflict, NotFound
from dashboard.partner_api.management.happening import add_lose, emitted_and_lost, the_install
from dashboard.partner_api.management.migrated import MigratedCommand
from dashboard.partner_api.management.repeating import add_repeating, ticks
from dashboard.partner_api.models import Install


class Command(MigratedCommand):
    help = (
        "Let things happen to an install: links, hires, ends, funding and usage, in a plausible mix. Prints one JSON "
        "line for each, with its events."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--install", required=True, metavar="ID")
        add_lose(parser)
        add_repeating(parser)

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        chance = random.Random()  # noqa: S311 - made-up business
        for _ in ticks(options):
            install = the_install(options["install"])
            if install.status != Install.Status.ACTIVE:
                raise CommandError("Events are emitted for ACTIVE installs only; this one is not ACTIVE.")
            self._step(install, chance=chance, lose=options["lose"])

    def _step(self, install: Install, *, chance: random.Random, lose: float) -> None:
        announcer = Announcer(lose=lose)
        try:
            done = life.step(install=install, chance=chance, announcer=announcer, now=clock.now())
        except (Conflict, NotFound) as error:  # someone ended or removed it at the same time, by hand
            self.stderr.write(error.message)
            return
        self.stdout.write(json.dumps({"done": done, **emitted_and_lost(announcer)}))
        self.stdout.flush()
