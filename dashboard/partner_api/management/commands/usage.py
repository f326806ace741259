"""Report a day's work on a contract, as the API's operation does."""

import argparse
from datetime import date, datetime
from typing import Any

from dashboard.partner_api import contracts, schemas
from dashboard.partner_api.announcements import Announcer
from dashboard.partner_api.contracts import Entry
from dashboard.partner_api.management.happening import HappeningCommand
from dashboard.partner_api.models import Usage


def at_most(most: int) -> Any:
    """Return a parser of whole numbers from 0 to `most`. It raises argparse.ArgumentTypeError."""

    def count(text: str) -> int:
        if not text.isdecimal() or not 0 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"it must be a whole number from 0 to {most}.")
        return int(text)

    return count


class Command(HappeningCommand):
    help = (
        "Report a worker's totals of a day, and announce the thresholds of the budget that they cross. "
        "Prints the budget's state."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--contract", required=True, metavar="ID")
        parser.add_argument("--day", type=date.fromisoformat, metavar="YYYY-MM-DD", help="default: today, in UTC")
        parser.add_argument("--worker", metavar="ID", help="default: the hired AI trainer")
        parser.add_argument("--seconds", type=at_most(schemas.DAY_S), metavar="N")
        parser.add_argument("--tasks", type=at_most(Usage.MOST), metavar="N")
        parser.add_argument("--labels", type=at_most(Usage.MOST), metavar="N")

    def happen(self, *, options: dict[str, Any], announcer: Announcer, now: datetime) -> dict[str, Any]:
        """Store the totals."""
        entry = Entry(
            work_date=options["day"] or now.date(),
            worker_id=options["worker"],
            total_seconds=options["seconds"],
            tasks_completed=options["tasks"],
            labels_completed=options["labels"],
        )
        budget = contracts.report(contract_id=options["contract"], entries=[entry], announcer=announcer, now=now)
        return {"contract": options["contract"], "state": budget.state}
