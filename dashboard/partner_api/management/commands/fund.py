"""Fund the next milestone of a contract."""

import argparse
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from dashboard.partner_api import contracts
from dashboard.partner_api.announcements import Announcer
from dashboard.partner_api.management.happening import HappeningCommand

_MOST = 10**9


def amount(text: str) -> Decimal:
    """Parse an amount with at most two decimals. Raises: argparse.ArgumentTypeError."""
    try:
        value = Decimal(text)
        usable = 0 < value <= _MOST and value == value.quantize(Decimal("0.01"))
    except InvalidOperation:
        usable = False
    if not usable:
        raise argparse.ArgumentTypeError("it must be more than 0, with at most two decimals.")
    return value


class Command(HappeningCommand):
    help = "Fund a milestone, which completes the one before it, and announce milestone.funded. Prints its ID."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--contract", required=True, metavar="ID")
        parser.add_argument("--amount", type=amount, required=True, metavar="USD")
        parser.add_argument("--volume", type=amount, metavar="N", help="hours or labels; none for a fixed price")
        parser.add_argument("--name", default="Milestone", metavar="NAME")

    def happen(self, *, options: dict[str, Any], announcer: Announcer, now: datetime) -> dict[str, Any]:
        """Fund the milestone."""
        milestone = contracts.fund(
            contract_id=options["contract"],
            name=options["name"],
            amount_usd=options["amount"],
            volume=options["volume"],
            announcer=announcer,
            now=now,
        )
        return {"contract": options["contract"], "milestone": milestone.pk}
