"""Reconnect an install: the customer grants access again, with a new token."""

import argparse
from datetime import datetime
from typing import Any

from dashboard.partner_api import installs
from dashboard.partner_api.announcements import Announcer
from dashboard.partner_api.management.happening import HappeningCommand, the_install
from dashboard.partner_api.models import Scope


class Command(HappeningCommand):
    help = (
        "Revoke an install's tokens and issue a new one, and announce install.revoked. Prints the install's ID and the "
        "token, which is shown only here."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--install", required=True, metavar="ID")
        parser.add_argument("--scopes", nargs="+", choices=Scope.values, metavar="SCOPE", help="default: as before")
        parser.add_argument(
            "--new-id",
            action="store_true",
            help="as a new install, without endpoints and links; OpenTrain does not say whether the ID stays",
        )

    def happen(self, *, options: dict[str, Any], announcer: Announcer, now: datetime) -> dict[str, Any]:
        """Reconnect the install."""
        granted = installs.reconnect(
            install_id=the_install(options["install"]).pk,
            scopes=options["scopes"],
            as_new=options["new_id"],
            announcer=announcer,
            now=now,
        )
        return {"install": granted.install_id, "token": granted.token}
