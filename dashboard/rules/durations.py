"""Durations and times of day in words. Times are in the reader's time zone (time_zones.py), and name it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

from dashboard.rules.time_zones import UTC_NAME, as_read, label


def exactly(moment: datetime) -> str:
    """Return a time to the second: "2026-11-29 03:12:00 CET"."""
    return _to_the_second(as_read(moment))


def exactly_utc(moment: datetime) -> str:
    """Return a time to the second in UTC, for every reader."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} {UTC_NAME}"


_absolute: ContextVar[bool] = ContextVar("absolute_times", default=False)


@contextmanager
def absolute_times() -> Iterator[None]:
    """Have `clock` and `ago` write times to the second with their date: for texts that are read later and elsewhere."""
    before = _absolute.set(True)
    try:
        yield
    finally:
        _absolute.reset(before)


def _to_the_second(there: datetime) -> str:
    return f"{there:%Y-%m-%d %H:%M:%S} {label(there)}"


def ago(*, then: datetime, now: datetime) -> str:
    """Return "14 min ago"; "just now" for less than a second and for times in the future (clock skew).

    In `absolute_times`, it is "at" with what `exactly` returns.
    """
    if _absolute.get():
        return f"at {exactly(then)}"
    passed = now - then
    return "just now" if passed < timedelta(seconds=1) else f"{span(duration=passed)} ago"


def span(*, duration: timedelta) -> str:
    """Return a duration in its largest fitting unit, rounded down: "45 s", "14 min", "5 h", "3 days"."""
    seconds = max(int(duration.total_seconds()), 0)
    for size, unit in ((172_800, "days"), (7200, "h"), (120, "min")):
        if seconds >= size:
            return f"{seconds // {'days': 86_400, 'h': 3600, 'min': 60}[unit]} {unit}"
    return f"{seconds} s"


_NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_UNITS = (
    (86_400, "a day", "days"),
    (3600, "an hour", "hours"),
    (60, "a minute", "minutes"),
    (1, "a second", "seconds"),
)


def spelled(*, duration: timedelta) -> str:
    """Return a duration for use in a sentence, in the largest unit that divides it: "five minutes", "an hour".

    Fractions of a second are dropped; less than a second counts as one.
    """
    seconds = max(int(duration.total_seconds()), 1)
    size, one, many = next(unit for unit in _UNITS if seconds % unit[0] == 0)
    count = seconds // size
    if count == 1:
        return one
    return f"{_number(count)} {many}"


def in_halves(*, duration: timedelta) -> str:
    """Return a duration for use in a sentence, rounded down to half an hour: "two and a half hours", "three hours".

    Less than an hour is in minutes, and less than a minute in seconds.
    """
    seconds = int(duration.total_seconds())
    hours, rest = divmod(seconds, 3600)
    if not hours:
        return spelled(duration=timedelta(seconds=seconds // 60 * 60 or seconds))
    if rest < 1800:  # noqa: PLR2004
        return "an hour" if hours == 1 else f"{_number(hours)} hours"
    return "an hour and a half" if hours == 1 else f"{_number(hours)} and a half hours"


def _number(count: int) -> str:
    return _NUMBERS[count - 2] if count <= 10 else str(count)  # noqa: PLR2004


def within(*, earliest: datetime, latest: datetime, now: datetime) -> str:
    """Say when an attempt is expected that is due at `earliest` and made by a delivery run until `latest`."""
    if now >= latest:
        return "any moment now"
    if now >= earliest:
        return f"within {span(duration=latest - now)}"
    first, last = span(duration=earliest - now), span(duration=latest - now)
    return f"in about {first}" if first == last else f"in {first} to {last}"


def clock(*, then: datetime, now: datetime) -> str:
    """Return a time of day, such as "11:22 CET"; with the date if it is not today where the reader is.

    In `absolute_times`, it is what `exactly` returns.
    """
    if _absolute.get():
        return exactly(then)
    there, here = as_read(then), as_read(now)
    day = "" if there.date() == here.date() else f" on {there.day} {there:%B}"
    year = "" if there.year == here.year else f" {there.year}"
    return f"{there:%H:%M} {label(there)}{day}{year}"
