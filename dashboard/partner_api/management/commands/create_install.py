"""Create an install with a token, and print both once."""

import argparse
import json
from typing import Any

from django.core.management.base import CommandError

from dashboard.partner_api import clock, installs
from dashboard.partner_api.management.migrated import MigratedCommand
from dashboard.partner_api.models import Scope


class Command(MigratedCommand):
    help = "Install an app for an organization. Prints one JSON line with the token, which is shown only here."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--organization", required=True, metavar="NAME")
        parser.add_argument("--app-name", default="Demo Platform", metavar="NAME")
        parser.add_argument("--scopes", nargs="+", default=Scope.values, metavar="SCOPE", help="default: all seven")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        try:
            granted = installs.create(
                organization=options["organization"],
                app_name=options["app_name"],
                scopes=options["scopes"],
                now=clock.now(),
            )
        except installs.Unusable as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps({"install": granted.install_id, "token": granted.token}))
