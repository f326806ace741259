"""Take away the report of a receiver that is gone for good."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from dashboard.actions import audit
from dashboard.actions.receivers import forget
from dashboard.models import ReceiverReport


class Command(BaseCommand):
    help = (
        "Take away the report of a receiver whose disk is lost. What its spool held is not in the log then. A receiver "
        "whose folder still exists reports again: start a receiver there instead, and it takes the folder over."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="The receiver's name, such as web1-a.")

    def handle(self, *_args: Any, **options: Any) -> None:
        report = ReceiverReport.objects.filter(name=options["name"]).first()
        if report is None:
            names = ", ".join(ReceiverReport.objects.values_list("name", flat=True)) or "none"
            raise CommandError(f"No receiver named {options['name']} has reported. Those that have: {names}.")
        said = f"It last reported at {report.heard_at:%Y-%m-%d %H:%M:%S} UTC, and held {report.held} attempts then."
        with transaction.atomic():
            forget(names=[report.name])
            audit.note(actor=None, action="forget receiver", words=f"Receiver {report.name}. {said}")
        self.stdout.write(f"Forgot the receiver {report.name}. {said}")
