"""Apply retention now, completely."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from dashboard.actions.deliveries import retention
from dashboard.actions.deliveries.retention import Removed

TOLD_EVERY = 10_000
"""Number of rows between two progress lines."""


class Command(BaseCommand):
    help = "Delete log entries older than RETENTION_DAYS and BODY_RETENTION_DAYS. The worker does this automatically."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--seconds", type=int, help="Stop after this many seconds; by default when everything is deleted."
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        seconds = options["seconds"]
        budget = None if seconds is None else timedelta(seconds=seconds)
        self._told = 0
        removed = retention.retain(now=timezone.now(), budget=budget, on_step=self._tell)
        self.stdout.write(f"Removed {removed}.")

    def _tell(self, so_far: Removed) -> None:
        rows = so_far.deliveries + so_far.bodies + so_far.refused
        if rows - self._told >= TOLD_EVERY:
            self._told = rows
            self.stdout.write(f"So far {so_far}.")
