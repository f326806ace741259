"""Project links: which of a partner's projects belongs to which job of the install's employer.

Source: partner-api, "Links, contracts and budgets".
"""

import re
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from dashboard.partner_api import announcements
from dashboard.partner_api.announcements import Announcer
from dashboard.partner_api.errors import Conflict, NotFound
from dashboard.partner_api.models import EventType, Install, Job, ProjectLink

MOST = 500
"""Maximum number of an install's links. The contract has such a limit, and does not say which."""
_LINK_ID = re.compile(r"plk_[0-9a-f]{32}")
_JOB_ID = re.compile(r"job_[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLink:
    """What a link is made of. None means that it was not sent."""

    external_project_id: str
    external_project_name: str | None = None
    external_project_url: str | None = None
    job_id: str | None = None
    provisioning_mode: str = ProjectLink.ProvisioningMode.PARTNER_WEBHOOK


def create(*, install_id: str, new: NewLink, announcer: Announcer, now: datetime) -> ProjectLink:
    """Create a link, and announce it.

    Raises: NotFound if the employer has no such job; Conflict if the project is linked, or the limit is reached.
    """
    link = _create(install_id=install_id, new=new, now=now)
    announcer.announce(announcements.of_link(EventType.PROJECT_LINK_CREATED, link), now=now)
    return link


def newest_first(*, install_id: str) -> list[ProjectLink]:
    return list(ProjectLink.objects.filter(install_id=install_id).order_by("-created_at", "-id"))


def get(*, install_id: str, link_id: str) -> ProjectLink:
    """Return a link of the install.

    Raises: NotFound if the ID does not exist or belongs to another install.
    """
    return _find(ProjectLink.objects.all(), install_id=install_id, link_id=link_id)


def remove(*, install_id: str, link_id: str, announcer: Announcer, now: datetime) -> ProjectLink:
    """Delete a link, and announce it. Returns the link in its last state.

    Raises: NotFound.
    """
    with transaction.atomic():
        link = _find(ProjectLink.objects.select_for_update(), install_id=install_id, link_id=link_id)
        ProjectLink.objects.filter(pk=link.pk).delete()
    announcer.announce(announcements.of_link(EventType.PROJECT_LINK_REMOVED, link), now=now)
    return link


@transaction.atomic
def _create(*, install_id: str, new: NewLink, now: datetime) -> ProjectLink:
    # The install's row is locked, so that two requests at once exceed no limit and create no project twice.
    install = Install.objects.select_for_update(no_key=True).get(pk=install_id)
    if new.job_id is not None:
        _check_job(new.job_id, install=install)
    links = ProjectLink.objects.filter(install=install)
    if links.filter(external_project_id=new.external_project_id).exists():
        raise Conflict(
            "This install has a link with this externalProjectId. Delete that link first, or link another project.",
            details={"fields": {"externalProjectId": "is linked"}},
        )
    if links.count() >= MOST:
        raise Conflict(f"This install has {MOST} links, which is the limit. Delete one first.", details={"limit": MOST})
    return ProjectLink.objects.create(
        install=install,
        job_id=new.job_id,
        external_project_id=new.external_project_id,
        external_project_name=new.external_project_name,
        external_project_url=new.external_project_url,
        provisioning_mode=new.provisioning_mode,
        created_at=now,
    )


def _check_job(job_id: str, *, install: Install) -> None:
    known = _JOB_ID.fullmatch(job_id) is not None
    if not known or not Job.objects.filter(pk=job_id, organization_id=install.organization_id).exists():
        raise NotFound("This install's employer has no such job.", details={"fields": {"jobId": "unknown"}})


def _find(rows: QuerySet[ProjectLink], *, install_id: str, link_id: str) -> ProjectLink:
    found = None
    if _LINK_ID.fullmatch(link_id):  # malformed IDs (with a NUL byte, for example) never reach PostgreSQL
        found = rows.filter(pk=link_id, install_id=install_id).first()
    if found is None:
        raise NotFound("There is no such project link on this install.")
    return found
