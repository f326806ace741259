"""Time zones: which there are, how a time in one is marked, and the zone of the reader.

The reader is the person whom the current request is for (dashboard/middleware/time_zones.py). Workers, commands and
threads that a request starts have no reader: their words are in UTC.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

UTC_NAME = "UTC"
NAME_CHARS = 60
_OF_MACHINES = {"Factory", "localtime"}
"""Names that are for the set-up of machines."""
ABBREVIATIONS = {
    "UTC": 0, "GMT": 0, "WET": 0, "WEST": 1, "BST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3, "MSK": 3,
    "JST": 9, "KST": 9, "AWST": 8, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13,
    "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8,
    "HST": -10,
}  # fmt: skip
"""Abbreviations that pages write and filters read, and the one offset of each, in hours.

Others name several offsets: IST is India's, Ireland's and Israel's. The offset is written instead of them, and instead
of these where they mean another, as CST does in China.
"""


@cache
def _names() -> frozenset[str]:
    """Return all names of time zones. Cached, because finding them reads many files."""
    return frozenset(available_timezones() - _OF_MACHINES) | {UTC_NAME}


@cache
def time_zones() -> tuple[str, ...]:
    """Return the time zones that people choose from, UTC first. Those of Etc/ are no places."""
    return (UTC_NAME, *sorted(name for name in _names() if name != UTC_NAME and not name.startswith("Etc/")))


def is_known(name: str) -> bool:
    """Return whether there is a time zone of this name, which may come from outside."""
    return name in _names()


def zone_written(text: str) -> str:
    """Return the name of a zone as people write it: in any case, with spaces, or its city alone. Empty if it is none.

    A city alone is enough where one zone has it.
    """
    wanted = "_".join(text.split()).casefold()
    whole = [name for name in _names() if name.casefold() == wanted]
    cities = [name for name in time_zones() if name.casefold().rpartition("/")[2] == wanted]
    found = whole or cities
    return found[0] if len(found) == 1 else ""


def zone_named(name: str) -> tzinfo:
    """Return a time zone by name; UTC for a name that the system does not know.

    A time in another zone is better than none. UTC itself needs no time zone data.
    """
    try:
        return UTC if name == UTC_NAME else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


_reader: ContextVar[tzinfo] = ContextVar("readers_zone", default=UTC)


def readers_zone() -> tzinfo:
    """Return the time zone of the current reader; UTC if there is none."""
    return _reader.get()


def readers_zone_name() -> str:
    """Return the IANA name of the reader's time zone."""
    return getattr(_reader.get(), "key", UTC_NAME)


def readers_zone_is_utc() -> bool:
    """Return whether what is written now needs no UTC beside it."""
    return _reader.get() is UTC


@contextmanager
def read_in(zone: tzinfo) -> Iterator[None]:
    """Have words written for a reader in this time zone. The decorator `read_in(UTC)` is for words that are stored."""
    before = _reader.set(zone)
    try:
        yield
    finally:
        _reader.reset(before)


def as_read(moment: datetime) -> datetime:
    """Return a time in the reader's zone; in UTC at the end of the calendar, where the zone has no such day."""
    try:
        return moment.astimezone(_reader.get())
    except OverflowError:
        return moment.astimezone(UTC)


def label(moment: datetime) -> str:
    """Return the mark of a time in its zone: "CET" or "UTC+05:30". Each mark stands for one offset."""
    offset = moment.utcoffset() or timedelta()
    name = moment.tzname() or ""
    if name in ABBREVIATIONS and timedelta(hours=ABBREVIATIONS[name]) == offset:
        return name
    if not offset:
        return UTC_NAME
    minutes, seconds = divmod(int(abs(offset).total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    sign = "-" if offset < timedelta() else "+"
    return f"UTC{sign}{hours:02}:{minutes:02}" + (f":{seconds:02}" if seconds else "")
