"""The events that changes of links, contracts, budgets and installs announce, with the contract's payloads.

Emission is best-effort, as at OpenTrain: it happens after the change is committed, its failure does not undo the
change, and what is not emitted is never made up for. `lose` loses events on purpose.

Where the contract says nothing:
- Each install with a link to a contract's job gets one event of a budget, whatever the number of its links.
- `install.revoked` carries the install's ID.
"""

import logging
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import DatabaseError

from dashboard.partner_api import events, schemas
from dashboard.partner_api.budgets import State
from dashboard.partner_api.events import Emitted
from dashboard.partner_api.models import Contract, EventType, Install, Participant, ProjectLink, wire_time

logger = logging.getLogger(__name__)

THRESHOLDS = {State.LOW: EventType.MILESTONE_BUDGET_LOW, State.DEPLETED: EventType.MILESTONE_BUDGET_DEPLETED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """An event that may be emitted."""

    install_id: str
    type: str
    resource_id: str
    job_id: str | None
    data: dict[str, Any] = field(repr=False)


class Announcer:
    """Emits announcements, and remembers which were emitted and which were lost.

    Each is lost with the probability `lose`.
    """

    def __init__(self, *, lose: float = 0.0, chance: random.Random | None = None) -> None:
        self.emitted: list[Emitted] = []
        self.lost: list[str] = []
        self._lose = lose
        self._chance = chance or random.Random()  # noqa: S311 - no secret

    def announce(self, announcements: Iterable[Announcement], *, now: datetime) -> None:
        """Emit each announcement of an ACTIVE install. A failure of the database is logged, and costs only events."""
        try:
            for each in announcements:
                if self._chance.random() < self._lose:
                    self.lost.append(each.type)
                else:
                    self._emit(each, now=now)
        except DatabaseError:  # while it was read whom to tell
            logger.exception("Events are lost: it cannot be read who gets them")

    def _emit(self, announcement: Announcement, *, now: datetime) -> None:
        try:
            self.emitted.append(
                events.emit(
                    install_id=announcement.install_id,
                    event_type=announcement.type,
                    resource_id=announcement.resource_id,
                    job_id=announcement.job_id,
                    data=announcement.data,
                    now=now,
                )
            )
        except events.NotEmitted as why:
            logger.info("%s was not emitted: %s", announcement.type, why)
        except DatabaseError:
            logger.exception("%s of %s is lost", announcement.type, announcement.resource_id)
            self.lost.append(announcement.type)


def of_link(event_type: str, link: ProjectLink) -> list[Announcement]:
    """Return the event that a link was created or removed, with the link as it is or was."""
    return [
        Announcement(
            install_id=link.install_id,
            type=event_type,
            resource_id=link.pk,
            job_id=link.job_id,
            data=link_data(link),
        )
    ]


def of_contract(event_type: str, contract: Contract) -> Iterator[Announcement]:
    """Yield the events that a contract has started or ended: one for each link to its job, of any install."""
    hired = contract.participant_set.order_by("id").first()
    for link in _links_to(contract):
        yield Announcement(
            install_id=link.install_id,
            type=event_type,
            resource_id=contract.pk,
            job_id=contract.job_id,
            data=contract_data(contract, hired=hired, link=link, with_email=link.install.shows_email),
        )


def of_budget(event_type: str, contract: Contract, *, budget: schemas.BudgetOut) -> Iterator[Announcement]:
    """Yield the events of a contract's budget: one for each install that has a link to its job."""
    active = budget.active_milestone
    for install_id in dict.fromkeys(link.install_id for link in _links_to(contract)):
        yield Announcement(
            install_id=install_id,
            type=event_type,
            resource_id=active.id if active else contract.pk,
            job_id=contract.job_id,
            data=budget_data(budget),
        )


def of_revocation(install: Install) -> list[Announcement]:
    """Return the event that the customer disconnects or reconnects. Emit it while the install is still ACTIVE."""
    data = revocation_data(install.pk)
    return [
        Announcement(
            install_id=install.pk, type=EventType.INSTALL_REVOKED, resource_id=install.pk, job_id=None, data=data
        )
    ]


def link_data(link: ProjectLink) -> dict[str, Any]:
    return {"projectLink": schemas.as_json(schemas.ProjectLinkOut.of(link))}


def contract_data(
    contract: Contract, *, hired: Participant | None, link: ProjectLink, with_email: bool
) -> dict[str, Any]:
    told = {
        "id": contract.pk,
        "status": contract.status,
        "title": contract.title,
        "startDate": wire_time(contract.start_date),
        "endDate": None if contract.end_date is None else wire_time(contract.end_date),
    }
    freelancer = None
    if hired is not None:
        freelancer = schemas.as_json(schemas.ParticipantOut.of(hired, with_email=with_email))
    return {"contract": told, "freelancer": freelancer, **link_data(link)}


def budget_data(budget: schemas.BudgetOut) -> dict[str, Any]:
    told = schemas.as_json(budget)
    return {"milestone": told["activeMilestone"], "budget": told}


def revocation_data(install_id: str) -> dict[str, Any]:
    return {"install": {"id": install_id}}


def _links_to(contract: Contract) -> Sequence[ProjectLink]:
    found = ProjectLink.objects.filter(job_id=contract.job_id).select_related("install")
    return list(found.order_by("created_at", "id"))
