"""An endpoint's attempts and status over time: the numbers behind the chart and the strip, and the same in words."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.presenters.figures import Shown
from dashboard.queries.attempt_counts import COUNTED, Counts
from dashboard.rules.durations import clock
from dashboard.rules.endpoints import HealthKind, Severity
from dashboard.rules.status_times import Stretch, summary


@dataclass(frozen=True, slots=True)
class Range:
    """A selectable time range, with the width of its buckets."""

    name: str
    words: str
    width: timedelta
    buckets: int

    @property
    def duration(self) -> timedelta:
        return self.width * self.buckets


HOUR = Range("1h", "1 hour", timedelta(minutes=5), 12)
DAY = Range("24h", "24 hours", timedelta(hours=1), 24)
WEEK = Range("7d", "7 days", timedelta(hours=6), 28)
RANGES = (HOUR, DAY, WEEK)

LONG = 1000
"""Length of the strip, in units of its drawing."""
HIGH = 12
"""Height of the strip, in the same."""
LEAST = 4
"""Least length of a part: what lasted a minute is seen in a week, too."""
_HEIGHTS = {
    None: 1,
    Severity.ACTIVE: 3,
    Severity.PAUSED: 5,
    Severity.UNKNOWN: 5,
    Severity.FAILING: 7,
    Severity.AT_RISK: 9,
    Severity.DISABLED: HIGH,
}
"""The worse, the higher: colour is not the only sign."""
_STATES = (Severity.ACTIVE, Severity.FAILING, Severity.AT_RISK, Severity.DISABLED, Severity.PAUSED, None)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the strip: its place in the drawing, and the kind of health that colours it, if it is known."""

    x: float
    y: int
    width: float
    height: int
    kind: HealthKind | None


@dataclass(frozen=True, slots=True)
class Status:
    """The endpoint's status until `now`, in stretches without gaps, oldest first, on an axis that ends at `until`."""

    stretches: tuple[Stretch, ...]
    until: datetime
    now: datetime

    @property
    def rows(self) -> list[tuple[Stretch, HealthKind | None]]:
        """The stretches, each with its health kind."""
        return [(one, kind_of(one.severity)) for one in self.stretches]

    @property
    def known(self) -> bool:
        return any(one.severity is not None for one in self.stretches)

    @property
    def legend(self) -> list[tuple[str, HealthKind | None]]:
        """The states with their names, and OpenTrain's unknown ones if there are any."""
        used = {one.severity for one in self.stretches}
        shown = [*_STATES, *({Severity.UNKNOWN} & used)]
        return [("not known" if one is None else _name(one), kind_of(one)) for one in shown]

    @property
    def parts(self) -> list[Part]:
        """The strip's parts, in the order of drawing: what is worse covers what is not."""
        since = self.stretches[0].at
        whole = self.until - since
        drawn = sorted(self.stretches, key=lambda one: _HEIGHTS[one.severity])
        return [_part(one, since=since, whole=whole) for one in drawn]

    @property
    def summary(self) -> str:
        """Say for how long it was not active, and of what time nothing is known."""
        return summary(self.stretches, now=self.now)


@dataclass(frozen=True, slots=True)
class OverTime:
    """What the charts show. Without a log there are no counts of attempts. `asked`: the URL says which range."""

    chosen: Range
    counts: Counts | None
    status: Status
    since: datetime
    until: datetime
    now: datetime
    asked: bool = False
    log_since: datetime | None = None
    figures: Shown | None = None
    ranges: tuple[Range, ...] = RANGES

    @property
    def last(self) -> str:
        """Return "hour", "24 hours": the range after "the last"."""
        return self.chosen.words.removeprefix("1 ")

    @property
    def query(self) -> str:
        """Return the query of the same charts: without a range that nobody chose, so that it goes on fitting."""
        return f"?range={self.chosen.name}" if self.asked else ""

    @property
    def has_attempts(self) -> bool:
        """Whether there is something to draw."""
        return self.counts is not None and bool(self.counts.total(of="taken") + self.counts.total(of="failed"))

    @property
    def tells_attempts(self) -> bool:
        """Whether attempts have words of their own: that there were none for a day, the figures above say already."""
        is_told = self.figures is not None and not self.figures.is_known and self.chosen.duration <= DAY.duration
        return self.counts is not None and (self.has_attempts or not is_told)

    @property
    def summary(self) -> str:
        if self.counts is None:
            return ""
        delivered, failed = (self.counts.total(of=name) for name in ("taken", "failed"))
        log = ""
        if self.log_since is not None and self.since < self.log_since <= self.now:
            log = f" The log begins {clock(then=self.log_since, now=self.now)}."
        if not self.counts.complete:
            words = f"Attempts of the newest {COUNTED:,} deliveries of the last {self.last}"
        elif not delivered + failed:
            return f"No delivery was attempted in the last {self.last}.{log}"
        else:
            words = f"Attempts of the last {self.last}"
        return f"{words}: {delivered:,} delivered, {failed:,} failed.{log}"


def fitting(*, oldest: datetime | None, newest: datetime | None, now: datetime) -> Range:
    """Return the shortest range that holds all that is recorded; a day if there is more, a week if that is empty.

    `oldest` is when the first delivery or status was recorded, `newest` when a delivery was attempted last.
    """
    if newest is not None and DAY.duration <= now - newest < WEEK.duration:
        return WEEK
    return HOUR if oldest is not None and now - oldest < HOUR.duration else DAY


def kind_of(severity: Severity | None) -> HealthKind | None:
    return None if severity is None else HealthKind[severity.name]


def _part(one: Stretch, *, since: datetime, whole: timedelta) -> Part:
    width = max((one.until - one.at) / whole * LONG, LEAST)
    x = min((one.at - since) / whole * LONG, LONG - width)
    height = _HEIGHTS[one.severity]
    return Part(round(x, 1), HIGH - height, round(width, 1), height, kind_of(one.severity))


def _name(severity: Severity) -> str:
    return HealthKind[severity.name].label.lower() if severity is not Severity.UNKNOWN else "another status"
