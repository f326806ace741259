"""Plausible sample events of the eight types, for `emit`, with the contract's payloads.

Nothing happens behind them: the API knows nothing of the links, contracts and milestones that they name.
"""

import random
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from dashboard.partner_api import announcements, budgets, schemas
from dashboard.partner_api.contracts import Trainer
from dashboard.partner_api.models import Contract, EventType, Milestone, Participant, ProjectLink

_RESOURCES = {
    "contract": "ctr",
    "project_link": "plk",
    "milestone": "mls",
}
_TITLES = ("Image labelling, batch {n}", "Transcript review {n}", "Preference ranking {n}", "Bounding boxes {n}")
_PEOPLE = (("Maria G.", "Spain"), ("Jonas K.", "Germany"), ("Amara O.", "Nigeria"), ("Linh T.", "Vietnam"))
_HOURS, _AMOUNT_USD = Decimal(20), Decimal(280)
_CONSUMED = {"funded": Decimal(0), "budget_low": Decimal("0.85"), "budget_depleted": Decimal(1)}
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


def title(*, chance: random.Random) -> str:
    """Make up the title of a job."""
    return chance.choice(_TITLES).format(n=chance.randint(1, 40))


def trainer(*, chance: random.Random) -> Trainer:
    """Make up an AI trainer. No two have the same ID."""
    (name, country), key = chance.choice(_PEOPLE), f"{chance.getrandbits(48):012x}"
    slug = name.lower().replace(" ", "-").rstrip(".")
    return Trainer(
        opentrain_user_id=f"usr_{key}",
        display_name=name,
        country=country,
        profile_url=f"https://app.opentrain.ai/profile/{slug}-{key[:4]}",
        work_email=f"{slug}.{key[:4]}@opentrain.work",
    )


def sample(
    *, event_type: str, install_id: str, resource_id: str | None, chance: random.Random, now: datetime
) -> Sample:
    """Generate an event of a type, for `resource_id` or for a made-up resource of the right kind."""
    kind, _, happening = event_type.partition(".")
    if kind == "install":
        resource = resource_id or install_id
        return Sample(type=event_type, resource_id=resource, job_id=None, data=announcements.revocation_data(resource))
    resource, job_id = resource_id or _identifier(_RESOURCES[kind], chance), _identifier("job", chance)
    name = title(chance=chance)
    link = ProjectLink(
        id=resource if kind == "project_link" else _identifier("plk", chance),
        job_id=job_id,
        external_project_id=str(chance.randint(1, 400)),
        external_project_name=name,
        external_project_url="https://platform.example.com/projects/42",
        created_at=now - timedelta(days=30),
    )
    contract = Contract(
        id=resource if kind == "contract" else _identifier("ctr", chance),
        job_id=job_id,
        title=name,
        payment_type=Contract.PaymentType.PAY_PER_HOUR,
        start_date=now - timedelta(days=9) if happening != "started" else now,
        end_date=now if happening == "ended" else None,
    )
    if kind == "project_link":
        data = announcements.link_data(link)
    elif kind == "contract":
        hired = Participant(**asdict(trainer(chance=chance)))
        data = announcements.contract_data(contract, hired=hired, link=link, with_email=False)
    else:
        data = announcements.budget_data(_budget(contract, milestone_id=resource, happening=happening, now=now))
    return Sample(type=event_type, resource_id=resource, job_id=job_id, data=data)


def _budget(contract: Contract, *, milestone_id: str, happening: str, now: datetime) -> schemas.BudgetOut:
    active = Milestone(
        id=milestone_id, name="Week 1", amount_usd=_AMOUNT_USD, volume=_HOURS, status=Milestone.Status.ACTIVE_FUNDED
    )
    budget = budgets.compute(
        payment_type=contract.payment_type,
        funded=[budgets.Funded(amount_usd=_AMOUNT_USD, volume=_HOURS)],
        consumed=budgets.Consumed(seconds=int(_CONSUMED[happening] * _HOURS * 3600)),
    )
    last = now if budget.consumed.seconds else None
    return schemas.BudgetOut.of(contract, budget=budget, active=active, last_usage_at=last)


def _identifier(prefix: str, chance: random.Random) -> str:
    return f"{prefix}_{chance.getrandbits(128):032x}"
