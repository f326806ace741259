"""Filters of a list and a position in it, parsed from a URL: what delivery lists, contracts and activity share.

Valid filters apply; each invalid one becomes a problem in words. The canonical query string identifies a filter: links,
chips, pages and exports all carry it. Its times are in UTC, so that an address means the same to everybody; people type
them in their own time zone, and read them in it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from dashboard.queries.delivery_lists import Cursor
from dashboard.rules import pasted, written_times
from dashboard.rules.secret_texts import has_secret
from dashboard.rules.time_zones import readers_zone_name

ID = re.compile(r"[0-9]{1,18}")
"""A row ID in a URL. Every such number fits the column."""
LARGEST = 2**63 - 1
"""The largest row ID."""
TEXT_CHARS = 200
START, END = "from", "to"
"""Names of the filters that are times."""
_AGO = re.compile(r"(([1-9][0-9]{0,4}) ?(m|min|mins|minutes?|h|hrs?|hours?|d|days?))(?: ago)?")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_CURSOR = re.compile(r"([0-9]{4}-[0-9T:.-]{5,24}Z)_([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Chip:
    """One filter in words, and the query without it."""

    label: str
    words: str
    without: str


@dataclass(frozen=True)  # without slots: it keeps its query
class ListFilter:
    """Parsed filters of a list: `given` as written, `used` in canonical form, `problems` in words."""

    given: dict[str, str]
    used: dict[str, str]
    problems: tuple[str, ...]

    @cached_property
    def query(self) -> str:
        """The canonical query string, without its leading "?"."""
        return urlencode(self.used)


@dataclass(frozen=True, slots=True)
class ParsedFilters:
    """The filters of any list's URL: the fields of `ListFilter`, and the wanted columns."""

    given: dict[str, str]
    used: dict[str, str]
    columns: dict[str, Any]
    problems: list[str]


class InvalidFilter(ValueError):
    """The filter is invalid; the text says how to write it."""


Read = tuple[str, dict[str, Any]]
"""A filter's canonical value, and the criteria that it sets."""
Reader = Callable[[str, datetime], Read]
"""Parses a filter's text; relative times count back from the second argument. Raises: InvalidFilter."""


def read(*, params: Mapping[str, Any], readers: "Mapping[str, Reader]", now: datetime) -> ParsedFilters:
    """Parse the filters that have a reader, and ignore other parameters."""
    cleaned = {name: pasted.term(params.get(name, "").replace("\0", "")) for name in readers}
    # A secret is neither shown nor kept in links.
    shown = {name: "" if has_secret(text) else text[:TEXT_CHARS] for name, text in cleaned.items()}
    parsed = ParsedFilters({name: text for name, text in shown.items() if text}, {}, {}, [])
    for name, text in cleaned.items():
        try:
            if not text:
                continue
            _check(text)
            parsed.used[name], columns = readers[name](text, now)
        except InvalidFilter as error:
            parsed.problems.append(str(error))
        else:
            parsed.columns.update(columns)
            if name in {START, END}:
                parsed.given[name] = _typed_time(parsed.used[name])
    return parsed


def times_to_address(*, params: Mapping[str, Any], now: datetime) -> tuple[dict[str, str], list[str]]:
    """Return the times of a URL that are not canonical in it, as they should be, and which moments were taken for them.

    Texts that are no times are left as they are, for `parse` to refuse.
    """
    canonical, taken = {}, []
    for name in (START, END):
        given = params.get(name, "")
        text = pasted.term(given.replace("\0", ""))
        try:
            if not text:
                continue
            _check(text)
            found = _read_time(text, now, is_end=name == END)
        except InvalidFilter:
            continue
        if found.canonical != given:
            canonical[name] = found.canonical
            taken += [found.doubt] if found.doubt else []
    return canonical, taken


def chips_of(*, used: Mapping[str, str], labels: Mapping[str, str], words: Callable[[str, str], str]) -> list[Chip]:
    """Return a chip for each filter in use."""
    return [
        Chip(labels[name], words(name, value), urlencode({key: used[key] for key in used if key != name}))
        for name, value in used.items()
    ]


def in_words(chips: Sequence[Chip], *, of: str) -> str:
    """Return filters in words, on one line. `of` names what the list is of."""
    return ", ".join(f"{chip.label}: {chip.words}" for chip in chips) or f"no filter: all {of}"


def backwards(begin: datetime | None, end: datetime | None) -> list[str]:
    """Return a problem if a time range ends before it begins."""
    return ["Nothing can match: the time range ends before it begins."] if begin and end and begin >= end else []


def time_words(name: str, value: str) -> str:
    """Return a canonical time in the reader's zone, or as "24h ago"; and any other value unchanged."""
    if name not in {START, END}:
        return value
    return f"{value} ago" if _AGO.fullmatch(value) else written_times.as_shown(value)


def parse_cursor(params: Mapping[str, Any]) -> Cursor | None:
    """Return the cursor in `older=` or `newer=`; None if it is absent or invalid."""
    for name in ("older", "newer"):
        match = _CURSOR.fullmatch(params.get(name, ""))
        if match is not None:
            try:
                return Cursor(datetime.fromisoformat(match[1]), int(match[2]), newer=name == "newer")
            except ValueError:
                return None
    return None


def cursor_text(*, at: datetime, pk: int) -> str:
    """Return a cursor for `parse_cursor`. Its position stays the same while rows arrive."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z_{pk}"


def as_written(column: str) -> Reader:
    return lambda text, _now: (text, {column: text})


def owner(column: str) -> Reader:
    """Return the reader of an install or an endpoint: its number, its ID, or its name."""

    def read_owner(text: str, _now: datetime) -> Read:
        if text.isdecimal() and int(text) > LARGEST:
            raise InvalidFilter(f"“{text}” is not a valid {column} number.")
        return text, {column: text}

    return read_owner


def identified(column: str) -> Reader:
    """Return the reader of an ID; the column's name names it: "delivery_id"."""
    what = column.replace("_id", " ID")

    def read_id(text: str, _now: datetime) -> Read:
        try:
            found = pasted.identifier(text, what=what)
        except pasted.Unusable as error:
            raise InvalidFilter(str(error)) from None
        return found, {column: found}

    return read_id


def since(column: str) -> Reader:
    """Return the reader of a range's start."""

    def read_start(text: str, now: datetime) -> Read:
        found = _read_time(text, now, is_end=False)
        return found.canonical, {column: found.at}

    return read_start


def until(column: str) -> Reader:
    """Return the reader of a range's end. The range includes all that the text names, such as a whole day or minute."""

    def read_end(text: str, now: datetime) -> Read:
        found = _read_time(text, now, is_end=True)
        return found.canonical, {column: found.at}

    return read_end


def _check(text: str) -> None:
    """Raises: InvalidFilter if no filter can have this value."""
    if has_secret(text):
        raise InvalidFilter("A filter contains a token, key or secret. Keep it out of URLs: browsers remember them.")
    if len(text) > TEXT_CHARS:
        raise InvalidFilter(f"“{text[:40]}…” has {len(text)} characters: a filter has at most {TEXT_CHARS}.")


@dataclass(frozen=True, slots=True)
class _Time:
    """A time in a filter: its canonical text, and its moment. `doubt` says which moment was taken if there were two."""

    canonical: str
    at: datetime
    doubt: str = ""


def _read_time(text: str, now: datetime, *, is_end: bool) -> _Time:
    """Return the time that begins a range, or ends it with all that the text names, such as a day.

    Raises: InvalidFilter.
    """
    passed = _AGO.fullmatch(text.lower())
    if passed is not None:
        return _Time(passed[1], now - int(passed[2]) * _UNITS[passed[3][0]])
    try:
        plain = f"{now.astimezone(UTC):%Y-%m-%dT%H:%MZ}" if text.lower() == "now" else text
        written = written_times.read(plain, now=now, later=is_end)
    except written_times.NotATime as error:
        raise InvalidFilter(f"“{text}” is not a time: {str(error) or _how_to_write_a_time()}.") from None
    doubt = f"{written.doubt} {written.taken}" if written.doubt else ""
    return _Time(written.last, written.end, doubt) if is_end else _Time(written.first, written.at, doubt)


def _how_to_write_a_time() -> str:
    zone = readers_zone_name()
    return (
        f"use 03:12, yesterday 3pm or 2026-06-12 03:12 ({zone}), 2026-06-12T05:12+02:00, or 24h for the last 24 hours"
    )


def _typed_time(canonical: str) -> str:
    """Return a canonical time as the reader would type it."""
    return canonical if _AGO.fullmatch(canonical) else written_times.as_typed(canonical)
