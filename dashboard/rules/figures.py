"""The figures of the last 24 hours of an endpoint or an install: what they count, and what is not known.

Success is the share of attempts that the handler took (a 2xx in time), of all attempts: not of deliveries, because a
recovery would make an outage disappear. The handler's time is the one from a request's arrival to the answer, of
attempts that were answered, and of those that were given up because no answer came in time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.rules.causes import Cause

WINDOW = timedelta(hours=24)
PARTS = 24
"""Parts of a spark line: hours."""
STEP = timedelta(minutes=5)
"""The window moves in steps, so that a spark line does not change with each look at it."""
TIMED = (Cause.NONE, Cause.STATUS, Cause.TIMEOUT)
"""Causes of attempts whose time is the handler's: it answered, or it let us wait."""
MEANING = (
    "Success is the share of attempts that the handler took with a 2xx in time. Handler time is the median (p50) and "
    "the 95th percentile (p95) of its answers; one that did not come in time counts as long as it was waited for."
)
_NEARLY = 90
"""Per cent from which one decimal is shown: 99.9% is not 99%."""


@dataclass(frozen=True, slots=True)
class Tried:
    """Numbers of attempts in one part of the window; None where the log does not know."""

    taken: int
    failed: int


_UNTRIED = Tried(0, 0)


@dataclass(frozen=True, slots=True)
class Figures:
    """What the log knows of the attempts since `since`. `last_at` is the last attempt of all, `last_ok` how it went.

    `is_cut`: there were more deliveries than are looked at, so that `since` is the first of those.
    """

    taken: int = 0
    failed: int = 0
    p50_ms: int | None = None
    p95_ms: int | None = None
    since: datetime | None = None
    is_cut: bool = False
    last_at: datetime | None = None
    last_ok: bool = False
    parts: tuple[Tried | None, ...] = (None,) * PARTS

    @property
    def attempts(self) -> int:
        return self.taken + self.failed


NOTHING = Figures()


def window(*, now: datetime) -> tuple[datetime, datetime]:
    """Return the last 24 hours, up to the end of the current step."""
    first = datetime.min.replace(tzinfo=now.tzinfo)
    until = first + ((now - first) // STEP + 1) * STEP
    return until - WINDOW, until


def known(found: Sequence[Tried | None], *, since: datetime, log_since: datetime) -> tuple[Tried | None, ...]:
    """Return the parts of the window that begins at `since`; one before the log began is None, unless it has some."""
    before = (log_since - since) // (WINDOW / PARTS)
    return tuple([one if one is not None or number < before else _UNTRIED for number, one in enumerate(found)])


def success(*, taken: int, failed: int) -> str:
    """Return the share of attempts that were taken, rounded down: 100% is only said of all, 0% only of none.

    "—" without any attempt.
    """
    total = taken + failed
    if not total:
        return "—"
    if not failed:
        return "100%"
    if not taken:
        return "0%"
    share = taken * 100 / total
    if share < 1:
        return "<1%"
    return f"{int(share)}%" if share < _NEARLY else f"{taken * 1000 // total / 10:.1f}%"
