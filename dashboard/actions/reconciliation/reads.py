"""Reads one install's project links, contracts and budgets from OpenTrain, within a budget of calls and of time.

It reads and writes no rows, so a thread without a database connection can run it.

Design decisions:
- `GET /contracts` has no cursor, so active and ended contracts are read apart. Where one of these lists is full, the
  contracts of each linked job are read, of those first whose turn is longest ago: several sweeps share the jobs of a
  large install.
- A contract that was known and that both lists lack may have a status that Redeliver does not know. One more list,
  of any status, tells, so that it does not count as gone.
- A scope that is missing, or that goes away in the middle, is no error: what it would show is not known (rules/reads).
- An error ends the reading. What was read before it is kept.
"""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from dashboard.models import Install
from dashboard.rules.installs import UnreadEntry
from dashboard.rules.reach import STATUSES, ListFacts, Reach
from dashboard.rules.reads import Read, is_allowed
from dashboard.services import opentrain
from dashboard.services.opentrain.client import MOST_CONTRACTS
from dashboard.vault import Secret, Unreadable

T = TypeVar("T")

LIST_CALLS = 20
"""Lists requested per token and sweep: enough for 17 linked jobs of a large install, or for 8 if both lists are full.
With budgets and a description, a token gets 31 calls at most in RECONCILE_EVERY_S, by default 10 minutes. The poller
makes about 10 in that time.
"""
MOST_BUDGETS = 10
"""Budgets requested per token and sweep."""
LONGEST_S = 60.0
"""After this many seconds no other call begins. The lease of an install depends on it."""
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Subject:
    """An install to read, and what Redeliver knows of it.

    `turns` says when the contracts of a link were last read, by the link's ID. `known` are the IDs of the contracts
    that are not gone. `budgets` are the IDs of contracts whose budgets are to be read.
    """

    install: Install
    read_token: Callable[[], Secret]
    turns: Mapping[str, datetime] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    budgets: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class LinkList:
    """The install's project links. `at` is when the request began, as in all that follows."""

    at: datetime
    entries: tuple[opentrain.ProjectLink | UnreadEntry, ...]

    @property
    def links(self) -> list[opentrain.ProjectLink]:
        return [one for one in self.entries if not isinstance(one, UnreadEntry)]

    @property
    def unread_ids(self) -> list[str | None]:
        return [one.id for one in self.entries if isinstance(one, UnreadEntry)]


@dataclass(frozen=True, slots=True)
class ContractList:
    """Contracts with a status (None: any), of all links or of one."""

    at: datetime
    status: str | None
    link: opentrain.ProjectLink | None
    entries: tuple[opentrain.Contract | UnreadEntry, ...]

    @property
    def contracts(self) -> list[opentrain.Contract]:
        return [one for one in self.entries if not isinstance(one, UnreadEntry)]

    @property
    def facts(self) -> ListFacts:
        return ListFacts(
            status=self.status,
            job_id=self.link.job_id if self.link else None,
            is_full=len(self.entries) >= MOST_CONTRACTS,
            unread=tuple(one for one in self.entries if isinstance(one, UnreadEntry)),
        )


@dataclass(frozen=True, slots=True)
class BudgetRead:
    """A contract's budget; None if OpenTrain has none, or none that can be read."""

    at: datetime
    contract_id: str
    budget: opentrain.Budget | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of an install from `began_at` on, and the error that ended it, if any.

    `links` is None if they were not read. `current` is the install as OpenTrain described it after a refusal.
    """

    install: Install
    began_at: datetime
    links: LinkList | None = None
    contracts: tuple[ContractList, ...] = ()
    budgets: tuple[BudgetRead, ...] = ()
    current: opentrain.Install | None = None
    error: opentrain.OpenTrainError | Unreadable | None = None

    @property
    def reach(self) -> Reach:
        """What the lists of contracts prove."""
        return Reach(tuple(one.facts for one in self.contracts), linked_jobs=self._linked_jobs, most=MOST_CONTRACTS)

    @property
    def retry_after_s(self) -> int | None:
        return self.error.retry_after_s if isinstance(self.error, opentrain.RateLimited) else None

    @property
    def _linked_jobs(self) -> frozenset[str] | None:
        if self.links is None or self.links.unread_ids:
            return None
        return frozenset(link.job_id for link in self.links.links if link.job_id)


class _ScopeIsGone(Exception):
    """The token has lost the scope of a read since it was last described."""


def read(subject: Subject, *, clock: Callable[[], datetime], on_call: Callable[[], None] = lambda: None) -> Reading:
    """Read the install. `on_call` is called before each call to OpenTrain."""
    began_at = clock()
    try:
        token = subject.read_token()
    except Unreadable as error:
        return Reading(subject.install, began_at, error=error)
    reader = _Reader(subject, token, clock, on_call)
    failure: opentrain.OpenTrainError | None = None
    try:
        reader.read_all()
    except opentrain.OpenTrainError as error:
        failure = error
    return Reading(
        subject.install,
        began_at,
        links=reader.links,
        contracts=tuple(reader.lists),
        budgets=tuple(reader.budgets),
        current=reader.current,
        error=failure,
    )


@dataclass(slots=True)
class _Reader:
    """The progress of a reading."""

    subject: Subject
    token: Secret
    clock: Callable[[], datetime]
    on_call: Callable[[], None]
    began: float = field(default_factory=time.monotonic)
    calls_left: int = field(default_factory=lambda: LIST_CALLS)
    links: LinkList | None = None
    lists: list[ContractList] = field(default_factory=list)
    budgets: list[BudgetRead] = field(default_factory=list)
    current: opentrain.Install | None = None

    def read_all(self) -> None:
        """Raises: OpenTrainError."""
        for of, section in (
            (Read.LINKS, self._read_links),
            (Read.CONTRACTS, self._read_contracts),
            (Read.CONTRACTS, self._read_budgets),
        ):
            if is_allowed(of, scopes=self._scopes):
                with contextlib.suppress(_ScopeIsGone):
                    section()

    @property
    def _scopes(self) -> Sequence[str]:
        return self.subject.install.token_scopes if self.current is None else self.current.token.scopes

    def _read_links(self) -> None:
        at = self.clock()
        self.links = LinkList(at, self._ask(Read.LINKS, lambda: opentrain.list_project_links(token=self.token)))
        self.calls_left -= 1

    def _read_contracts(self) -> None:
        for status in STATUSES:
            self._list(status=status)
        if all(one.facts.is_complete for one in self.lists):
            seen = {entry.id for one in self.lists for entry in one.entries}
            if self.subject.known - seen:
                self._list(status=None)
        full = [one.status for one in self.lists if one.status in STATUSES and one.facts.is_full]
        if full and self.links is not None:
            self._read_by_link(full)

    def _read_by_link(self, statuses: Sequence[str | None]) -> None:
        for link in self._links_by_turn():
            if self.calls_left < len(statuses) or self._is_over:
                return
            with contextlib.suppress(opentrain.NotFound):  # it was removed meanwhile
                for status in statuses:
                    self._list(status=status, link=link)

    def _links_by_turn(self) -> list[opentrain.ProjectLink]:
        """Return one link for each job, the one first whose turn is longest ago."""
        turns: dict[str, datetime] = {}
        one_of: dict[str, opentrain.ProjectLink] = {}
        for link in self.links.links if self.links else ():
            if link.job_id:
                one_of.setdefault(link.job_id, link)
                turns[link.job_id] = max(turns.get(link.job_id, _NEVER), self.subject.turns.get(link.id, _NEVER))
        return sorted(one_of.values(), key=lambda link: turns[link.job_id or ""])

    def _list(self, *, status: str | None, link: opentrain.ProjectLink | None = None) -> None:
        at, link_id = self.clock(), link.id if link else None
        self.calls_left -= 1
        entries = self._ask(
            Read.CONTRACTS,
            lambda: opentrain.list_contracts(token=self.token, project_link_id=link_id, status=status),
        )
        self.lists.append(ContractList(at, status, link, entries))

    def _read_budgets(self) -> None:
        for contract_id in self.subject.budgets[:MOST_BUDGETS]:
            if self._is_over:
                return
            self.budgets.append(self._ask(Read.CONTRACTS, lambda: self._budget(contract_id)))  # noqa: B023 - called now

    def _budget(self, contract_id: str) -> BudgetRead:
        return read_budget(contract_id=contract_id, token=self.token, at=self.clock())

    def _ask(self, of: Read, call: Callable[[], T]) -> T:
        """Make the call. Raises: OpenTrainError; _ScopeIsGone if a 403 came because the token has lost the scope."""
        self.on_call()
        try:
            return call()
        except opentrain.Forbidden:
            with contextlib.suppress(opentrain.OpenTrainError):
                self.current = opentrain.get_install(token=self.token)
            if self.current is None or self.current.status != "ACTIVE" or is_allowed(of, scopes=self._scopes):
                raise
        raise _ScopeIsGone

    @property
    def _is_over(self) -> bool:
        return time.monotonic() - self.began > LONGEST_S


def read_budget(*, contract_id: str, token: Secret, at: datetime) -> BudgetRead:
    """Read a contract's budget. A response that is not usable is one without a budget: others may have one.

    Raises: OpenTrainError, except BadResponse and NotFound.
    """
    try:
        return BudgetRead(at, contract_id, opentrain.get_budget(token=token, contract_id=contract_id))
    except (opentrain.BadResponse, opentrain.NotFound):
        return BudgetRead(at, contract_id, None)
