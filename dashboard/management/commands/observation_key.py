"""Issue an endpoint's key for observations."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from dashboard.actions import observation_keys
from dashboard.models import Endpoint


class Command(BaseCommand):
    help = "Issue the key that the endpoint's handler uses to send observations. An earlier key stops working."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("endpoint", type=int, help="the number in the URL of the endpoint's page")

    def handle(self, *_args: Any, **options: Any) -> None:
        endpoint = Endpoint.objects.select_related("install").filter(pk=options["endpoint"]).first()
        if endpoint is None:
            raise CommandError("There is no such endpoint.")
        self.stdout.write(observation_keys.issue(actor=None, endpoint=endpoint, now=timezone.now()).reveal())
        self.stderr.write("The key is shown only this once.")
