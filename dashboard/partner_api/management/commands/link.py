"""Link a project to a job of the install's employer, as the API's operation does."""

import argparse
from datetime import datetime
from typing import Any

from dashboard.partner_api import contracts, links
from dashboard.partner_api.announcements import Announcer
from dashboard.partner_api.management.happening import HappeningCommand, the_install


class Command(HappeningCommand):
    help = "Link a project to a job, and announce project_link.created. Prints the link's ID and the job's."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--install", required=True, metavar="ID")
        parser.add_argument("--project", required=True, metavar="ID", help="the partner's own ID of the project")
        parser.add_argument("--name", metavar="NAME", help="the project's name")
        job = parser.add_mutually_exclusive_group()
        job.add_argument("--job", metavar="ID", help="default: a link without a job")
        job.add_argument("--new-job", metavar="TITLE", help="create the job first")

    def happen(self, *, options: dict[str, Any], announcer: Announcer, now: datetime) -> dict[str, Any]:
        """Create the link."""
        install = the_install(options["install"])
        job_id = options["job"]
        if options["new_job"]:
            job_id = contracts.post_job(install=install, title=options["new_job"], now=now).pk
        new = links.NewLink(
            external_project_id=options["project"], external_project_name=options["name"], job_id=job_id
        )
        link = links.create(install_id=install.pk, new=new, announcer=announcer, now=now)
        return {"link": link.pk, "job": link.job_id}
