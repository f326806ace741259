"""Times that people write or copy: a day, or a time of day in UTC or with an offset."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_TIME = re.compile(
    r"(?P<date>[0-9]{4}(?P<dash>-?)[0-9]{2}(?P=dash)[0-9]{2})"
    r"(?:[T ](?P<hour>[0-9]{2})(?::?(?P<minute>[0-9]{2})(?::?(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]+))?)?)?"
    r" ?(?P<offset>Z|UTC|[+ -][0-9]{2}(?::?[0-9]{2})?)?)?"
)
"""The "+" of an offset may have become a space in a URL."""
_MICRO_DIGITS = 6


@dataclass(frozen=True, slots=True)
class WrittenTime:
    """A time in UTC, its text with the offset's "+", and how long what it names lasts (a day, a minute, 100 ms)."""

    at: datetime
    text: str
    lasts: timedelta


def read(text: str) -> WrittenTime:
    """Return the time of a text. Raises: ValueError or OverflowError if there is none."""
    text = text.replace("\u2212", "-")  # the minus sign of typeset text
    written = _TIME.fullmatch(text.upper())
    if written is None:
        raise ValueError
    sign = written.start("offset")
    plus = f"{text[:sign]}+{text[sign + 1 :]}" if (written["offset"] or "").startswith(" ") else text
    return WrittenTime(_moment(written), plus, _lasts(written))


def _moment(written: re.Match[str]) -> datetime:
    """Raises: ValueError if there is no such time; OverflowError if it is out of range in UTC."""
    offset = (written["offset"] or "Z").replace("UTC", "Z").replace(" ", "+")
    day = written["date"].replace("-", "")
    fraction = (written["fraction"] or "").ljust(_MICRO_DIGITS, "0")[:_MICRO_DIGITS]
    time = "".join(written[unit] or "00" for unit in ("hour", "minute", "second"))
    return datetime.fromisoformat(f"{day}T{time}.{fraction}{offset.replace(':', '')}").astimezone(UTC)


def _lasts(written: re.Match[str]) -> timedelta:
    """Return how long the smallest unit that is written lasts."""
    if written["fraction"]:
        return timedelta(microseconds=10 ** max(_MICRO_DIGITS - len(written["fraction"]), 0))
    if written["second"]:
        return timedelta(seconds=1)
    if written["minute"]:
        return timedelta(minutes=1)
    return timedelta(hours=1) if written["hour"] else timedelta(days=1)
