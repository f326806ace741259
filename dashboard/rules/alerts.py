"""Pure rules of alerts: what opens one and what ends it, when a channel is quiet, when a message is tried again.

Facts and the time go in, decisions come out: no rows, no clock, no settings.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class AlertKind(StrEnum):
    """What is wrong, with its name for people. Stored, so a value is never renamed.

    tests/test_in_step.py says what else a new one needs.
    """

    DISABLED = "disabled", "Disabled by OpenTrain"
    AT_RISK = "at_risk", "About to be disabled"
    NO_ACCESS = "no_access", "No access to an install"
    CANARY_FAILED = "canary_failed", "Recovery failed at its first delivery"
    OVERDUE = "overdue", "Deliveries overdue"
    SIGNATURES = "signatures", "Signatures refused"

    label: str

    def __new__(cls, value: str, label: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member


KINDS = tuple(AlertKind)
WORST_FIRST = (
    AlertKind.DISABLED,
    AlertKind.CANARY_FAILED,
    AlertKind.AT_RISK,
    AlertKind.NO_ACCESS,
    AlertKind.SIGNATURES,
    AlertKind.OVERDUE,
)
"""The order in which alerts are listed and opened."""


class AlertEvent(StrEnum):
    """What a channel is told of an alert. Stored, so a value is never renamed."""

    OPENED = "opened"
    CLEARED = "cleared"


OVERDUE_FOR = timedelta(minutes=5)
"""So long a delivery is overdue before somebody is told: OpenTrain's run may be a little late now and then."""
REFUSALS_OPEN = 3
REFUSALS_WITHIN = timedelta(minutes=15)
"""So many signatures refused within this time open an alert; one alone may be anybody's mistake."""
REFUSALS_OVER_AFTER = timedelta(minutes=30)
"""None for so long ends it. OpenTrain's own retries have longer pauses: a few are seen as a few alerts, not as one."""

RETRY_DELAYS = (
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=3),
)
"""How long a message waits after each attempt that failed; after one more attempt it is given up."""
ATTEMPTS = len(RETRY_DELAYS) + 1


@dataclass(frozen=True, slots=True)
class Subject:
    """What an alert is about: one kind of trouble of one install, or of one of its endpoints."""

    kind: AlertKind
    install_id: int
    endpoint_id: int | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between what is wrong and the open alerts. `superseded` end without an all-clear."""

    opened: tuple[Subject, ...]
    cleared: tuple[Subject, ...]
    superseded: tuple[Subject, ...]


def compare(*, wrong: Collection[Subject], open_now: Collection[Subject]) -> Changes:
    """Say which alerts open and which end.

    "About to be disabled" that ends in "disabled" is no good news: it ends without a word, the other says it all.
    """
    ended = [subject for subject in open_now if subject not in wrong]
    superseded = tuple(subject for subject in ended if _worse(subject) in wrong)
    return Changes(
        opened=tuple(sorted(set(wrong) - set(open_now), key=_order)),
        cleared=tuple(sorted(set(ended) - set(superseded), key=_order)),
        superseded=superseded,
    )


def _worse(subject: Subject) -> Subject | None:
    if subject.kind is not AlertKind.AT_RISK:
        return None
    return Subject(AlertKind.DISABLED, subject.install_id, subject.endpoint_id)


def _order(subject: Subject) -> tuple[int, int, int]:
    return WORST_FIRST.index(subject.kind), subject.install_id, subject.endpoint_id or 0


def are_refused(*, recent: int, last_at: datetime, now: datetime, is_open: bool) -> bool:
    """Tell whether an endpoint's signatures are being refused.

    `recent` counts the refusals within REFUSALS_WITHIN, the newest of all came at `last_at`.
    """
    if is_open:
        return now - last_at < REFUSALS_OVER_AFTER
    return recent >= REFUSALS_OPEN


def retry_at(*, attempts: int, at: datetime) -> datetime | None:
    """Return when a message is tried again whose attempt number `attempts` failed at `at`; None: it is given up."""
    return at + RETRY_DELAYS[attempts - 1] if attempts <= len(RETRY_DELAYS) else None


@dataclass(frozen=True, slots=True)
class Quiet:
    """The hours of a day in which a channel is told nothing, on the clocks of its time zone.

    From the first time the clock shows `start` until the last time it shows `end`: in the night in which the clock is
    set back, an end that comes twice is its second one. An end before the start is on the next day.
    """

    start: time
    end: time
    zone: str

    @property
    def words(self) -> str:
        return f"{self.start:%H:%M} to {self.end:%H:%M} {self.zone}"

    def until(self, now: datetime) -> datetime | None:
        """Return when the quiet is over that there is at `now`; None where it is not quiet."""
        today = now.astimezone(zone(self.zone)).date()
        return max((end for begin, end in self._around(today) if begin <= now < end), default=None)

    def _around(self, today: date) -> Iterator[tuple[datetime, datetime]]:
        days = timedelta(days=1) if self.end <= self.start else timedelta()
        for day in (today - timedelta(days=1), today):
            yield self._instants(day, self.start)[0], max(self._instants(day + days, self.end))

    def _instants(self, day: date, clock: time) -> tuple[datetime, datetime]:
        """Return both moments that a clock time may stand for, in UTC; nearly always they are the same."""
        shown = datetime.combine(day, clock, zone(self.zone))
        return shown.replace(fold=0).astimezone(UTC), shown.replace(fold=1).astimezone(UTC)


def zone(name: str) -> tzinfo:
    """Return a time zone by its name. UTC needs no data of the system's; so does one that has gone from it: it is UTC.

    An alert that comes at the wrong hour is better than none.
    """
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC
