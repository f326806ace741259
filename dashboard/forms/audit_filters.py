"""Filters of the activity page's URL, parsed like those of all lists (list_filters.py)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dashboard.forms import list_filters
from dashboard.forms.list_filters import Chip, InvalidFilter, ListFilter, Read
from dashboard.models import AuditEntry
from dashboard.queries.audit import AuditCriteria
from dashboard.rules.time_zones import read_in

_ANSWERED = {phase.value: phase.label for phase in AuditEntry.Phase if phase != AuditEntry.Phase.REQUESTED}
OUTCOMES = _ANSWERED | {AuditEntry.Phase.REQUESTED.value: "No answer"}
"""Labels of the phases. An entry in phase "requested" is listed only while it has no answer."""
_LABELS = {
    "who": "Who",
    "what": "What",
    "outcome": "Outcome",
    "install": "Install",
    "endpoint": "Endpoint",
    "delivery": "Delivery",
    "request": "Request",
    "run": "Run",
    "from": "From",
    "to": "To",
}


@dataclass(frozen=True)
class AuditFilter(ListFilter):
    criteria: AuditCriteria

    @property
    @read_in(UTC)  # kept in the audit
    def words(self) -> str:
        """Return the filters in words, on one line."""
        return list_filters.in_words(self.chips({}), of="activity")

    @property
    def more_given(self) -> bool:
        """Whether one of the folded fields is filled."""
        return not {"endpoint", "delivery", "request", "run"}.isdisjoint(self.given)

    def chips(self, names: Mapping[str, str]) -> list[Chip]:
        """Return a chip for each filter in use; `names` has the display names of the install and the endpoint."""
        return list_filters.chips_of(
            used=self.used, labels=_LABELS, words=lambda name, value: names.get(name) or _words(name, value)
        )


def parse(*, params: Mapping[str, Any], now: datetime) -> AuditFilter:
    """Parse the filters of a URL. Relative times such as "24h" count back from `now`."""
    parsed = list_filters.read(params=params, readers=_READERS, now=now)
    criteria = AuditCriteria(**parsed.columns)
    problems = (*parsed.problems, *list_filters.backwards(criteria.at_from, criteria.at_to))
    return AuditFilter(parsed.given, parsed.used, problems, criteria=criteria)


def _outcome(text: str, _now: datetime) -> Read:
    name = next((phase for phase, words in OUTCOMES.items() if text.lower() in {phase, words.lower()}), "")
    if not name:
        raise InvalidFilter(f"“{text}” is not an outcome: use {', '.join(OUTCOMES)}.")
    return name, {"phase": AuditEntry.Phase(name).value}


def _run(text: str, _now: datetime) -> Read:
    if not list_filters.ID.fullmatch(text.removeprefix("#")):
        raise InvalidFilter(f"“{text}” is not a run: use its number, such as 12.")
    return str(number := int(text.removeprefix("#"))), {"run": number}


_READERS: dict[str, list_filters.Reader] = {
    "who": list_filters.as_written("who"),
    "what": list_filters.as_written("what"),
    "outcome": _outcome,
    "install": list_filters.owner("install"),
    "endpoint": list_filters.owner("endpoint"),
    "delivery": list_filters.identified("delivery_id"),
    "request": list_filters.identified("request_id"),
    "run": _run,
    "from": list_filters.since("at_from"),
    "to": list_filters.until("at_to"),
}


def _words(name: str, value: str) -> str:
    return OUTCOMES[value] if name == "outcome" else list_filters.time_words(name, value)
