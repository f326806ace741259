"""Issue an endpoint's key for observations."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from dashboard.actions import observation_keys
from dashboard.models import Endpoint


class Command(BaseCommand):
    help = "Issue a key with which the endpoint's own handler reports what it saw. An earlier key no longer works."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("endpoint", type=int, help="the number in the address of the endpoint's page")

    def handle(self, *_args: Any, **options: Any) -> None:
        endpoint = Endpoint.objects.select_related("install").filter(pk=options["endpoint"]).first()
        if endpoint is None:
            raise CommandError("There is no such endpoint.")
        self.stdout.write(observation_keys.issue(actor=None, endpoint=endpoint, now=timezone.now()).reveal())
        self.stderr.write("This is the only time that the key is shown.")
