"""Contracts on linked jobs: hires and their ends, participants, funding and usage.

An install sees a contract while one of its links refers to the contract's job.

Source: partner-api, "Links, contracts and budgets". Where that says nothing:
- Usage of a contract that has ended is taken: the last reports come late.
- Of two entries for one worker and day in a report the last one counts.
- A contract that has ended cannot be funded, and ends once.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Max, QuerySet, Sum

from dashboard.partner_api import announcements, budgets, links, schemas
from dashboard.partner_api.announcements import THRESHOLDS, Announcer
from dashboard.partner_api.errors import BadRequest, Conflict, NotFound
from dashboard.partner_api.models import (
    Contract,
    EventType,
    Install,
    Job,
    Milestone,
    Participant,
    ProjectLink,
    Usage,
)

_CONTRACT_ID = re.compile(r"ctr_[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainer:
    """An AI trainer who is hired."""

    opentrain_user_id: str
    display_name: str
    country: str
    profile_url: str
    work_email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One worker's totals of one day. None keeps the stored value, or names the hired AI trainer."""

    work_date: date
    worker_id: str | None = None
    total_seconds: int | None = None
    tasks_completed: int | None = None
    labels_completed: int | None = None
    external_report_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A contract, and the IDs of the install's links to its job, oldest first."""

    contract: Contract
    link_ids: list[str]


def post_job(*, install: Install, title: str, now: datetime) -> Job:
    """Create a job of the install's employer."""
    return Job.objects.create(organization_id=install.organization_id, title=title, created_at=now)


def hire(
    *,
    job: Job,
    title: str,
    payment_type: str | None,
    trainers: Sequence[Trainer],
    announcer: Announcer,
    now: datetime,
) -> Contract:
    """Start a contract, and announce it to every link to its job."""
    with transaction.atomic():
        contract = Contract.objects.create(
            job=job, title=title, payment_type=payment_type, start_date=now, created_at=now
        )
        for trainer in trainers:
            Participant.objects.create(contract=contract, **asdict(trainer))
    announcer.announce(announcements.of_contract(EventType.CONTRACT_STARTED, contract), now=now)
    return contract


def end(*, contract_id: str, announcer: Announcer, now: datetime) -> Contract:
    """End a contract, and announce it to every link to its job.

    Raises: NotFound; Conflict if it has ended.
    """
    with transaction.atomic():
        contract = _lock(contract_id)
        _check_active(contract)
        contract.end_date = now
        contract.save(update_fields=["end_date"])
    announcer.announce(announcements.of_contract(EventType.CONTRACT_ENDED, contract), now=now)
    return contract


def fund(
    *,
    contract_id: str,
    name: str,
    amount_usd: Decimal,
    volume: Decimal | None,
    announcer: Announcer,
    now: datetime,
) -> Milestone:
    """Fund a new milestone, which completes the one before it, and announce it.

    Raises: NotFound; Conflict if the contract has ended.
    """
    with transaction.atomic():
        contract = _lock(contract_id)
        _check_active(contract)
        contract.milestone_set.filter(status=Milestone.Status.ACTIVE_FUNDED).update(status=Milestone.Status.COMPLETED)
        milestone = Milestone.objects.create(
            contract=contract, name=name, amount_usd=amount_usd, volume=volume, created_at=now
        )
        budget = budget_of(contract)
    announcer.announce(announcements.of_budget(EventType.MILESTONE_FUNDED, contract, budget=budget), now=now)
    return milestone


def report(
    *, contract_id: str, entries: Sequence[Entry], announcer: Announcer, now: datetime, install_id: str | None = None
) -> schemas.BudgetOut:
    """Store totals of work, and announce the thresholds of the budget that they cross upward. Returns the budget.

    With `install_id`, only a contract that this install may see is found.

    Raises: NotFound; Conflict if nobody was hired; BadRequest if an entry is of someone else.
    """
    with transaction.atomic():
        contract = _lock(contract_id, install_id=install_id)
        before = budget_of(contract)
        _store(contract, entries=entries, now=now)
        after = budget_of(contract)
    crossed = budgets.crossed(before=budgets.State(before.state), after=budgets.State(after.state))
    for threshold in crossed:
        announcer.announce(announcements.of_budget(THRESHOLDS[threshold], contract, budget=after), now=now)
    return after


def newest_first(*, install_id: str, link_id: str | None, status: str | None, limit: int) -> list[Listed]:
    """Return at most `limit` contracts that the install may see, newest first: on one link's job, or on all of them.

    Raises: NotFound if the install has no such link.
    """
    chosen = links.newest_first(install_id=install_id)
    jobs = {link.job_id for link in chosen if link.job_id is not None}
    if link_id is not None:
        jobs &= {links.get(install_id=install_id, link_id=link_id).job_id}
    found = Contract.objects.filter(job_id__in=jobs)
    if status is not None:
        found = found.filter(end_date__isnull=status == "active")
    link_ids: dict[str | None, list[str]] = {}
    for link in reversed(chosen):
        link_ids.setdefault(link.job_id, []).append(link.pk)
    newest = found.order_by("-created_at", "-id")[:limit]
    return [Listed(contract=contract, link_ids=link_ids[contract.job_id]) for contract in newest]


def get(*, install_id: str, contract_id: str) -> Contract:
    """Return a contract that the install may see.

    Raises: NotFound.
    """
    return _find(Contract.objects.all(), contract_id, install_id=install_id)


def participants(*, install_id: str, contract_id: str) -> list[Participant]:
    """Return those who were hired with a contract that the install may see, in the order of their hire.

    Raises: NotFound.
    """
    return list(get(install_id=install_id, contract_id=contract_id).participant_set.order_by("id"))


def budget_of(contract: Contract) -> schemas.BudgetOut:
    """Return the budget of a contract as it is now."""
    milestones = list(contract.milestone_set.order_by("created_at", "id"))
    total = contract.usage_set.aggregate(
        seconds=Sum("total_seconds"),
        labels=Sum("labels_completed"),
        tasks=Sum("tasks_completed"),
        last=Max("reported_at"),
    )
    budget = budgets.compute(
        payment_type=contract.payment_type,
        funded=[budgets.Funded(amount_usd=each.amount_usd, volume=each.volume) for each in milestones],
        consumed=budgets.Consumed(
            seconds=total["seconds"] or 0, labels=total["labels"] or 0, tasks=total["tasks"] or 0
        ),
    )
    active = next((each for each in milestones if each.status == Milestone.Status.ACTIVE_FUNDED), None)
    return schemas.BudgetOut.of(contract, budget=budget, active=active, last_usage_at=total["last"])


def _store(contract: Contract, *, entries: Sequence[Entry], now: datetime) -> None:
    hired = list(contract.participant_set.order_by("id").values_list("opentrain_user_id", flat=True))
    if not hired:
        raise Conflict("This contract has no hired AI trainer to attribute usage to.")
    strangers = {
        f"entries[{number}].workerOpentrainUserId": "is not a participant of this contract"
        for number, entry in enumerate(entries)
        if entry.worker_id is not None and entry.worker_id not in hired
    }
    if strangers:
        words = "; ".join(f"{path} {why}" for path, why in strangers.items())
        raise BadRequest(f"{words}.", details={"fields": strangers})
    for entry in entries:
        Usage.objects.update_or_create(
            contract=contract,
            worker_id=entry.worker_id or hired[0],
            work_date=entry.work_date,
            defaults=_sent(entry) | {"reported_at": now},
        )


def _sent(entry: Entry) -> dict[str, object]:
    values: Mapping[str, object | None] = {
        "total_seconds": entry.total_seconds,
        "tasks_completed": entry.tasks_completed,
        "labels_completed": entry.labels_completed,
        "external_report_id": entry.external_report_id,
    }
    return {name: value for name, value in values.items() if value is not None}


def _check_active(contract: Contract) -> None:
    if contract.end_date is not None:
        raise Conflict("This contract has ended.")


def _lock(contract_id: str, *, install_id: str | None = None) -> Contract:
    return _find(Contract.objects.select_for_update(no_key=True), contract_id, install_id=install_id)


def _find(rows: QuerySet[Contract], contract_id: str, *, install_id: str | None) -> Contract:
    found = None
    if _CONTRACT_ID.fullmatch(contract_id):  # malformed IDs (with a NUL byte, for example) never reach PostgreSQL
        if install_id is not None:
            jobs = ProjectLink.objects.filter(install_id=install_id, job__isnull=False).values("job_id")
            rows = rows.filter(job_id__in=jobs)
        found = rows.filter(pk=contract_id).first()
    if found is None:
        raise NotFound("There is no such contract on a linked job of this install.")
    return found
