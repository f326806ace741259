"""Disconnect an install: the customer withdraws the grant."""

import argparse
from datetime import datetime
from typing import Any

from dashboard.partner_api import installs
from dashboard.partner_api.announcements import Announcer
from dashboard.partner_api.management.happening import HappeningCommand, the_install


class Command(HappeningCommand):
    help = "Revoke an install and its tokens, and announce install.revoked."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--install", required=True, metavar="ID")

    def happen(self, *, options: dict[str, Any], announcer: Announcer, now: datetime) -> dict[str, Any]:
        """Revoke the install."""
        install = the_install(options["install"])
        installs.disconnect(install_id=install.pk, announcer=announcer, now=now)
        return {"install": install.pk}
