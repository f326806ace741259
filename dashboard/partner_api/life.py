"""What happens to an install day by day, for the demo: projects are linked, people are hired, funded, work and leave.

Each step changes one thing, so that a steady pace of steps is a steady pace of events of every type. The numbers of
links and of active contracts stay within limits; the number of ended contracts grows.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from dashboard.partner_api import budgets, contracts, links, samples, schemas
from dashboard.partner_api.announcements import Announcer
from dashboard.partner_api.contracts import Entry
from dashboard.partner_api.links import NewLink
from dashboard.partner_api.models import Contract, Install, ProjectLink

FEWEST_LINKS, MOST_LINKS = 2, 5
FEWEST_ACTIVE, MOST_ACTIVE = 3, 12
WEEK_HOURS, WEEK_USD = Decimal(20), Decimal(280)
_TARGETS = {budgets.State.OK: Decimal("0.85"), budgets.State.LOW: Decimal(1)}
"""The fraction of the budget that the next report reaches, by the state of before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """An install at one moment, and what a step needs."""

    install: Install
    links: list[ProjectLink]
    active: list[Contract]
    chance: random.Random
    announcer: Announcer
    now: datetime


def step(*, install: Install, chance: random.Random, announcer: Announcer, now: datetime) -> str:
    """Change one thing, and announce it. Return what was done: link, unlink, hire, end, fund or usage."""
    known = links.newest_first(install_id=install.pk)
    jobs = [link.job_id for link in known]
    active = list(Contract.objects.filter(job_id__in=jobs, end_date=None).order_by("created_at", "id"))
    scene = _Scene(install=install, links=known, active=active, chance=chance, announcer=announcer, now=now)
    possible = _possible(scene)
    done = chance.choices(list(possible), weights=list(possible.values()))[0]
    _STEPS[done](scene)
    return done


def _possible(scene: _Scene) -> dict[str, int]:
    """Return what may be done next, with weights."""
    if len(scene.links) < FEWEST_LINKS:
        return {"link": 1}
    if len(scene.active) < FEWEST_ACTIVE:
        return {"hire": 1}
    possible = {"end": 5, "fund": 4, "usage": 3}
    if len(scene.active) < MOST_ACTIVE:
        possible["hire"] = 6
    if len(scene.links) < MOST_LINKS:
        possible["link"] = 2
    if len(scene.links) > FEWEST_LINKS and _idle(scene):
        possible["unlink"] = 1
    return possible


def _idle(scene: _Scene) -> list[ProjectLink]:
    """Return the links to jobs without an active contract: nobody loses a link while they work."""
    busy = {contract.job_id for contract in scene.active}
    return [link for link in scene.links if link.job_id not in busy]


def _link(scene: _Scene) -> None:
    title = samples.title(chance=scene.chance)
    job = contracts.post_job(install=scene.install, title=title, now=scene.now)
    project = f"{scene.chance.getrandbits(32):08x}"
    new = NewLink(
        external_project_id=project,
        external_project_name=title,
        external_project_url=f"https://platform.example.com/projects/{project}",
        job_id=job.pk,
    )
    links.create(install_id=scene.install.pk, new=new, announcer=scene.announcer, now=scene.now)


def _unlink(scene: _Scene) -> None:
    link = scene.chance.choice(_idle(scene))
    links.remove(install_id=scene.install.pk, link_id=link.pk, announcer=scene.announcer, now=scene.now)


def _hire(scene: _Scene) -> None:
    link = scene.chance.choice([link for link in scene.links if link.job is not None])
    assert link.job is not None  # noqa: S101 - chosen so
    contracts.hire(
        job=link.job,
        title=link.job.title,
        payment_type=Contract.PaymentType.PAY_PER_HOUR,
        trainers=[samples.trainer(chance=scene.chance)],
        announcer=scene.announcer,
        now=scene.now,
    )


def _end(scene: _Scene) -> None:
    contract = scene.chance.choice(scene.active)
    contracts.end(contract_id=contract.pk, announcer=scene.announcer, now=scene.now)


def _fund(scene: _Scene) -> None:
    _fund_next(scene.chance.choice(scene.active), scene)


def _fund_next(contract: Contract, scene: _Scene) -> None:
    contracts.fund(
        contract_id=contract.pk,
        name=f"Week {contract.milestone_set.count() + 1}",
        amount_usd=WEEK_USD,
        volume=WEEK_HOURS,
        announcer=scene.announcer,
        now=scene.now,
    )


def _use(scene: _Scene) -> None:
    """Report enough work to reach the next threshold; where nothing is left to work for, fund the next week."""
    contract = scene.chance.choice(scene.active)
    budget = contracts.budget_of(contract)
    target = _TARGETS.get(budgets.State(budget.state))
    if not budget.funded_volume or target is None:
        _fund_next(contract, scene)
        return
    hours = budget.funded_volume * target - budget.consumed_volume
    day = scene.now.date() - timedelta(days=contract.usage_set.count())
    entry = Entry(work_date=day, total_seconds=min(int(hours * 3600) + 1, schemas.DAY_S))
    contracts.report(contract_id=contract.pk, entries=[entry], announcer=scene.announcer, now=scene.now)


_STEPS: dict[str, Callable[[_Scene], None]] = {
    "link": _link,
    "unlink": _unlink,
    "hire": _hire,
    "end": _end,
    "fund": _fund,
    "usage": _use,
}
