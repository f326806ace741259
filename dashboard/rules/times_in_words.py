"""Times within sentences, in the forms of durations.py and written_times.py: in UTC, and for another reader."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from dashboard.rules.durations import clock, exactly
from dashboard.rules.outside_texts import QUOTED
from dashboard.rules.time_zones import ABBREVIATIONS, UTC_NAME, as_read, label

_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_ANY_DAY = "2000-06-15"
_MARK = "|".join(sorted(ABBREVIATIONS, key=len, reverse=True))
_IN_WORDS = re.compile(
    rf"(?<![0-9/.,:-])(?P<day>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}} )?"
    rf"\b(?P<hour>[0-9]{{2}}):(?P<minute>[0-9]{{2}})(?P<second>:[0-9]{{2}}(?P<fraction>\.[0-9]+)?)?"
    r" (?:UTC(?P<sign>[+-])(?P<hours>[0-9]{2}):(?P<minutes>[0-9]{2})(?::(?P<seconds>[0-9]{2}))?"
    rf"|(?P<name>{_MARK}))\b(?![+-][0-9])"
    rf"(?P<on> on (?P<date>[0-9]{{1,2}}) (?P<month>{'|'.join(_MONTHS)})\b(?: (?P<year>[0-9]{{4}})\b)?)?"
)
_NUMBER = re.compile(r"[0-9] ")
"""It stands before a time of day only in the forms of others, such as "30 Nov 2026 14:01 UTC"."""
_WRITTEN_WITHIN = timedelta(minutes=2)
"""A sentence is stored at most this long after it was made."""
_SHIFT = timedelta(hours=1)
"""Clocks go forward and back by at most this."""


def times_in(words: str) -> Iterator[tuple[int, int, str]]:
    """Find the times of other zones in a sentence; yield where each begins and ends, and what it is in UTC.

    A time of day without its day is told as that: "14:01 UTC", with "the day before" or "the day after".
    """
    for found in _ours(words):
        if found["name"] == UTC_NAME:
            continue
        there = _shown(found, day=(found["day"] or _ANY_DAY).strip())
        if there is None:
            continue
        utc = there - _offset(found)
        shown = f"{utc:%H:%M}{f':{utc:%S}' if found['second'] else ''}{found['fraction'] or ''} UTC"
        if found["day"]:
            shown = f"{utc:%Y-%m-%d} {shown}"
        elif utc.date() != there.date():
            shown += " the day before" if utc < there else " the day after"
        yield found.start(), found.start("on") if found["on"] else found.end(), shown


def retold(words: str, *, written: datetime, now: datetime) -> Iterator[tuple[str, datetime | None]]:
    """Yield a stored sentence for the current reader: its words as they are, and its times, each with its moment.

    A time of day without its day is of the day when the sentence was `written`. It gets its day if that is not today. A
    time that may be of the day before, or that is quoted, stays as it is.
    """
    done = 0
    for found in _ours(words):
        at = _moment(found, written=written)
        if at is not None:
            yield words[done : found.start()], None
            yield _as_read(found, at, now=now), at
            done = found.end()
    yield words[done:], None


def retell(words: str, *, written: datetime, now: datetime) -> str:
    """Return a stored sentence with its times in the reader's zone."""
    return "".join(part for part, _at in retold(words, written=written, now=now))


def _ours(words: str) -> Iterator[re.Match[str]]:
    if ":" not in words:
        return
    quoted = [one.span() for one in QUOTED.finditer(words)]
    for found in _IN_WORDS.finditer(words):
        is_quoted = any(begin < found.start() < end for begin, end in quoted)
        if not is_quoted and not _NUMBER.match(words, max(found.start() - 2, 0), found.start()):
            yield found


def _offset(found: re.Match[str]) -> timedelta:
    size = {name: int(found[name] or 0) for name in ("hours", "minutes", "seconds")}
    return timedelta(**size) * (-1 if found["sign"] == "-" else 1) + timedelta(
        hours=ABBREVIATIONS.get(found["name"], 0)
    )


def _shown(found: re.Match[str], *, day: str) -> datetime | None:
    """Return what the clocks of its zone showed, as if it was UTC; None if there is no such time."""
    second = (found["second"] or "").partition(".")[0]
    try:
        there = datetime.fromisoformat(f"{day}T{found['hour']}:{found['minute']}{second}+00:00")
        there - _offset(found)
    except (ValueError, OverflowError):
        return None  # not a time of ours
    return there


def _moment(found: re.Match[str], *, written: datetime) -> datetime | None:
    """Return the moment of a time in a sentence that was written then; None if it is not known."""
    offset = _offset(found)
    here = written.astimezone(UTC) + offset
    if found["day"]:
        day = found["day"].strip()
    elif found["second"]:
        return None  # a time of day alone has no seconds in our sentences
    elif found["on"]:
        month = _MONTHS.index(found["month"]) + 1
        day = f"{found['year'] or here.year}-{month:02}-{int(found['date']):02}"
    else:
        slack = _WRITTEN_WITHIN if found["name"] == UTC_NAME else _SHIFT
        around = {(here - slack).date(), here.date()} | ({(here + slack).date()} if slack is _SHIFT else set())
        if len(around) > 1:
            return None
        day = here.date().isoformat()
    there = _shown(found, day=day)
    return None if there is None else there - offset


def _as_read(found: re.Match[str], at: datetime, *, now: datetime) -> str:
    """Return the time as it was written, to the same unit, in the reader's zone."""
    if not found["day"]:
        return clock(then=at, now=now)
    if found["second"] and not found["fraction"]:
        return exactly(at)
    there = as_read(at)
    second = f"{there:%S}{found['fraction']}" if found["fraction"] else f"{there:%S}" if there.second else ""
    return f"{there:%Y-%m-%d %H:%M}{f':{second}' if second else ''} {label(there)}"
