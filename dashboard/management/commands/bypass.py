"""Take Redeliver out of the path of endpoints, without the console."""

import time
import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError
from django.utils import timezone

from dashboard.actions import routing
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.models import Endpoint
from dashboard.models.endpoints import EndpointQuerySet

NEEDS = (
    "This command needs the database and OpenTrain: it reads each install's token, and has OpenTrain deliver to the "
    "handler. While the database is away, the receivers pass every delivery on to its handler anyway."
)
TRIES = 5
"""How often an endpoint is requested while OpenTrain limits the rate."""
LONGEST_WAIT_S = 120


class Command(BaseCommand):
    help = (
        "Have OpenTrain deliver endpoints to their handlers instead of Redeliver's receiver. Their logs stay. Run it "
        f"again to continue: what is done is skipped. {NEEDS}"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--all", action="store_true", help="Every endpoint behind the receiver.")
        which.add_argument("--install", metavar="ID", help="Those of one install, by its OpenTrain ID.")
        which.add_argument("--endpoint", metavar="ID", help="One, by its OpenTrain ID.")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            self._bypass(options)
        except OperationalError as error:
            raise CommandError(f"The database cannot be reached. {NEEDS}") from error

    def _bypass(self, options: dict[str, Any]) -> None:
        ids = list(_chosen(options).values_list("pk", flat=True))
        done, left, behind = 0, 0, 0
        for pk in ids:
            endpoint = Endpoint.objects.select_related("install").defer("secret", "install__token").get(pk=pk)
            if not endpoint.is_received:
                continue
            behind += 1
            outcome = self._ask(endpoint)
            done, left = (done + 1, left) if outcome.ok else (done, left + 1)
            self.stdout.write(f"{endpoint.title}: {outcome.words}")
        if not ids:
            which = " of this install" if options["install"] else " with this ID" if options["endpoint"] else ""
            raise CommandError(f"No registered endpoint{which} has an address of Redeliver's receiver.")
        self.stdout.write(f"Taken out of the path: {done} of {behind} behind the receiver.")
        if left:
            raise CommandError(f"Not taken out, or not known: {left}. Run the same command again to continue.")

    def _ask(self, endpoint: Endpoint) -> Outcome:
        """Request it, and again as long as OpenTrain takes none because it limits the rate."""
        for tries_left in reversed(range(TRIES)):
            outcome = routing.bypass(actor=None, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
            wait_s = outcome.slow_down_s
            if outcome.kind is not OutcomeKind.UNAVAILABLE or wait_s is None or not tries_left:
                break
            wait_s = min(wait_s, LONGEST_WAIT_S)
            self.stdout.write(f"OpenTrain limits the rate. Continuing in {wait_s} s.")
            time.sleep(wait_s)
        return outcome


def _chosen(options: dict[str, Any]) -> EndpointQuerySet:
    """Return the endpoints that the options name, oldest first."""
    rows = Endpoint.objects.registered().filter(receiver_key__isnull=False).order_by("pk")
    if options["install"] is not None:
        return rows.filter(install__opentrain_id=options["install"])
    return rows if options["endpoint"] is None else rows.filter(opentrain_id=options["endpoint"])
