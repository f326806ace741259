"""What a person says of a time of which events may be missing: that they checked it. Pure.

A check takes the time out of the inbox and proves nothing: the log still cannot show the events. It is of exactly the
time that the person saw. What contracts show to be missing is a fact, and no check covers it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dashboard.rules.durations import clock
from dashboard.rules.lost_window import Stop
from dashboard.rules.may_be_missing import span_words
from dashboard.rules.run_endings import EndingKind

NOTE_CHARS = 300
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SPAN = re.compile(r"([0-9]{1,16})-([0-9]{1,16})")


@dataclass(frozen=True, slots=True)
class Check:
    """Who checked the time between `since` and `until`, when, and how. `id` tells it from a later one of that time."""

    since: datetime
    until: datetime
    by: str
    at: datetime
    note: str = ""
    id: int = 0


@dataclass(frozen=True, slots=True)
class Checked:
    """What is said of checks of a time: `check` is that of exactly this time, and `covers` is whether it counts."""

    words: str = ""
    check: Check | None = None
    covers: bool = False


def span_text(stop: Stop) -> str:
    """Return the name of a time that is over in forms and URLs, which `span_from` reads; empty while it lasts."""
    if stop.until is None:
        return ""
    return "-".join(str((moment - _EPOCH) // _MICROSECOND) for moment in (stop.since, stop.until))


def span_from(text: str) -> tuple[datetime, datetime] | None:
    """Return when the named time began and ended, to the microsecond; None if the text names none."""
    named = _SPAN.fullmatch(text)
    if named is None:
        return None
    since, until = (_EPOCH + int(number) * _MICROSECOND for number in named.groups())
    return since, until


def can_be_checked(stop: Stop, ending: EndingKind | None) -> bool:
    """Return whether a person may say that they checked it: it is over, and contracts show nothing missing."""
    return stop.until is not None and ending is not EndingKind.MISSING


def checked(stop: Stop, ending: EndingKind | None, *, checks: Iterable[Check], now: datetime) -> Checked:
    """Return what is said of the endpoint's checks of this time, or of one that it has grown from."""
    near = sorted((one for one in checks if _concerns(one, stop)), key=lambda one: one.at, reverse=True)
    exact = next((one for one in near if (one.since, one.until) == (stop.since, stop.until)), None)
    if exact is None:
        return Checked(_outdated(near[0], now=now) if near else "")
    if can_be_checked(stop, ending):
        return Checked(check_words(exact, now=now), exact, covers=True)
    return Checked(f"{check_words(exact, now=now)} A check does not cover what contracts show to be missing.", exact)


def check_words(check: Check, *, now: datetime) -> str:
    """Return "Checked by ana, 21:03 UTC: Partner compared with its own list."."""
    said = f"Checked by {check.by}, {clock(then=check.at, now=now)}"
    if not check.note:
        return f"{said}."
    return f"{said}: {check.note}" if check.note.endswith((".", "!", "?")) else f"{said}: {check.note}."


def counted_words(count: int) -> str:
    """Say how many times people checked, without calling them proven; empty for none."""
    if not count:
        return ""
    times, by = ("1 time", "was checked by a person") if count == 1 else (f"{count:,} times", "were checked by people")
    return f"{times} in which nothing was sent {by}, not proven."


def _concerns(check: Check, stop: Stop) -> bool:
    """Return whether both share time. Two times that only touch are two."""
    is_before_end = stop.until is None or check.since < stop.until
    return check.since == stop.since or (is_before_end and check.until > stop.since)


def _outdated(check: Check, *, now: datetime) -> str:
    span = span_words(Stop(check.since, check.until), now=now)
    return (
        f"{check.by} checked the events {span}, at {clock(then=check.at, now=now)}. "
        "The time has changed since then, so that check does not cover it."
    )
