"""link creates a project link, with a job of its own if that is wanted."""

import pytest
from django.core.management import CommandError

from dashboard.partner_api.models import Job, ProjectLink
from tests.partner_api.conftest import Partner, make_job
from tests.partner_api.test_tasks import command


def test_link_creates_a_link_to_a_new_job(partner: Partner) -> None:
    [line] = command(
        "link", "--install", partner.install_id, "--project", "42", "--name", "Signs", "--new-job", "Traffic"
    )
    link, job = ProjectLink.objects.get(), Job.objects.get()
    assert (line["link"], line["job"], [event["type"] for event in line["events"]]) == (
        link.pk,
        job.pk,
        ["project_link.created"],
    )
    assert (link.job, link.external_project_id, link.external_project_name) == (job, "42", "Signs")
    assert (job.title, job.organization_id) == ("Traffic", "org_acme-labs")


def test_link_needs_no_job_and_refuses_a_job_of_another_employer(partner: Partner, outsider: Partner) -> None:
    [line] = command("link", "--install", partner.install_id, "--project", "42")
    assert line["job"] is None
    with pytest.raises(CommandError, match="has no such job"):
        command("link", "--install", partner.install_id, "--project", "43", "--job", make_job(outsider).pk)
