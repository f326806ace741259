"""Commands by which something happens at OpenTrain: they change its state, and announce what they changed."""

import argparse
import json
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError

from dashboard.partner_api import clock
from dashboard.partner_api.announcements import Announcer
from dashboard.partner_api.errors import ApiError
from dashboard.partner_api.installs import Unusable
from dashboard.partner_api.management.migrated import MigratedCommand
from dashboard.partner_api.models import Install, Job


def probability(text: str) -> float:
    """Parse a probability. Raises: argparse.ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("P must be a number from 0 to 1.")
    return value


def add_lose(parser: argparse.ArgumentParser) -> None:
    """Add --lose: at OpenTrain emission is best-effort, and an event that is not emitted never comes."""
    parser.add_argument(
        "--lose", type=probability, default=0.0, metavar="P", help="lose each event with this probability; default: 0"
    )


class HappeningCommand(MigratedCommand):
    """A command that prints one JSON line: what it changed, which events it emitted, and which were lost."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_lose(parser)

    def happen(self, *, options: dict[str, Any], announcer: Announcer, now: datetime) -> dict[str, Any]:
        """Change something and announce it. Return what to print. Raises: ApiError, Unusable, CommandError."""
        raise NotImplementedError

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401, ARG002 - Django's signature
        announcer = Announcer(lose=options["lose"])
        try:
            line = self.happen(options=options, announcer=announcer, now=clock.now())
        except ApiError as error:
            raise CommandError(error.message) from error
        except Unusable as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(line | emitted_and_lost(announcer)))


def emitted_and_lost(announcer: Announcer) -> dict[str, Any]:
    """Return what became of the announcements, to be printed."""
    emitted = [{"event": each.event_id, "type": each.type, "deliveries": each.deliveries} for each in announcer.emitted]
    return {"events": emitted, "lost": announcer.lost}


def the_install(install_id: str) -> Install:
    """Return the install with this ID. Raises: CommandError."""
    found = Install.objects.filter(pk=install_id).first()
    if found is None:
        raise CommandError(f"There is no install {install_id}. Create one with create_install.")
    return found


def the_job(job_id: str) -> Job:
    """Return the job with this ID. Raises: CommandError."""
    found = Job.objects.filter(pk=job_id).first()
    if found is None:
        raise CommandError(f"There is no job {job_id}. Create one with link --new-job or hire --new-job.")
    return found
