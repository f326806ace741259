"""Remove a project link, as the API's operation does."""

import argparse
from datetime import datetime
from typing import Any

from dashboard.partner_api import links
from dashboard.partner_api.announcements import Announcer
from dashboard.partner_api.management.happening import HappeningCommand, the_install


class Command(HappeningCommand):
    help = "Remove a project link for good, and announce project_link.removed."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--install", required=True, metavar="ID")
        parser.add_argument("--link", required=True, metavar="ID")

    def happen(self, *, options: dict[str, Any], announcer: Announcer, now: datetime) -> dict[str, Any]:
        """Remove the link."""
        install = the_install(options["install"])
        link = links.remove(install_id=install.pk, link_id=options["link"], announcer=announcer, now=now)
        return {"link": link.pk, "job": link.job_id}
