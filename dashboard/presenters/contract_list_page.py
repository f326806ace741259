"""Rows of an install's list of contracts: what endpoints took of their start and end. And why a list is empty."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dashboard.forms.contract_filters import FINDINGS, ContractFilter
from dashboard.models import Contract, Endpoint, ProjectLink
from dashboard.presenters.causes import number_words
from dashboard.presenters.contract_reads import ContractReads
from dashboard.presenters.judged_contracts import JudgedContracts, is_choice
from dashboard.queries.contract_lists import ANY, FindingCounts
from dashboard.rules.endpoint_titles import with_mark
from dashboard.rules.outside_texts import cut
from dashboard.rules.reconciliation import Consequence, Event, Kind, Verdict
from dashboard.rules.reconciliation_words import words

PROJECTS_SHOWN = 1
LABEL_CHARS = 24
_PARTS = re.compile("[./?&=]")
"""What separates the parts of a URL by which people tell endpoints apart."""
NOT_SUBSCRIBED = "not_subscribed"
"""The look of an event whose type the endpoint does not subscribe to: a choice, so it is not called missing."""
_QUICK = ("", ANY, Consequence.ACCESS.value, Consequence.PROVISION.value)
_BUDGETS = {
    "OK": ("faint", "Budget OK"),
    "LOW": ("tone-warn", "Budget low"),
    "DEPLETED": ("tone-bad", "Budget depleted"),
}


class Nothing(StrEnum):
    """Why a list is empty."""

    BEYOND = "beyond"
    NO_MATCH = "no_match"
    NOT_ALLOWED = "not_allowed"
    NOT_READ = "not_read"
    NOT_LINKED = "not_linked"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Took:
    """What one endpoint took of an event: the look of its chip, its label, and the endpoint in short and in full.

    `sentence` says it in words.
    """

    kind: str
    label: str
    sentence: str
    endpoint: str
    url: str


@dataclass(frozen=True, slots=True)
class TookCell:
    """What the endpoints took of an event, worst first.

    `at` names the endpoint of `worst`, or says how many are as bad; it is empty if the install has only one. `others`
    counts those that are not as bad. `more` lists the endpoints that the line does not name.
    """

    worst: Took
    at: str
    others: int
    more: tuple[Took, ...]


@dataclass(frozen=True, slots=True)
class Budget:
    """The state of a contract's budget when it was read last: its tone, and words."""

    tone: str
    words: str
    consumed: str


@dataclass(frozen=True, slots=True)
class ContractRow:
    """A contract of the list. `started` and `ended` are None if nothing is due from any endpoint."""

    contract: Contract
    title: str
    status: str
    projects: tuple[ProjectLink, ...]
    more_projects: int
    started: TookCell | None
    ended: TookCell | None
    budget: Budget | None

    @property
    def is_unlinked(self) -> bool:
        """Whether there is neither a project nor a job to show."""
        return not self.projects and not self.contract.job_id

    @property
    def is_link_gone(self) -> bool:
        """Whether all links that the contract had were removed."""
        return bool(self.projects) and self.projects[0].gone_at is not None

    @property
    def is_running(self) -> bool:
        """Whether there is nothing to show of its end."""
        return self.contract.end_date is None and self.ended is None

    @property
    def digest(self) -> str:
        """What makes the row flash when it changes."""
        cells = (self.started, self.ended)
        return "-".join([self.contract.status, *(f"{cell.worst.kind}{cell.others}" for cell in cells if cell)])


@dataclass(frozen=True, slots=True)
class Pill:
    """A link that filters by a finding, with the number of its contracts; `here` is the current one."""

    label: str
    number: str
    url: str
    here: bool


def contract_rows(judged: JudgedContracts, *, now: datetime) -> list[ContractRow]:
    """Return the rows of the contracts, in their order."""
    labels = labels_of(judged.endpoints.values())
    return [_row(contract, judged, labels, now=now) for contract in judged.contracts]


def quick_filters(
    filters: ContractFilter, *, counts: FindingCounts | None, why: Nothing | None, url: str
) -> tuple[Pill, ...]:
    """Return links to the lists of everything, of any finding, and of findings with a consequence.

    They keep the endpoint, as the counts do. `counts` None: not counted, so there are no numbers. `why` is that of
    `nothing`: without contracts, there are no links either.
    """
    if why is not None and why not in {Nothing.BEYOND, Nothing.NO_MATCH}:
        return ()
    here = filters.used.get("finding", "")
    return tuple(
        Pill(
            label=FINDINGS[value] if value else "All",
            number=f"{counts.of(value):,}" if value and counts is not None else "",
            url=f"{url}?{query}" if (query := filters.of_finding(value)) else url,
            here=value == here,
        )
        for value in _QUICK
    )


def nothing(*, filters: ContractFilter, is_first_page: bool, reads: ContractReads, has_links: bool) -> Nothing:
    """Return why a list is empty. `has_links`: a project of the install is linked to a job, as far as was read."""
    if not is_first_page:
        return Nothing.BEYOND
    if filters.used:
        return Nothing.NO_MATCH
    if reads.lacks_contracts:
        return Nothing.NOT_ALLOWED
    if reads.contracts_read_at is None:
        return Nothing.NOT_READ
    return Nothing.NOT_LINKED if reads.links_read_at is not None and not has_links else Nothing.NONE


def heading(*, count: int | None, why: Nothing | None) -> str:
    """Return the heading of the rows: how many match, or why there are none. `count` None: not counted."""
    if why is None or why is Nothing.BEYOND:
        return "Contracts" if count is None else f"{number_words(count)} contract{'' if count == 1 else 's'}"
    return {
        Nothing.NO_MATCH: "No matches",
        Nothing.NOT_ALLOWED: "Not known",
        Nothing.NOT_READ: "Not read yet",
        Nothing.NOT_LINKED: "No project is linked",
    }.get(why, "No contracts")


def left_out(*, shown: int, total: int) -> str:
    """Say that the rows tell of some endpoints only; empty if they tell of all."""
    if shown >= total:
        return ""
    return (
        f"Rows show {shown:,} of this install's {total:,} endpoints: those with findings of these contracts first. "
        "To see what another endpoint took, filter by it or open a contract."
    )


def endpoint_choices(endpoints: Iterable[Endpoint], *, chosen: Endpoint | None) -> list[tuple[int, str]]:
    """Return the choices of the endpoint filter, with the chosen endpoint, which may be deleted."""
    offered = {endpoint.pk: endpoint for endpoint in endpoints}
    if chosen is not None:
        offered[chosen.pk] = chosen
    return [(pk, f"{endpoint.title}{' (deleted)' * bool(endpoint.deleted_at)}") for pk, endpoint in offered.items()]


def labels_of(endpoints: Collection[Endpoint]) -> dict[int, str]:
    """Return short names of an install's endpoints: their names, or the part in which the URLs of the others differ."""
    urls = {one.pk: one.known_as.partition("://")[2] or one.known_as for one in endpoints if not one.name}
    parts = {pk: _PARTS.split(url.rstrip("/")) for pk, url in urls.items()}
    for together in zip(*parts.values(), strict=False):
        if len(set(together)) == len(parts) > 1:
            urls = dict(zip(parts, together, strict=True))
            break
    names = {one.pk: cut(one.name or urls[one.pk], most=LABEL_CHARS) for one in endpoints}
    if len(set(names.values())) < len(names):
        names = {one.pk: with_mark(names[one.pk], one.told_apart_by) for one in endpoints}
    return {one.pk: f"{names[one.pk]}{' (deleted)' * (one.deleted_at is not None)}" for one in endpoints}


def _row(contract: Contract, judged: JudgedContracts, labels: Mapping[int, str], *, now: datetime) -> ContractRow:
    started, ended = (
        _cell([_took(endpoint, event, verdict, labels, now=now) for endpoint, verdict in judged.of(contract, event)])
        for event in (Event.STARTED, Event.ENDED)
    )
    projects = judged.projects_of(contract)
    return ContractRow(
        contract=contract,
        title=contract.title.strip() or "Untitled",
        status={"active": "Active", "ended": "Ended", "": "Not said"}.get(contract.status, contract.status),
        projects=tuple(projects[:PROJECTS_SHOWN]),
        more_projects=max(len(projects) - PROJECTS_SHOWN, 0),
        started=started,
        ended=ended,
        budget=_budget(contract),
    )


def _cell(each: Sequence[Took]) -> TookCell | None:
    """Return what endpoints took of an event, from each of them, worst first."""
    if not each or each[0].kind == Kind.NOT_DUE:
        return None
    alike = sum(one.kind == each[0].kind for one in each)
    at = each[0].endpoint if alike == 1 else f"at {alike} endpoints"
    listed = each if alike > 1 else each[1:]
    return TookCell(each[0], at, len(each) - alike, tuple(listed))


def _took(endpoint: Endpoint, event: Event, verdict: Verdict, labels: Mapping[int, str], *, now: datetime) -> Took:
    sentence = words(event=event, verdict=verdict, now=now).sentence
    kind, label = verdict.kind.value, verdict.kind.label
    if is_choice(verdict):
        kind, label = NOT_SUBSCRIBED, "Not subscribed"
    elif verdict.handed_over:
        label = "Handed over"
    return Took(kind, label, sentence, "" if len(labels) == 1 else labels[endpoint.pk], endpoint.known_as)


def _budget(contract: Contract) -> Budget | None:
    """Return the budget as it was read last; None if it never was."""
    if not contract.budget_state:
        return None
    tone, words = _BUDGETS.get(contract.budget_state, ("faint", f"Budget {contract.budget_state}"))
    share = contract.budget_consumed
    return Budget(tone, words, "" if share is None else f"{share * 100:.0f} % consumed")
