"""Filters of delivery lists, parsed from a URL (list_filters.py)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urlencode

from dashboard.forms.endpoints import EVENT_TYPES
from dashboard.forms.list_filters import (
    END,
    START,
    Chip,
    InvalidFilter,
    ListFilter,
    Read,
    Reader,
    backwards,
    chips_of,
    identified,
    in_words,
    owner,
    read,
    since,
    time_words,
    until,
)
from dashboard.queries.delivery_lists import CauseCriteria, DeliveryCriteria
from dashboard.rules import pasted
from dashboard.rules.causes import Cause, describe_cause
from dashboard.rules.deliveries import StateKind
from dashboard.rules.time_zones import read_in
from dashboard.signatures import UNCHECKED, Verdict

_STATUS = re.compile(r"(?:status:)?([1-9])([0-9]{2}|xx)", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,6}")
REFUSED, UNSAID = "refused", "unsaid"
SIGNATURES = {
    Verdict.VERIFIED.value: "verified",
    Verdict.MISMATCH.value: "does not fit",
    Verdict.OTHER_ENDPOINT.value: "made with another endpoint's secret",
    Verdict.MISSING.value: "missing",
    Verdict.DOUBLED.value: "more than one",
    Verdict.MALFORMED.value: "not readable",
    Verdict.STALE.value: "too old",
    Verdict.FUTURE.value: "from the future",
    UNCHECKED: "not checked: the secret was missing",
    UNSAID: "not reported by the handler",
    REFUSED: "refused (not a delivery)",
}
"""Words for the signature results that a filter accepts. UNSAID is stored as ""."""


@dataclass(frozen=True)
class Filter(ListFilter):
    """`names` has the display name of the install, which the URL may give as a number or an ID."""

    criteria: DeliveryCriteria
    refused: bool
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def chips(self) -> list[Chip]:
        return chips_of(
            used=self.used, labels=_LABELS, words=lambda name, value: self.names.get(name) or _words(name, value)
        )

    @property
    @read_in(UTC)  # kept in the audit and with runs
    def words(self) -> str:
        """Return the filters in words, on one line: "State: Failed, From: 24h ago"."""
        return in_words(self.chips, of="deliveries")

    @property
    def more_given(self) -> bool:
        """Whether one of the folded fields is filled."""
        return any(one.folded and one.name in self.given for one in FILTERS)

    @property
    def ignored_for_refused(self) -> list[str]:
        """Labels of the filters in use that do not apply to refused requests."""
        return [one.label for one in FILTERS if one.name in self.used and not one.of_refused]


def parse(*, params: Mapping[str, Any], now: datetime) -> Filter:
    """Parse the filters of a URL. Relative times such as "24h" count back from `now`."""
    parsed = read(params=_with_refused(params), readers=_READERS, now=now)
    columns = dict(parsed.columns)
    refused = bool(columns.pop("refused", False))
    criteria = DeliveryCriteria(**columns)
    problems = (*parsed.problems, *_contradictions(criteria))
    return Filter(parsed.given, parsed.used, problems, criteria=criteria, refused=refused)


def _with_refused(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read "refused" among the states: its tab stands there, though refused requests are no deliveries with a state."""
    if pasted.term(params.get("state", "")).lower() != REFUSED:
        return params
    return {**params, "state": "", "signature": REFUSED}


def link_query(values: Mapping[str, str]) -> str:
    """Return the canonical query string of these filter values."""
    return urlencode({name: values[name] for name in _LABELS if values.get(name)})


def cause_value(*, cause: str, status: int) -> str:
    """Return the value of the cause filter for one cause."""
    return f"status:{status}" if cause == Cause.STATUS else cause


@cache
def cause_choices() -> tuple[tuple[str, str], ...]:
    classes = [(f"status:{digit}xx", f"handler returned any {digit}xx") for digit in (5, 4, 3)]
    others = [one for one in Cause if one not in {Cause.NONE, Cause.STATUS}]
    return (*classes, *((one.value, describe_cause(cause=one, status=None)) for one in others))


def _event(text: str, _now: datetime) -> Read:
    """Return an event type as OpenTrain writes it; one that Redeliver does not know, as it is written."""
    name = text.lower() if text.lower() in EVENT_TYPES else text
    return name, {"event_type": name}


def _state(text: str, _now: datetime) -> Read:
    name = text.lower().replace(" ", "_")
    if name not in set(StateKind):
        raise InvalidFilter(f"“{text}” is not a state: use {', '.join(StateKind)}.")
    return name, {"state": StateKind(name)}


def _cause(text: str, _now: datetime) -> Read:
    status = _STATUS.fullmatch(text)
    if status is not None:
        canonical = f"status:{status[1]}{status[2].lower()}"
        first, last = (int(status[1] + (end if status[2].lower() == "xx" else status[2])) for end in ("00", "99"))
        return canonical, {"cause": CauseCriteria(Cause.STATUS, first, last)}
    name = text.lower()
    if name not in set(Cause):
        known = ", ".join(one for one in Cause if one)
        raise InvalidFilter(f"“{text}” is not a cause: use a status such as 503 or 5xx, or one of {known}.")
    return name, {"cause": CauseCriteria(name)}


def _number(column: str) -> Reader:
    def read_number(text: str, _now: datetime) -> Read:
        if not _NUMBER.fullmatch(text):
            raise InvalidFilter(f"“{text}” is not a number of attempts: use a whole number such as 3.")
        return str(int(text)), {column: int(text)}

    return read_number


def _signature(text: str, _now: datetime) -> Read:
    name = text.lower()
    if name not in SIGNATURES:
        raise InvalidFilter(f"“{text}” is not a signature's result: use {', '.join(SIGNATURES)}.")
    return name, {"refused": True} if name == REFUSED else {"signature": "" if name == UNSAID else name}


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """One filter of delivery lists: its name in the URL, its label, and its reader.

    `columns` are the delivery columns that it filters by; the export contains them too. `folded` says that the page
    folds its field away; `of_refused` that it also applies to refused requests.
    """

    name: str
    label: str
    read: Reader
    columns: tuple[str, ...]
    folded: bool = False
    of_refused: bool = False


FILTERS = (
    DeliveryFilter("install", "Install", owner("install"), ("endpoint__install__name",), of_refused=True),
    DeliveryFilter("state", "State", _state, ("standing",)),
    DeliveryFilter("event", "Event type", _event, ("event_type",), of_refused=True),
    DeliveryFilter("cause", "Cause", _cause, ("last_cause", "last_status")),
    DeliveryFilter("attempts_min", "Attempts, at least", _number("attempts_min"), ("attempt_count",), folded=True),
    DeliveryFilter("attempts_max", "Attempts, at most", _number("attempts_max"), ("attempt_count",), folded=True),
    DeliveryFilter(START, "From", since("received_from"), ("first_received_at",), of_refused=True),
    DeliveryFilter(END, "To", until("received_to"), ("first_received_at",), of_refused=True),
    DeliveryFilter("delivery", "Delivery", identified("delivery_id"), ("opentrain_id",), of_refused=True),
    DeliveryFilter("event_id", "Event", identified("event_id"), ("event_id",), folded=True),
    DeliveryFilter("resource", "Resource", identified("resource_id"), ("resource_id",), folded=True),
    DeliveryFilter("signature", "Signature", _signature, ("last_signature",), folded=True, of_refused=True),
)
"""All filters, in the order of a canonical query. tests/test_in_step.py lists what else a new filter needs."""
_LABELS = {one.name: one.label for one in FILTERS}
_READERS = {one.name: one.read for one in FILTERS}


def _contradictions(criteria: DeliveryCriteria) -> list[str]:
    """Say why the criteria cannot match any delivery, if they contradict each other."""
    found = []
    if None not in {criteria.attempts_min, criteria.attempts_max} and (criteria.attempts_min or 0) > (
        criteria.attempts_max or 0
    ):
        found.append("No delivery can match: the minimum number of attempts exceeds the maximum.")
    return [*found, *backwards(criteria.received_from, criteria.received_to)]


def _words(name: str, value: str) -> str:
    if name == "state":
        return StateKind(value).label
    if name == "signature":
        return SIGNATURES[value]
    if name == "cause":
        status = _STATUS.fullmatch(value)
        if status is None:
            return describe_cause(cause=value, status=None)
        return f"handler returned {status[1]}{status[2]}"
    return time_words(name, value)
