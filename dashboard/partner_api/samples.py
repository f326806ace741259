"""Plausible sample events of the eight types, for `emit` without explicit data."""

import random
from dataclasses import dataclass
from typing import Any

from dashboard.partner_api.models import EventType

_RESOURCES = {
    "contract": "ctr",
    "project_link": "plk",
    "install": "ins",
    "milestone": "mls",
}
_TITLES = ("Image labelling, batch {n}", "Transcript review {n}", "Preference ranking {n}", "Bounding boxes {n}")
_ENDINGS = ("completed", "cancelled_by_employer", "expired")
_MIX = {
    EventType.CONTRACT_STARTED: 6,
    EventType.CONTRACT_ENDED: 5,
    EventType.MILESTONE_FUNDED: 4,
    EventType.MILESTONE_BUDGET_LOW: 2,
    EventType.MILESTONE_BUDGET_DEPLETED: 1,
    EventType.PROJECT_LINK_CREATED: 2,
    EventType.PROJECT_LINK_REMOVED: 1,
}
"""The relative frequency of each event type. install.revoked is left out: installs are not revoked at random."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The part of an event that depends on its type."""

    type: str
    resource_id: str
    job_id: str | None
    data: dict[str, Any]


def any_type(*, chance: random.Random) -> str:
    """Draw a random event type, common ones more often."""
    return str(chance.choices(list(_MIX), weights=list(_MIX.values()))[0])


def sample(*, event_type: str, resource_id: str | None, chance: random.Random) -> Sample:
    """Generate an event of a type, for `resource_id` or for a made-up resource of the right kind."""
    kind, _, happening = event_type.partition(".")
    resource = resource_id or _identifier(_RESOURCES[kind], chance)
    job_id = None if kind == "install" else _identifier("job", chance)
    return Sample(type=event_type, resource_id=resource, job_id=job_id, data=_data(kind, happening, chance))


def _data(kind: str, happening: str, chance: random.Random) -> dict[str, Any]:
    if kind == "contract":
        data = {
            "title": chance.choice(_TITLES).format(n=chance.randint(1, 40)),
            "participantId": _identifier("par", chance),
        }
        return data | ({"endedReason": chance.choice(_ENDINGS)} if happening == "ended" else {"currency": "USD"})
    if kind == "milestone":
        budget = chance.randrange(500, 5000, 50)
        left = {"funded": budget, "budget_low": budget // 10, "budget_depleted": 0}[happening]
        return {"currency": "USD", "budgetCents": budget * 100, "remainingCents": left * 100}
    if kind == "project_link":
        return {"projectId": _identifier("prj", chance), "externalUrl": "https://platform.example.com/projects/42"}
    return {"reason": "revoked_by_employer"}


def _identifier(prefix: str, chance: random.Random) -> str:
    return f"{prefix}_{chance.getrandbits(48):012x}"
