"""Filters of the activity page's URL, parsed like those of delivery lists (delivery_filters.py)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dashboard.forms import delivery_filters
from dashboard.forms.delivery_filters import Chip, ListFilter, Nonsense, Read
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


@dataclass(frozen=True, slots=True)
class AuditFilter(ListFilter):
    criteria: AuditCriteria

    @property
    @read_in(UTC)  # kept in the audit
    def words(self) -> str:
        """Return the filters in words, on one line."""
        return delivery_filters.in_words(self.chips({}), of="activity")

    @property
    def more_given(self) -> bool:
        """Whether one of the folded fields is filled."""
        return not {"endpoint", "delivery", "request", "run"}.isdisjoint(self.given)

    def chips(self, names: Mapping[str, str]) -> list[Chip]:
        """Return a chip for each filter in use; `names` has the display names of the install and the endpoint."""
        return delivery_filters.chips_of(
            used=self.used, labels=_LABELS, words=lambda name, value: names.get(name) or _words(name, value)
        )


def parse(*, params: Mapping[str, Any], now: datetime) -> AuditFilter:
    """Parse the filters of a URL. Relative times such as "24h" count back from `now`."""
    parsed = delivery_filters.read(params=params, readers=_READERS, now=now)
    criteria = AuditCriteria(**parsed.columns)
    problems = (*parsed.problems, *delivery_filters.backwards(criteria.at_from, criteria.at_to))
    return AuditFilter(parsed.given, parsed.used, problems, criteria=criteria)


def _outcome(text: str, _now: datetime) -> Read:
    name = next((phase for phase, words in OUTCOMES.items() if text.lower() in {phase, words.lower()}), "")
    if not name:
        raise Nonsense(f"“{text}” is not an outcome: use {', '.join(OUTCOMES)}.")
    return name, {"phase": AuditEntry.Phase(name).value}


def _run(text: str, _now: datetime) -> Read:
    if not delivery_filters.ID.fullmatch(text.removeprefix("#")):
        raise Nonsense(f"“{text}” is not a run: use its number, such as 12.")
    return str(number := int(text.removeprefix("#"))), {"run": number}


_READERS: dict[str, delivery_filters.Reader] = {
    "who": delivery_filters.as_written("who"),
    "what": delivery_filters.as_written("what"),
    "outcome": _outcome,
    "install": delivery_filters.owner("install"),
    "endpoint": delivery_filters.owner("endpoint"),
    "delivery": delivery_filters.identified("delivery_id"),
    "request": delivery_filters.identified("request_id"),
    "run": _run,
    "from": delivery_filters.since("at_from"),
    "to": delivery_filters.until("at_to"),
}


def _words(name: str, value: str) -> str:
    return OUTCOMES[value] if name == "outcome" else delivery_filters.time_words(name, value)
