"""What is missing at an endpoint: its contracts with findings, or what is known if there is none."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.urls import reverse

from dashboard.db.statement_timeout import TooSlow, at_most
from dashboard.models import Endpoint, Finding, User
from dashboard.presenters.contract_reads import ContractReads, contract_reads
from dashboard.presenters.contract_summary import Number, endpoint_numbers
from dashboard.presenters.may_be_missing import MissingWindow, windows_of
from dashboard.queries import contract_lists
from dashboard.queries.contract_lists import FindingCounts
from dashboard.queries.delivery_lists import LIST_COUNT_LIMIT
from dashboard.rules.reconciliation import Consequence, Event, Kind, Reason, Verdict
from dashboard.rules.reconciliation_words import Words, words

SHOWN = 5
"""Findings on the page, the worst ones."""
LIMIT_MS = 300
"""Time limit, in milliseconds, of each query of the section."""


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding of the endpoint: the title of its contract, its verdict, and that in words."""

    finding: Finding
    title: str
    verdict: Verdict
    words: Words


@dataclass(frozen=True, slots=True)
class MissingHere:
    """The section of the endpoint's page. `remarks` say what is known, and what is not, in sentences.

    `can_route`: the page offers to route the endpoint through Redeliver, because that would tell. `windows` are the
    times of which events may be missing because OpenTrain sent nothing.
    """

    numbers: tuple[Number, ...]
    rows: tuple[FindingRow, ...]
    remarks: tuple[str, ...]
    can_route: bool = False
    windows: tuple[MissingWindow, ...] = ()


def missing_here(endpoint: Endpoint, *, user: User, now: datetime) -> MissingHere | None:
    """Return what is missing at an endpoint, with its install's reconciliation; None if it is not at OpenTrain."""
    if endpoint.opentrain_id is None or endpoint.deleted_at is not None:
        return None
    found = _of_contracts(endpoint, user=user, now=now)
    windows = (_without(one, found.remarks) for one in windows_of(endpoint, user=user, now=now))
    return replace(found, windows=tuple(windows))


def _without(window: MissingWindow, remarks: Sequence[str]) -> MissingWindow:
    """Return the window without what the section says of all times."""
    said = tuple(remark.lower() for remark in remarks)
    return replace(window, contracts=tuple(one for one in window.contracts if not one.lower().endswith(said)))


def _of_contracts(endpoint: Endpoint, *, user: User, now: datetime) -> MissingHere:
    reads, blind = contract_reads(endpoint.install, now=now), _blind(endpoint)
    if reads.judged_at is None:  # then no finding exists
        return MissingHere((), (), (blind or _not_compared(reads),), can_route=blind == _DIRECT)
    try:
        with at_most(ms=LIMIT_MS):
            return _missing_here(endpoint, reads, blind, user=user, now=now)
    except TooSlow:
        return MissingHere((), (), (f"Not counted: that takes longer than {LIMIT_MS / 1000:g} s.",))


def _missing_here(endpoint: Endpoint, reads: ContractReads, blind: str, *, user: User, now: datetime) -> MissingHere:
    counts = contract_lists.finding_counts(install=endpoint.install, endpoint=endpoint.pk)
    if not counts.contracts and (why := blind or _not_compared(reads)):
        return MissingHere((), (), (why,), can_route=blind == _DIRECT)
    worst = contract_lists.worst_of(endpoint=endpoint, limit=SHOWN) if counts.contracts else []
    handler = user.handler_is
    remarks = (
        _expected(counts) if counts.contracts else "No contract's event is known to be missing here.",
        blind or _unseen(contract_lists.count_unseen(endpoint=endpoint)),
        _not_whole(reads),
    )
    return MissingHere(
        numbers=endpoint_numbers(
            counts, endpoint=endpoint.pk, url=reverse("install-contracts", args=[endpoint.install_id])
        ),
        rows=tuple(_row(finding, now=now, handler=handler) for finding in worst),
        remarks=tuple(remark for remark in remarks if remark),
        can_route=blind == _DIRECT,
    )


_DIRECT = (
    "Not known: OpenTrain delivers this endpoint's events directly to the handler, so Redeliver does not see which of "
    "them arrive."
)
_REFUSED = "Not known: the receiver refuses this endpoint's deliveries, so its log has none of them."
_OBSERVED = (
    "Not known in full: the handler reports what it took. What it did not report may have arrived, or may be missing."
)


def _blind(endpoint: Endpoint) -> str:
    """Say why Redeliver does not see all that arrives; empty if it does."""
    if not {event.value for event in Event} & set(endpoint.event_types):
        return f"This endpoint does not subscribe to {Event.STARTED.value} or {Event.ENDED.value}."
    if endpoint.is_received:
        return ""
    if endpoint.reaches_receiver:
        return _REFUSED
    return _OBSERVED if endpoint.is_observed else _DIRECT


def _not_compared(reads: ContractReads) -> str:
    """Say why contracts were not compared with the log; empty if they were."""
    if reads.lacks_contracts:
        return reads.lacks
    if reads.contracts_read_at is None:
        return "Not known yet: Redeliver has not read this install's contracts."
    return "" if reads.judged_at else "Not known yet: contracts were not compared with the delivery log."


def _expected(counts: FindingCounts) -> str:
    """Say how many are missing because the endpoint is new; empty if none is."""
    count = counts.of(Reason.REGISTERED_AFTER.value)
    if not count:
        return ""
    contracts = "1 contract is" if count == 1 else f"{count:,} contracts are"
    return (
        f"Events of {contracts} from before this endpoint was registered. "
        "OpenTrain sends a new endpoint no older events."
    )


def _unseen(count: int) -> str:
    if not count:
        return ""
    number = f"more than {LIST_COUNT_LIMIT:,}" if count > LIST_COUNT_LIMIT else f"{count:,}"
    return f"Of {number} contract{'s' * (count != 1)}, it is not known whether every event reached this endpoint."


def _not_whole(reads: ContractReads) -> str:
    """Say what the last read could not tell; empty if it could tell everything."""
    if reads.error:
        return f"The last read of contracts failed: {reads.error}"
    return reads.out_of_reach or reads.lacks


def _row(finding: Finding, *, now: datetime, handler: str) -> FindingRow:
    kind = Kind(finding.kind)
    verdict = Verdict(
        kind,
        Reason(finding.reason),
        at=finding.refused_at if kind is Kind.REFUSED else None,
        until=finding.until,
        happened_at=finding.happened_at,
    )
    said = words(
        event=Event(finding.event_type),
        verdict=verdict,
        now=now,
        consequence=Consequence(finding.consequence),
        handler=handler,
    )
    return FindingRow(finding, finding.contract.title.strip() or "Untitled", verdict, said)
