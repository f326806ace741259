"""Hire an AI trainer: a contract starts."""

import argparse
import random
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError

from dashboard.partner_api import contracts, samples
from dashboard.partner_api.announcements import Announcer
from dashboard.partner_api.management.happening import HappeningCommand, the_install, the_job
from dashboard.partner_api.models import Contract, Job


class Command(HappeningCommand):
    help = "Start a contract, and announce contract.started to each link to its job. Prints the contract's ID."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        job = parser.add_mutually_exclusive_group(required=True)
        job.add_argument("--job", metavar="ID")
        job.add_argument("--new-job", metavar="TITLE", help="create a job first, which no link refers to")
        parser.add_argument("--install", metavar="ID", help="with --new-job: an install of its employer")
        parser.add_argument("--title", metavar="TITLE", help="default: the job's")
        parser.add_argument("--payment-type", choices=Contract.PaymentType.values, default="PAY_PER_HOUR")
        parser.add_argument("--trainers", type=int, default=1, metavar="N", help="how many are hired; default: 1")

    def happen(self, *, options: dict[str, Any], announcer: Announcer, now: datetime) -> dict[str, Any]:
        """Start the contract."""
        job = _job(options, now=now)
        chance = random.Random()  # noqa: S311 - made-up names
        contract = contracts.hire(
            job=job,
            title=options["title"] or job.title,
            payment_type=options["payment_type"],
            trainers=[samples.trainer(chance=chance) for _ in range(options["trainers"])],
            announcer=announcer,
            now=now,
        )
        return {"contract": contract.pk, "job": job.pk}


def _job(options: dict[str, Any], *, now: datetime) -> Job:
    if options["job"]:
        return the_job(options["job"])
    if not options["install"]:
        raise CommandError("--new-job needs --install, which says whose job it is.")
    return contracts.post_job(install=the_install(options["install"]), title=options["new_job"], now=now)
