"""Stores what was read of an install's links, contracts and budgets: what is seen, what changed, and what is gone.

Call each function in the transaction that holds the install's row (`snapshots.hold`), so that two readings of one
install are stored one after the other.

Design decisions:
- `…_seen_at` is when the request began. A reading changes no row that was seen since it began.
- The number of statements does not depend on the number of rows. Rows that are as before share one cheap update.
- What OpenTrain does not say stays as it said it before. Only fields that may be empty by the contract are emptied.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from django.db import connection
from django.db.models import Q
from django.db.models.expressions import RawSQL

from dashboard.actions.reconciliation.reads import BudgetRead, ContractList, LinkList, Reading
from dashboard.config.masking import masking
from dashboard.models import Contract, ContractChange, Install, ProjectLink
from dashboard.rules.durations import exactly
from dashboard.rules.outside_texts import cut, storable
from dashboard.rules.reach import ACTIVE, ENDED
from dashboard.rules.time_zones import read_in
from dashboard.services import opentrain
from dashboard.services.opentrain.types import URL_CHARS

CHANGE_CHARS = 300
GONE, BACK, BUDGET_STATE = "gone", "back", "budget_state"
"""What changed, where it is not one of OpenTrain's fields."""
LINK_FIELDS = (
    "job_id",
    "external_project_id",
    "external_project_name",
    "external_project_url",
    "provisioning_mode",
    "created_at",
)
_OTHERS = ("budget_state", "budget_consumed", "budget_read_at", "known_from", "judged_as")
"""Columns of a contract that a list does not change."""
CONTRACT_FIELDS = ("status", "job_id", "title", "start_date", "end_date", "created_at", "link_ids")
_SEEN = """
    UPDATE dashboard_contract AS known
    SET last_seen_at = seen.at, active_seen_at = coalesce(seen.active_at, known.active_seen_at)
    FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[]) AS seen (id, at, active_at)
    WHERE known.id = seen.id
"""

Row = TypeVar("Row", ProjectLink, Contract)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A link or contract as the last list showed it: its columns, and when the request began.

    `first_at` is when the first of several lists was requested that showed it, `active_at` the last one that showed it
    as active.
    """

    id: str
    at: datetime
    columns: Mapping[str, Any]
    first_at: datetime
    active_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Diff(Generic[Row]):
    """What a reading makes of rows, and the changes to keep."""

    added: list[Row] = field(default_factory=list)
    changed: list[Row] = field(default_factory=list)
    as_before: list[Row] = field(default_factory=list)
    changes: list[ContractChange] = field(default_factory=list)


def record_links(*, install: Install, links: LinkList) -> None:
    """Store the list of links. What it lacks is gone, unless an entry without an ID may be it."""
    seen = [_Seen(one.id, links.at, _link_columns(one), first_at=links.at) for one in links.links]
    rows = {row.opentrain_id: row for row in ProjectLink.objects.filter(install=install)}
    there = {one.id for one in links.links}.union(links.unread_ids)
    diff = _compare(seen, rows, make=lambda one: ProjectLink(install=install, opentrain_id=one.id))
    ProjectLink.objects.bulk_create(diff.added)
    ProjectLink.objects.bulk_update(diff.changed, [*LINK_FIELDS, "last_seen_at", "gone_at"])
    as_before = [row.pk for row in diff.as_before]
    ProjectLink.objects.filter(pk__in=as_before).update(last_seen_at=links.at)
    gone = [] if None in there else [row for name, row in rows.items() if name not in there and _may_go(row, links.at)]
    ProjectLink.objects.filter(pk__in=[row.pk for row in gone]).update(gone_at=links.at)
    ContractChange.objects.bulk_create([*diff.changes, *(_change(row, GONE, seen_at=links.at) for row in gone)])


def record_contracts(*, install: Install, reading: Reading) -> None:
    """Store the lists of contracts. Those that complete lists lack are gone; others stay as they were last seen."""
    seen = _newest(reading.contracts)
    known = Contract.objects.filter(install=install, opentrain_id__in=_any([one.id for one in seen]))
    rows = {row.opentrain_id: row for row in known.defer(*_OTHERS)}
    diff = _compare(seen, rows, make=lambda one: Contract(install=install, opentrain_id=one.id))
    Contract.objects.bulk_create(diff.added)
    fields = [*CONTRACT_FIELDS, "last_seen_at", "active_seen_at", "ended_seen_at", "gone_at"]
    Contract.objects.bulk_update(diff.changed, fields)
    _mark_as_seen(diff.as_before)
    gone, at = _gone(install, reading), max(one.at for one in reading.contracts)
    Contract.objects.filter(pk__in=[row.pk for row in gone]).update(gone_at=at)
    ContractChange.objects.bulk_create([*diff.changes, *(_change(row, GONE, seen_at=at) for row in gone)])
    turns = {one.link.id for one in reading.contracts if one.link is not None}
    ProjectLink.objects.filter(install=install, opentrain_id__in=turns).update(contracts_read_at=reading.began_at)


def record_budgets(*, install: Install, budgets: Sequence[BudgetRead]) -> None:
    """Store budgets, except those older than what is stored."""
    reads = {one.contract_id: one for one in budgets}
    written, changes = [], []
    for row in Contract.objects.filter(install=install, opentrain_id__in=list(reads)):
        one, before_at = reads[row.opentrain_id], row.budget_read_at
        if before_at is not None and before_at >= one.at:
            continue
        before = row.budget_state
        row.budget_state = (one.budget.state or "") if one.budget else ""
        row.budget_consumed = one.budget.consumed_fraction if one.budget else None
        row.budget_read_at = one.at
        written.append(row)
        if before and row.budget_state and before != row.budget_state:  # neither of them is "not known"
            said = {"before": before, "after": row.budget_state}
            changes.append(_change(row, BUDGET_STATE, seen_at=one.at, not_before=before_at, **said))
    Contract.objects.bulk_update(written, ["budget_state", "budget_consumed", "budget_read_at"])
    ContractChange.objects.bulk_create(changes)


def _link_columns(link: opentrain.ProjectLink) -> dict[str, Any]:
    """Return the columns that the link sets. A link may have no job, no name and no URL."""
    url = masking().text(link.external_project_url or "")  # as its column keeps it
    required = {
        "external_project_id": link.external_project_id,
        "provisioning_mode": link.provisioning_mode,
        "created_at": link.created_at,
    }
    return {
        "job_id": link.job_id or "",
        "external_project_name": link.external_project_name or "",
        "external_project_url": storable(url, most=URL_CHARS),
        **{name: value for name, value in required.items() if value},
    }


def _contract_columns(contract: opentrain.Contract, *, asked: str | None) -> dict[str, Any]:
    """Return the columns that the contract sets. If it says no status, it has the one that was `asked` for."""
    required = {
        "status": contract.status or asked,
        "job_id": contract.job_id,
        "title": contract.title,
        "start_date": contract.start_date,
        "created_at": contract.created_at,
        "link_ids": list(contract.project_link_ids),
    }
    return {"end_date": contract.end_date, **{name: value for name, value in required.items() if value}}


def _newest(lists: Iterable[ContractList]) -> list[_Seen]:
    found: dict[str, _Seen] = {}
    for one in sorted(lists, key=lambda one: one.at):
        for contract in one.contracts:
            columns, earlier = _contract_columns(contract, asked=one.status), found.get(contract.id)
            found[contract.id] = _Seen(
                contract.id,
                one.at,
                columns,
                first_at=earlier.first_at if earlier else one.at,
                active_at=one.at if columns.get("status") == ACTIVE else earlier.active_at if earlier else None,
            )
    return list(found.values())


def _compare(seen: Iterable[_Seen], rows: Mapping[str, Row], *, make: Callable[[_Seen], Row]) -> _Diff[Row]:
    """Bring rows up to date with what was seen, and sort them by what that takes."""
    diff: _Diff[Row] = _Diff()
    for one in seen:
        row = rows.get(one.id)
        if row is None:
            row = make(one)
            row.first_seen_at = one.first_at
            diff.added.append(row)
        elif _is_newer(row, one.at):
            continue
        elif changes := _changes(row, one):
            diff.changes.extend(changes)
            diff.changed.append(row)
        else:
            diff.as_before.append(row)
        for name, value in one.columns.items():
            setattr(row, name, value)
        row.last_seen_at, row.gone_at = one.at, None
        if isinstance(row, Contract):
            _see_status(row, one)
    return diff


def _see_status(row: Contract, one: _Seen) -> None:
    row.active_seen_at = one.active_at or row.active_seen_at
    if row.status == ACTIVE:
        row.ended_seen_at = None
    elif row.status == ENDED:
        row.ended_seen_at = row.ended_seen_at or one.at


def _is_newer(row: ProjectLink | Contract, at: datetime) -> bool:
    """Return whether a request that began after `at` is stored already."""
    return row.last_seen_at > at or (row.gone_at is not None and row.gone_at > at)


def _may_go(row: ProjectLink | Contract, at: datetime) -> bool:
    return row.gone_at is None and row.last_seen_at < at


def _mark_as_seen(rows: Sequence[Contract]) -> None:
    if not rows:
        return
    active = [row.active_seen_at if row.status == ACTIVE else None for row in rows]
    with connection.cursor() as cursor:
        cursor.execute(_SEEN, [[row.pk for row in rows], [row.last_seen_at for row in rows], active])


def _any(ids: list[str]) -> RawSQL:
    """Return the IDs as one value: Django takes long to prepare one for each."""
    return RawSQL("SELECT unnest(%s::text[])", [ids])


def _gone(install: Install, reading: Reading) -> list[Contract]:
    """Return the contracts that the lists would show if they existed. Call it when those in the lists are stored."""
    reach = reading.reach
    unread = [entry.id for one in reach.lists for entry in one.unread if entry.id is not None]
    maybe = Q(install=install, gone_at=None, last_seen_at__lt=reading.began_at) & ~Q(opentrain_id__in=unread)
    if not reach.would_show(job_id=""):  # of a large install, most are out of reach
        jobs = Q(job_id__in={one.job_id for one in reach.lists if one.job_id})
        maybe &= jobs if reach.linked_jobs is None else jobs | ~Q(job_id__in=reach.linked_jobs)
    missing = Contract.objects.filter(maybe).only("install_id", "job_id", "last_seen_at")
    return [row for row in missing if reach.would_show(job_id=row.job_id)]


def _changes(row: ProjectLink | Contract, one: _Seen) -> list[ContractChange]:
    found = []
    for name, after in one.columns.items():
        before = getattr(row, name)
        if before != after:
            not_before = one.active_at if (name, before) == ("status", ACTIVE) else None
            not_before = max(row.last_seen_at, not_before or row.last_seen_at)
            said = {"before": _text(before), "after": _text(after)}
            found.append(_change(row, name, seen_at=one.at, not_before=not_before, **said))
    if row.gone_at is not None:
        found.append(_change(row, BACK, seen_at=one.at, not_before=row.gone_at))
    return found


def _change(
    row: ProjectLink | Contract,
    what: str,
    *,
    seen_at: datetime,
    not_before: datetime | None = None,
    before: str = "",
    after: str = "",
) -> ContractChange:
    return ContractChange(
        install_id=row.install_id,
        contract=row if isinstance(row, Contract) else None,
        link=row if isinstance(row, ProjectLink) else None,
        what=what,
        before=before,
        after=after,
        not_before=not_before or row.last_seen_at,
        seen_at=seen_at,
    )


@read_in(UTC)
def _text(value: object) -> str:
    """Return a value in words that are the same for every reader. Lists are of IDs."""
    if isinstance(value, list):
        text = ", ".join(value)
    else:
        text = exactly(value) if isinstance(value, datetime) else str(value or "")
    return cut(text, most=CHANGE_CHARS)
