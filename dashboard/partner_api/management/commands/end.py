"""End a contract."""

import argparse
from datetime import datetime
from typing import Any

from dashboard.partner_api import contracts
from dashboard.partner_api.announcements import Announcer
from dashboard.partner_api.management.happening import HappeningCommand


class Command(HappeningCommand):
    help = "End a contract, and announce contract.ended to each link to its job."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--contract", required=True, metavar="ID")

    def happen(self, *, options: dict[str, Any], announcer: Announcer, now: datetime) -> dict[str, Any]:
        """End the contract."""
        contract = contracts.end(contract_id=options["contract"], announcer=announcer, now=now)
        return {"contract": contract.pk, "job": contract.job_id}
