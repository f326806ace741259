"""What a list's URL asks for, read forgivingly: what can be understood is used, and what cannot is said in words.

The canonical query string is the filter's name: a link to it, its chips, its pages and its export all carry the same.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from dashboard.queries.delivery_lists import CauseCriteria, Cursor, DeliveryCriteria
from dashboard.rules.causes import Cause, describe_cause
from dashboard.rules.deliveries import StateKind
from dashboard.signatures import REPORTED, Verdict

ID = re.compile(r"[0-9]{1,18}")
"""What an address may give as the ID of a row; every such number fits the column."""
TEXT_CHARS = 200
_AGO = re.compile(r"([1-9][0-9]{0,4}) ?(m|min|h|d|days?)")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_STATUS = re.compile(r"(?:status:)?([1-9])([0-9]{2}|xx)", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,6}")
_CURSOR = re.compile(r"([0-9]{4}-[0-9T:.-]{5,24}Z)_([0-9]{1,18})")
REFUSED, UNSAID = "refused", "unsaid"
_REPORTS = {verdict or UNSAID: f"its handler {did}" for verdict, did in REPORTED.items() if verdict != Verdict.VERIFIED}
SIGNATURES = {Verdict.VERIFIED.value: "verified", **_REPORTS, REFUSED: "refused, so not a delivery"}
"""The results of a signature that one may ask for, in words. UNSAID is stored as ""."""


@dataclass(frozen=True, slots=True)
class Chip:
    """One filter in words, and the query that is left without it."""

    label: str
    words: str
    without: str


@dataclass(frozen=True, slots=True)
class Filter:
    """What was asked for: `given` as it was written, `used` as it is canonical, `problems` in words."""

    criteria: DeliveryCriteria
    refused: bool
    given: dict[str, str]
    used: dict[str, str]
    problems: tuple[str, ...]

    @property
    def query(self) -> str:
        """The canonical query string, without a leading "?"."""
        return urlencode(self.used)

    @property
    def chips(self) -> list[Chip]:
        return chips_of(used=self.used, labels=_LABELS, words=_words)

    @property
    def words(self) -> str:
        """Say in one line what is wanted: "State: Failed, From: 24h ago"."""
        return ", ".join(f"{chip.label}: {chip.words}" for chip in self.chips) or "no filter: all deliveries"

    @property
    def more_given(self) -> bool:
        """Whether one of the fields is filled that are folded away."""
        return any(one.folded and one.name in self.given for one in FILTERS)

    @property
    def ignored_for_refused(self) -> list[str]:
        """The filters that refused requests have nothing to be measured by."""
        return [one.label for one in FILTERS if one.name in self.used and not one.of_refused]


class Nonsense(ValueError):
    """What was written cannot be understood; the text says how to write it."""


def parse(*, params: Mapping[str, Any], now: datetime) -> Filter:
    """Read the filters of a URL. `now` is what "24h" is reckoned from."""
    told = read(params=params, readers=_READERS, now=now)
    columns = dict(told.columns)
    refused = bool(columns.pop("refused", False))
    criteria = DeliveryCriteria(**columns)
    return Filter(criteria, refused, told.given, told.used, (*told.problems, *_contradictions(criteria)))


@dataclass(frozen=True, slots=True)
class Told:
    """What a URL says of a list, whichever list: as `Filter` has it, and the columns that are wanted."""

    given: dict[str, str]
    used: dict[str, str]
    columns: dict[str, Any]
    problems: list[str]


def read(*, params: Mapping[str, Any], readers: "Mapping[str, Reader]", now: datetime) -> Told:
    """Read the filters that there are readers for; what is in the URL beside them is not looked at."""
    cleaned = {name: _clean(params.get(name, "")) for name in readers}
    told = Told({name: text for name, text in cleaned.items() if text}, {}, {}, [])
    for name, text in told.given.items():
        try:
            told.used[name], columns = readers[name](text, now)
        except Nonsense as error:
            told.problems.append(str(error))
        else:
            told.columns.update(columns)
    return told


def chips_of(*, used: Mapping[str, str], labels: Mapping[str, str], words: Callable[[str, str], str]) -> list[Chip]:
    """Return a chip for each filter in use."""
    return [
        Chip(labels[name], words(name, value), urlencode({key: used[key] for key in used if key != name}))
        for name, value in used.items()
    ]


def link_query(values: Mapping[str, str]) -> str:
    """Return the canonical query string of these filters."""
    return urlencode({name: values[name] for name in _LABELS if values.get(name)})


def parse_cursor(params: Mapping[str, Any]) -> Cursor | None:
    """Return the place that `older=` or `newer=` names; None for none, and for one that cannot be read."""
    for name in ("older", "newer"):
        match = _CURSOR.fullmatch(params.get(name, ""))
        if match is not None:
            try:
                return Cursor(datetime.fromisoformat(match[1]), int(match[2]), newer=name == "newer")
            except ValueError:
                return None
    return None


def cursor_text(*, at: datetime, pk: int) -> str:
    """Return what `parse_cursor` reads: a place that stays where it is while rows arrive."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z_{pk}"


def cause_value(*, cause: str, status: int) -> str:
    """Return the filter for one cause, as `parse` reads it."""
    return f"status:{status}" if cause == Cause.STATUS else cause


def cause_choices() -> list[tuple[str, str]]:
    classes = [(f"status:{digit}xx", f"handler returned any {digit}xx") for digit in (5, 4, 3)]
    others = [one for one in Cause if one not in {Cause.NONE, Cause.STATUS}]
    return [*classes, *((one.value, describe_cause(cause=one, status=None)) for one in others)]


def _clean(text: str) -> str:
    return text.replace("\0", "").strip()[:TEXT_CHARS]


Read = tuple[str, dict[str, Any]]
"""A filter as it is canonical, and the columns that it names."""
Reader = Callable[[str, datetime], Read]
"""What makes it of what was written, and of the time that "24h" is reckoned from. Raises: Nonsense."""


def _state(text: str, _now: datetime) -> Read:
    name = text.lower().replace(" ", "_")
    if name not in set(StateKind):
        raise Nonsense(f"“{text}” is not a state: use {', '.join(StateKind)}.")
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
        raise Nonsense(f"“{text}” is not a cause: use a status such as 503 or 5xx, or one of {known}.")
    return name, {"cause": CauseCriteria(name)}


def _number(column: str) -> Reader:
    def read_number(text: str, _now: datetime) -> Read:
        if not _NUMBER.fullmatch(text):
            raise Nonsense(f"“{text}” is not a number of attempts: use a whole number such as 3.")
        return str(int(text)), {column: int(text)}

    return read_number


def _moment(text: str, now: datetime) -> tuple[datetime, timedelta]:
    """Return a time, and how much time what was written stands for: a day, a minute, a second, or none."""
    passed = _AGO.fullmatch(text.lower())
    try:
        if passed is not None:
            return now - int(passed[1]) * _UNITS[passed[2][0]], timedelta()
        found = datetime.fromisoformat(text)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        how = "use 2026-06-12, 2026-06-12T03:12 (UTC), or 24h for the last 24 hours"
        raise Nonsense(f"“{text}” is not a time: {how}.") from None
    if "T" not in text and ":" not in text:
        return found, timedelta(days=1)
    return found, timedelta(seconds=1 if text.count(":") > 1 else 60)


def since(column: str) -> Reader:
    """Return the reader of a range's begin."""
    return lambda text, now: (text, {column: _moment(text, now)[0]})


def until(column: str) -> Reader:
    """Return the reader of a range's end; what was written is within it: a day to its end, a minute to its end."""

    def read_end(text: str, now: datetime) -> Read:
        found, lasts = _moment(text, now)
        try:
            return text, {column: found + lasts}
        except OverflowError:
            return text, {column: found}

    return read_end


def as_written(column: str) -> Reader:
    return lambda text, _now: (text, {column: text})


def _signature(text: str, _now: datetime) -> Read:
    name = text.lower()
    if name not in SIGNATURES:
        raise Nonsense(f"“{text}” is not a signature's result: use {', '.join(SIGNATURES)}.")
    return name, {"refused": True} if name == REFUSED else {"signature": "" if name == UNSAID else name}


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """One filter of the lists of deliveries: what the URL and the page call it, and how it is read.

    `columns` are those of a delivery that it filters by: the export has them too. `folded` is a field that the page
    folds away, `of_refused` one that refused requests can be filtered by as well.
    """

    name: str
    label: str
    read: Reader
    columns: tuple[str, ...]
    folded: bool = False
    of_refused: bool = False


FILTERS = (
    DeliveryFilter("state", "State", _state, ("standing",)),
    DeliveryFilter("event", "Event type", as_written("event_type"), ("event_type",), of_refused=True),
    DeliveryFilter("cause", "Cause", _cause, ("last_cause", "last_status")),
    DeliveryFilter("attempts_min", "Attempts, at least", _number("attempts_min"), ("attempt_count",), folded=True),
    DeliveryFilter("attempts_max", "Attempts, at most", _number("attempts_max"), ("attempt_count",), folded=True),
    DeliveryFilter("from", "From", since("received_from"), ("first_received_at",), of_refused=True),
    DeliveryFilter("to", "To", until("received_to"), ("first_received_at",), of_refused=True),
    DeliveryFilter("delivery", "Delivery", as_written("delivery_id"), ("opentrain_id",), of_refused=True),
    DeliveryFilter("event_id", "Event", as_written("event_id"), ("event_id",), folded=True),
    DeliveryFilter("resource", "Resource", as_written("resource_id"), ("resource_id",), folded=True),
    DeliveryFilter("signature", "Signature", _signature, ("last_signature",), folded=True, of_refused=True),
)
"""Every filter there is, in the order in which a canonical query has them. tests/test_in_step.py says what else one
needs.
"""
_LABELS = {one.name: one.label for one in FILTERS}
_READERS = {one.name: one.read for one in FILTERS}


def _contradictions(criteria: DeliveryCriteria) -> list[str]:
    """Say why nothing can match, where that is to be seen from the filter alone."""
    found = []
    if None not in {criteria.attempts_min, criteria.attempts_max} and (criteria.attempts_min or 0) > (
        criteria.attempts_max or 0
    ):
        found.append("Nothing can match: the least number of attempts is above the most.")
    return [*found, *backwards(criteria.received_from, criteria.received_to)]


def backwards(begin: datetime | None, end: datetime | None) -> list[str]:
    """Say so where a time range ends before it begins."""
    return ["Nothing can match: the time range ends before it begins."] if begin and end and begin >= end else []


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


def time_words(name: str, value: str) -> str:
    """Say a filter's value as people do: "24h ago"; any other as it is."""
    return f"{value} ago" if name in {"from", "to"} and _AGO.fullmatch(value.lower()) else value
