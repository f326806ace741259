"""How many contracts of an install, or at an endpoint, have findings: each number with a link to its contracts."""

from dataclasses import dataclass

from dashboard.forms.contract_filters import link_query
from dashboard.presenters.contract_reads import ContractReads
from dashboard.queries.contract_lists import ANY, FindingCounts
from dashboard.rules.reconciliation import Consequence
from dashboard.rules.reconciliation_facts import WORST_FIRST

_CONSEQUENCES = {
    Consequence.ACCESS.value: ("person may still have access", "people may still have access"),
    Consequence.PROVISION.value: ("contract was never provisioned", "contracts were never provisioned"),
}


@dataclass(frozen=True, slots=True)
class Number:
    """A number of contracts, what is said of them, and the URL of their list."""

    number: str
    words: str
    url: str


@dataclass(frozen=True, slots=True)
class ContractSummary:
    """Numbers of contracts with findings, worst first; or `words` why there is none, or none is known."""

    url: str
    numbers: tuple[Number, ...]
    words: str


def contract_summary(*, counts: FindingCounts | None, reads: ContractReads, url: str) -> ContractSummary:
    """Return the summary of an install. `counts` None: they took too long to count."""
    if counts is None:
        return ContractSummary(url, (), "findings not counted: that takes too long")
    if not counts.contracts:
        return ContractSummary(url, (), _none(reads))
    worst = [_number(counts, value, url, forms=forms) for value, forms in _CONSEQUENCES.items() if counts.of(value)]
    total = _number(counts, ANY, url, forms=("contract with findings", "contracts with findings"))
    return ContractSummary(url, (*worst, total), "")


def endpoint_numbers(counts: FindingCounts, *, endpoint: int, url: str) -> tuple[Number, ...]:
    """Return how many contracts have each consequence and each kind of finding at an endpoint."""
    worst = [
        _number(counts, value, url, forms=forms, endpoint=endpoint)
        for value, forms in _CONSEQUENCES.items()
        if counts.of(value)
    ]
    kinds = [
        _number(counts, kind.value, url, forms=(kind.label.lower(),) * 2, endpoint=endpoint)
        for kind in WORST_FIRST
        if counts.of(kind.value)
    ]
    return (*worst, *kinds)


def _number(
    counts: FindingCounts, value: str, url: str, *, forms: tuple[str, str], endpoint: int | None = None
) -> Number:
    count = counts.of(value)
    query = link_query({"finding": value, "endpoint": "" if endpoint is None else str(endpoint)})
    return Number(f"{count:,}", forms[count != 1], f"{url}?{query}")


def _none(reads: ContractReads) -> str:
    """Say why there is no finding. That there is none proves little before contracts were compared with the log."""
    if reads.is_left:
        return "not read any more"
    if reads.lacks_contracts:
        return "not known: the token lacks a scope"
    if reads.contracts_read_at is None:
        return "not read yet"
    return "no findings" if reads.judged_at is not None else "not compared with the delivery log yet"
