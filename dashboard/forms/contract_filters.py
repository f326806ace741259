"""Filters of an install's list of contracts, in its URL, parsed like those of all lists (list_filters.py)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from dashboard.forms import list_filters
from dashboard.forms.list_filters import ID, Chip, InvalidFilter, ListFilter, Read
from dashboard.queries.contract_lists import ANY, OTHER, ContractCriteria
from dashboard.rules import pasted
from dashboard.rules.lost_window import lost_from
from dashboard.rules.reconciliation import Consequence, Event, Kind

FINDINGS = {
    ANY: "Any finding",
    Consequence.ACCESS.value: "May still have access",
    Consequence.PROVISION.value: "May have no access",
    **{kind.value: kind.label for kind in Kind if kind.is_finding},
}
"""Labels of the findings that a list can be filtered by."""
STATUSES = {"active": "Active", "ended": "Ended", OTHER: "Neither"}
"""Labels of the statuses that the page offers. The URL may name any other status as OpenTrain writes it."""
_LABELS = {
    "q": "ID",
    "finding": "Finding",
    "event": "Event",
    "endpoint": "Endpoint",
    "status": "Status",
    "lost": "Missing",
}


@dataclass(frozen=True)
class ContractFilter(ListFilter):
    criteria: ContractCriteria

    @property
    def words(self) -> str:
        """Return the filters in words, on one line."""
        return list_filters.in_words(self.chips({}), of="contracts")

    def chips(self, names: Mapping[str, str]) -> list[Chip]:
        """Return a chip for each filter in use; `names` has the display name of the endpoint."""
        return list_filters.chips_of(
            used=self.used, labels=_LABELS, words=lambda name, value: names.get(name) or _words(name, value)
        )

    def among(self, contracts: frozenset[int]) -> "ContractFilter":
        """Return the filters with the contracts that `lost` leaves."""
        return replace(self, criteria=replace(self.criteria, among=contracts))

    def without_endpoint(self) -> "ContractFilter":
        """Return the filters without that of the endpoint, because the install has no such endpoint."""
        return replace(
            self,
            criteria=replace(self.criteria, endpoint=None),
            used={name: value for name, value in self.used.items() if name != "endpoint"},
            problems=(*self.problems, f"This install has no endpoint with the number {self.criteria.endpoint}."),
        )

    def of_finding(self, finding: str) -> str:
        """Return the canonical query string for this finding, "" for none, at the same endpoint."""
        return link_query({"finding": finding, "endpoint": self.used.get("endpoint", "")})


def parse(*, params: Mapping[str, Any], now: datetime) -> ContractFilter:
    """Parse the filters of a URL."""
    parsed = list_filters.read(params=params, readers=_READERS, now=now)
    criteria = ContractCriteria(**parsed.columns)
    return ContractFilter(parsed.given, parsed.used, tuple(parsed.problems), criteria=criteria)


def link_query(values: Mapping[str, str]) -> str:
    """Return the canonical query string of these filter values."""
    return urlencode({name: values[name] for name in _LABELS if values.get(name)})


def _any_id(text: str, _now: datetime) -> Read:
    try:
        found = pasted.identifier(text)
    except pasted.Unusable as error:
        raise InvalidFilter(str(error)) from None
    return found, {"text": found}


def _finding(text: str, _now: datetime) -> Read:
    name = text.lower().replace(" ", "_")
    if name not in FINDINGS:
        raise InvalidFilter(f"“{text}” is not a finding: use {', '.join(FINDINGS)}.")
    return name, {"finding": name}


def _event(text: str, _now: datetime) -> Read:
    name = text.lower()
    if name not in set(Event):
        raise InvalidFilter(f"“{text}” is not an event of a contract: use {' or '.join(Event)}.")
    return name, {"event": name}


def _endpoint(text: str, _now: datetime) -> Read:
    if not ID.fullmatch(text):
        raise InvalidFilter(f"“{text}” is not an endpoint: use the number in the URL of its page.")
    return str(int(text)), {"endpoint": int(text)}


def _status(text: str, _now: datetime) -> Read:
    name = text.lower() if text.lower() in STATUSES else text
    return name, {"status": name}


def _lost(text: str, _now: datetime) -> Read:
    found = lost_from(text.lower())
    if found is None:
        raise InvalidFilter(f"“{text}” is neither a run nor an endpoint: use the link on its page.")
    return found.text, {"lost": found}


_READERS: dict[str, list_filters.Reader] = {
    "q": _any_id,
    "finding": _finding,
    "event": _event,
    "endpoint": _endpoint,
    "status": _status,
    "lost": _lost,
}


def _words(name: str, value: str) -> str:
    if name == "finding":
        return FINDINGS[value]
    lost = lost_from(value) if name == "lost" else None
    if lost is not None:
        return lost.words
    return STATUSES.get(value, value) if name == "status" else value
