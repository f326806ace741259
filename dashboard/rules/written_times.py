"""Times that people write or copy: a time of day, a day, or both, with an offset or in the reader's time zone.

What is read is told again in one form that means the same to everybody: ISO 8601 in UTC. Addresses have that form.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from dashboard.rules.outside_texts import EARLIEST, LATEST
from dashboard.rules.time_zones import ABBREVIATIONS, as_read, label, readers_zone, readers_zone_name

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTH = (
    r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?"
)
_WEEKDAY = r"mon(?:day)?|tues?(?:day)?|wed(?:nesday)?|thu(?:rs?(?:day)?)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?"
_ISO_DAY = r"(?P<iso>[0-9]{4}(?P<dash>[-/.]?)[0-9]{2}(?P=dash)[0-9]{2})"
_DAY = (
    rf"(?:(?P<word>today|yesterday)|(?P<weekday>{_WEEKDAY})"
    rf"|(?:(?:{_WEEKDAY}) )?(?:{_ISO_DAY}"
    rf"|(?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?[ -](?P<month>{_MONTH})\.?(?:[ -](?P<year>[0-9]{{4}}))?"
    rf"|(?P<us_month>{_MONTH})\.? (?P<us_day>[0-9]{{1,2}})(?:st|nd|rd|th)?(?: (?P<us_year>[0-9]{{4}}))?))"
)
_FRACTION = r"(?:[.,](?P<fraction>[0-9]+))?"
_ISO_CLOCK = rf"(?P<hour>[0-9]{{2}})(?::?(?P<minute>[0-9]{{2}})(?::?(?P<second>[0-9]{{2}}){_FRACTION})?)?"
_CLOCK = (
    rf"(?:(?P<hour>[0-9]{{1,2}}):(?P<minute>[0-9]{{2}})(?::(?P<second>[0-9]{{2}}){_FRACTION})?"
    r"(?: ?(?P<half>[ap])\.?m\.?)?|(?P<bare>[0-9]{1,2}) ?(?P<bare_half>[ap])\.?m\.?|(?P<noon>noon))"
)
_NAMED = "|".join(sorted((name.lower() for name in ABBREVIATIONS), key=len, reverse=True))
_SHIFT = r"[0-9]{1,2}(?::?[0-9]{2}){0,2}"
_OFFSET = rf"(?: ?(?P<offset>z|(?:utc|gmt)?[+-]{_SHIFT}|{_NAMED}))?"
_URL_OFFSET = rf"(?: ?(?P<offset>z|(?:utc|gmt)?[+ -]{_SHIFT}|{_NAMED}))?"
"""The "+" of an offset may have become a space in a URL."""
_FORMS = (
    re.compile(rf"{_ISO_DAY}(?:[t ]{_ISO_CLOCK}{_URL_OFFSET})?"),
    re.compile(rf"{_DAY}(?: (?:at )?{_CLOCK}{_OFFSET})?"),
    re.compile(rf"{_CLOCK}{_OFFSET}(?: (?:on )?{_DAY})?"),
)
_REFUSED = (
    (
        re.compile(
            r"(?<![0-9])[0-9]{1,2}(?:[./-][0-9]{1,2}[./-](?:[0-9]{2}){1,2}|/[0-9]{1,2}|\.[0-9]{1,2}\.)(?![0-9])"
        ),
        "write the day as 2026-11-29 or 29 Nov, because 03/04 is in March to some people and in April to others",
    ),
    (
        re.compile(r"(?<![0-9.:])[0-9]{1,2}\.[0-9]{2}(?![0-9.])"),
        "write a time of day with a colon, such as 15:00, and a day as 2026-11-29",
    ),
    (re.compile(r"\bmidnight\b"), "write the day that begins then, such as today, or 2026-11-29 00:00"),
)
"""Forms that mean one time to some people and another to others, and what to write instead."""
_MICRO_DIGITS = 6
_LEAP_YEARS_APART = 8
"""29 February without a year is at most this many years ago."""
_NO_SUCH_TIME = "hours go from 00 to 23, minutes and seconds from 00 to 59"
_YEARS = range(EARLIEST.year - 1, LATEST.year + 1)
"""Years of days that may be in range in UTC."""
_OTHER_YEARS = f"years go from {EARLIEST.year} to {LATEST.year - 1}"
_DAY_LONG, _HOUR, _MINUTE, _SECOND = (
    timedelta(days=1),
    timedelta(hours=1),
    timedelta(minutes=1),
    timedelta(seconds=1),
)


class NotATime(ValueError):
    """The text names no time, or not one alone. The message says why; it is empty if it has no form of a time."""


@dataclass(frozen=True, slots=True)
class WrittenTime:
    """A time in UTC, and how long what its text names lasts (a day of 23 to 25 hours, a minute, 100 ms).

    `doubt` says why a time of the reader's zone is not one moment, and `taken` which moment was taken; else empty.
    """

    at: datetime
    lasts: timedelta
    doubt: str = ""
    taken: str = ""

    @property
    def end(self) -> datetime:
        return self.at + self.lasts

    @property
    def first(self) -> str:
        """The text of the time, the same for every reader: "2026-11-29T03:12Z"."""
        return _iso(self.at)

    @property
    def last(self) -> str:
        """The text of the last minute, second or fraction of what is named. What it names ends at the same moment."""
        units = (_MINUTE, _SECOND, *(timedelta(microseconds=10**size) for size in reversed(range(_MICRO_DIGITS))))
        unit = next(unit for unit in units if unit <= self.lasts and not (self.end - EARLIEST) % unit)
        return _iso(self.end - unit, unit=unit)


def read(text: str, *, now: datetime, later: bool = False) -> WrittenTime:
    """Return the time of a text. A time without an offset is of the reader's zone, and one without a day is the latest.

    `later` takes the second of two moments that a text names when the clocks go back; else the first is taken.

    Raises: NotATime.
    """
    plain = " ".join(text.replace("\u2212", "-").lower().replace(", ", " ").split())  # the minus sign of typeset text
    written = next(filter(None, (form.fullmatch(plain) for form in _FORMS)), None)
    if written is None:
        raise NotATime(next((instead for form, instead in _REFUSED if form.search(plain)), ""))
    said = {name: value for name, value in written.groupdict().items() if value}
    clock = _clock(said)
    offset = _offset(said["offset"]) if "offset" in said else None
    day = _day(said, clock=clock, here=as_read(now) if offset is None else now + offset)
    if day.year not in _YEARS:
        raise NotATime(_OTHER_YEARS)
    if clock is None:
        found = _whole_day(day)
    elif offset is not None:
        found = WrittenTime(datetime.combine(day, clock, UTC) - offset, _lasts(said))
    else:
        found = _of_reader(day, clock, lasts=_lasts(said), later=later)
    if not EARLIEST <= found.at < found.end <= LATEST:
        raise NotATime(_OTHER_YEARS)
    return found


def as_shown(canonical: str) -> str:
    """Return a text of `first` or `last` in the reader's zone, as `read` reads it: "2026-11-29 04:12 CET".

    Raises: ValueError for another text.
    """
    plain, there = _without_mark(canonical)
    return f"{plain} {label(there)}"


def as_typed(canonical: str) -> str:
    """Return the same as `as_shown`, with the mark only where two moments are shown alike without it."""
    plain, there = _without_mark(canonical)
    is_alike = there.replace(fold=0).utcoffset() != there.replace(fold=1).utcoffset()
    return f"{plain} {label(there)}" if is_alike else plain


def _without_mark(canonical: str) -> tuple[str, datetime]:
    there = as_read(datetime.fromisoformat(canonical))
    clock = canonical.partition("T")[2].removesuffix("Z")
    second, dot, fraction = clock[5:].removeprefix(":").partition(".")
    return f"{there:%Y-%m-%d %H:%M}{f':{there:%S}' if second or there.second else ''}{dot}{fraction}", there


def _iso(moment: datetime, *, unit: timedelta = _MINUTE) -> str:
    """Return ISO 8601 in UTC, no shorter than the unit and no longer than the moment needs."""
    plain = moment.astimezone(UTC).replace(tzinfo=None)
    digits = f"{plain.microsecond:06}".rstrip("0")
    if unit < _SECOND:
        digits = f"{plain.microsecond:06}"[: _MICRO_DIGITS + 1 - len(str(unit.microseconds))]
    if digits:
        return f"{plain:%Y-%m-%dT%H:%M:%S}.{digits}Z"
    return f"{plain:%Y-%m-%dT%H:%M:%S}Z" if unit < _MINUTE or plain.second else f"{plain:%Y-%m-%dT%H:%M}Z"


def _clock(said: dict[str, str]) -> time | None:
    """Return the time of day; None if the text has none. Raises: NotATime."""
    if "noon" in said:
        return time(12)
    hour, half = said.get("hour") or said.get("bare"), said.get("half") or said.get("bare_half")
    if hour is None:
        return None
    number = int(hour)
    if half is not None:
        if not 1 <= number <= 12:  # noqa: PLR2004 - hours of half a day
            raise NotATime("hours go from 1 to 12 before am and pm")
        number = number % 12 + (12 if half == "p" else 0)
    micro = int(said.get("fraction", "").ljust(_MICRO_DIGITS, "0")[:_MICRO_DIGITS])
    try:
        return time(number, int(said.get("minute", 0)), int(said.get("second", 0)), micro)
    except ValueError:
        raise NotATime(_NO_SUCH_TIME) from None


def _offset(text: str) -> timedelta:
    """Raises: NotATime."""
    if text.upper() in ABBREVIATIONS or text == "z":
        return timedelta(hours=ABBREVIATIONS.get(text.upper(), 0))
    shift = text.removeprefix("utc").removeprefix("gmt")
    digits = shift[1:].replace(":", "")
    digits = digits if len(digits) % 2 == 0 else f"0{digits}"
    hours, minutes, seconds = (int(digits[at : at + 2] or 0) for at in (0, 2, 4))
    size = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if size >= _DAY_LONG or minutes > 59 or seconds > 59:  # noqa: PLR2004
        raise NotATime("an offset is less than 24 hours")
    return -size if shift[0] == "-" else size


def _day(said: dict[str, str], *, clock: time | None, here: datetime) -> date:
    """Return the day; without one, or without its year, the latest that has begun `here`. Raises: NotATime."""
    today, passed = here.date(), clock is None or clock <= here.time()
    if "iso" in said:
        return _date(said["iso"].replace(said["dash"], "") if "dash" in said else said["iso"])
    if "word" in said:
        return today if said["word"] == "today" else today - _DAY_LONG
    if "weekday" in said:
        back = (today.weekday() - _DAYS.index(said["weekday"][:3])) % len(_DAYS)
        return today - timedelta(days=back or (0 if passed else len(_DAYS)))
    month, day, year = (said.get(name) or said.get(f"us_{name}") for name in ("month", "day", "year"))
    if month is None or day is None:
        return today if passed else today - _DAY_LONG
    number = _MONTHS.index(month[:3]) + 1
    if year is not None:
        return _date(f"{year}{number:02}{int(day):02}")
    for one in range(today.year, today.year - _LEAP_YEARS_APART - 1, -1):
        try:
            found = date(one, number, int(day))
        except ValueError:
            continue  # 29 February
        if found < today or (found == today and passed):
            return found
    raise NotATime("there is no such day")


def _date(digits: str) -> date:
    """Raises: NotATime."""
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        raise NotATime("there is no such day") from None


def _of_reader(day: date, clock: time, *, lasts: timedelta, later: bool) -> WrittenTime:
    """Return the moment at which the reader's clocks show this."""
    first, second = _moments(day, clock)
    if first == second:
        return WrittenTime(first, lasts)
    zone = readers_zone()
    written, on = f"{clock:%H:%M}", f"on {day.day} {day:%B %Y} in {readers_zone_name()}"
    if first > second:
        shown = first.astimezone(zone)
        doubt = f"{written} does not exist {on}, because the clocks go forward."
        return WrittenTime(first, lasts, doubt, f"{shown:%H:%M} {label(shown)} is used.")
    early, late = label(first.astimezone(zone)), label(second.astimezone(zone))
    doubt = f"{written} comes twice {on}, as {early} and as {late}, because the clocks go back."
    at, mark = (second, late) if later else (first, early)
    return WrittenTime(at, lasts, doubt, f"{written} {mark} is used.")


def _whole_day(day: date) -> WrittenTime:
    """Raises: NotATime."""
    begin, end = _moments(day, time())[0], _moments(day + _DAY_LONG, time())[0]
    if begin == end:
        raise NotATime(f"{readers_zone_name()} had no such day")
    return WrittenTime(begin, end - begin)


def _moments(day: date, clock: time) -> tuple[datetime, datetime]:
    """Return both moments, in UTC, that a time of the reader's zone can mean. The first is later if there is none."""
    shown = datetime.combine(day, clock, readers_zone())
    return shown.replace(fold=0).astimezone(UTC), shown.replace(fold=1).astimezone(UTC)


def _lasts(said: dict[str, str]) -> timedelta:
    """Return how long the smallest unit of a time of day lasts."""
    if "fraction" in said:
        return timedelta(microseconds=10 ** max(_MICRO_DIGITS - len(said["fraction"]), 0))
    if "second" in said:
        return _SECOND
    return _MINUTE if said.keys() & {"minute", "bare", "noon"} else _HOUR
