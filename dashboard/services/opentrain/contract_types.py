"""OpenTrain's project links, contracts and budgets as types, and their parsers.

They are read leniently: the public pages do not show all of their fields, so a field that is missing or null is None.
Only what identifies a thing must be there. Unknown statuses are kept as text.

Source: partner-api, "Links, contracts and budgets".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from dashboard.rules.installs import UnreadEntry
from dashboard.services.opentrain import types
from dashboard.services.opentrain.types import Fields, Malformed

PROJECT_ID_CHARS, PROJECT_NAME_CHARS = 200, 300
"""OpenTrain refuses longer ones in a new link. Source: partner-api, "Links, contracts and budgets"."""
TITLE_CHARS = 300


@dataclass(frozen=True, slots=True)
class ProjectLink:
    """A project of the partner's that is mapped to a job. Without a job it brings no events of contracts."""

    id: str
    job_id: str | None
    external_project_id: str | None
    external_project_name: str | None
    external_project_url: str | None
    provisioning_mode: str | None
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract on a linked job. `status` is active, ended, or a future status of OpenTrain's."""

    id: str
    status: str | None
    job_id: str | None
    title: str | None
    start_date: datetime | None
    end_date: datetime | None
    created_at: datetime | None
    project_link_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Participant:
    """An AI trainer who was hired. Names and addresses are personal data: they are not in the repr."""

    opentrain_user_id: str
    display_name: str | None = field(repr=False)
    country: str | None = field(repr=False)
    profile_url: str | None = field(repr=False)
    work_email: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Milestone:
    """A funded part of a contract. `volume` is in hours or labels."""

    id: str
    name: str | None
    amount_usd: float | None
    volume: float | None
    status: str | None


@dataclass(frozen=True, slots=True)
class Budget:
    """What is funded and what is consumed. Volumes are in hours or labels, as the contract is paid."""

    contract_id: str
    payment_type: str | None
    state: str | None
    funded_volume: float | None
    funded_amount_usd: float | None
    consumed_volume: float | None
    remaining_volume: float | None
    consumed_fraction: float | None
    active_milestone: Milestone | None
    last_usage_at: datetime | None


def project_links(answer: Mapping[str, Any]) -> tuple[ProjectLink | UnreadEntry, ...]:
    """Parse a list of project links, and after them the entries that cannot be read. Raises: Malformed."""
    return types.entries(answer, "projectLinks", _link)


def contracts(answer: Mapping[str, Any]) -> tuple[Contract | UnreadEntry, ...]:
    """Parse a list of contracts, and after them the entries that cannot be read or are doubled. Raises: Malformed.

    Every entry is in the result, because the number of entries tells whether the list is full.
    """
    return types.entries(answer, "contracts", _contract, names_doubles=True)


def participants(contract_id: str) -> Callable[[Mapping[str, Any]], tuple[Participant, ...]]:
    """Return the parser of a contract's participants. It raises Malformed, also for another contract's."""

    def read(answer: Mapping[str, Any]) -> tuple[Participant, ...]:
        fields = _of(contract_id, answer)
        found = []
        for item in fields.entries("participants"):
            if not isinstance(item, dict):
                raise Malformed("its field participants has an entry that is not an object")
            found.append(_participant(Fields(item, "participants.")))
        return tuple(found)

    return read


def budget(contract_id: str) -> Callable[[Mapping[str, Any]], Budget]:
    """Return the parser of a contract's budget. It raises Malformed, also for another contract's."""

    def read(answer: Mapping[str, Any]) -> Budget:
        fields = _of(contract_id, answer)
        return Budget(
            contract_id=contract_id,
            payment_type=fields.maybe("paymentType", _status(fields)),
            state=fields.maybe("state", _status(fields)),
            funded_volume=fields.maybe("fundedVolume", fields.number),
            funded_amount_usd=fields.maybe("fundedAmountUsd", fields.number),
            consumed_volume=fields.maybe("consumedVolume", fields.number),
            remaining_volume=fields.maybe("remainingVolume", fields.number),
            consumed_fraction=fields.maybe("consumedFraction", fields.number),
            active_milestone=fields.maybe("activeMilestone", lambda name: _milestone(fields.object(name))),
            last_usage_at=fields.maybe("lastUsageAt", fields.time),
        )

    return read


def _of(contract_id: str, answer: Mapping[str, Any]) -> Fields:
    fields = Fields(answer)
    if fields.id("contractId") != contract_id:
        raise Malformed("it is about another contract")
    return fields


def _link(fields: Fields) -> ProjectLink:
    return ProjectLink(
        id=fields.id("id"),
        job_id=fields.maybe("jobId", fields.id),
        external_project_id=fields.maybe("externalProjectId", _text(fields, most=PROJECT_ID_CHARS)),
        external_project_name=fields.maybe("externalProjectName", _text(fields, most=PROJECT_NAME_CHARS)),
        external_project_url=fields.maybe("externalProjectUrl", fields.url),
        provisioning_mode=fields.maybe("provisioningMode", _status(fields)),
        created_at=fields.maybe("createdAt", fields.time),
    )


def _contract(fields: Fields) -> Contract:
    return Contract(
        id=fields.id("id"),
        status=fields.maybe("status", _status(fields)),
        job_id=fields.maybe("jobId", fields.id),
        title=fields.maybe("title", _text(fields, most=TITLE_CHARS)),
        start_date=fields.maybe("startDate", fields.time),
        end_date=fields.maybe("endDate", fields.time),
        created_at=fields.maybe("createdAt", fields.time),
        project_link_ids=fields.maybe("projectLinkIds", partial(fields.texts, most=types.ID_CHARS)) or (),
    )


def _participant(fields: Fields) -> Participant:
    return Participant(
        opentrain_user_id=fields.id("opentrainUserId"),
        display_name=fields.maybe("displayName", fields.text),
        country=fields.maybe("country", fields.text),
        profile_url=fields.maybe("profileUrl", fields.url),
        work_email=fields.maybe("workEmail", fields.text),
    )


def _milestone(fields: Fields) -> Milestone:
    return Milestone(
        id=fields.id("id"),
        name=fields.maybe("name", fields.text),
        amount_usd=fields.maybe("amountUsd", fields.number),
        volume=fields.maybe("volume", fields.number),
        status=fields.maybe("status", _status(fields)),
    )


def _status(fields: Fields) -> Callable[[str], str]:
    return _text(fields, most=types.STATUS_CHARS)


def _text(fields: Fields, *, most: int) -> Callable[[str], str]:
    return partial(fields.text, most=most)
