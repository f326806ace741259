"""Pure rules of alerts: when they open and end, when a channel is quiet, when a message is retried.

Facts and the time go in, decisions come out: no rows, no clock, no settings.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from dashboard.rules.labels import LabelledEnum
from dashboard.rules.time_zones import zone_named


class AlertKind(LabelledEnum):
    """The kind of a problem, with its label. Stored, so never rename a value.

    tests/test_in_step.py lists what else a new kind needs.
    """

    DISABLED = "disabled", "Disabled by OpenTrain"
    AT_RISK = "at_risk", "About to be disabled"
    NO_ACCESS = "no_access", "No access to an install"
    CANARY_FAILED = "canary_failed", "Recovery failed at its first delivery"
    OVERDUE = "overdue", "Deliveries overdue"
    SIGNATURES = "signatures", "Signatures refused"
    LOG_LAGS = "log_lags", "Log lags behind"
    URL_CHANGED = "url_changed", "URL changed elsewhere"


KINDS = tuple(AlertKind)
WORST_FIRST = (
    AlertKind.DISABLED,
    AlertKind.CANARY_FAILED,
    AlertKind.AT_RISK,
    AlertKind.NO_ACCESS,
    AlertKind.LOG_LAGS,
    AlertKind.URL_CHANGED,
    AlertKind.SIGNATURES,
    AlertKind.OVERDUE,
)
"""The order in which alerts are listed and opened."""
OF_ALL_INSTALLS = (AlertKind.LOG_LAGS,)
"""Kinds of problems of Redeliver itself. Channels for all installs are notified of them."""


class AlertEvent(StrEnum):
    """An event of an alert that a channel is notified about. Stored, so never rename a value."""

    OPENED = "opened"
    CLEARED = "cleared"


OVERDUE_FOR = timedelta(minutes=5)
"""How long a delivery is overdue before an alert opens: OpenTrain's delivery run may be slightly late."""
REFUSALS_OPEN = 3
REFUSALS_WITHIN = timedelta(minutes=15)
"""REFUSALS_OPEN refused signatures within this time open an alert; a single one may be a mistake."""
REFUSALS_OVER_AFTER = timedelta(minutes=30)
"""Time without a refusal that ends the alert. OpenTrain's retry delays can be longer: retries can open new ones."""

RETRY_DELAYS = (
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=3),
)
"""Delays after each failed attempt to send a message. After one more attempt, it is abandoned."""
ATTEMPTS = len(RETRY_DELAYS) + 1


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of an alert: one kind of problem of one install, or of one of its endpoints.

    Kinds of OF_ALL_INSTALLS have no install.
    """

    kind: AlertKind
    install_id: int | None
    endpoint_id: int | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """Alerts to open and to end. `superseded` alerts end without a message."""

    opened: tuple[Subject, ...]
    cleared: tuple[Subject, ...]
    superseded: tuple[Subject, ...]


def compare(*, wrong: Collection[Subject], open_now: Collection[Subject]) -> Changes:
    """Compare the current problems with the open alerts, and return which alerts open and which end.

    An alert that a "disabled" one replaces ends without a message: it is not good news.
    """
    ended = [subject for subject in open_now if subject not in wrong]
    superseded = tuple(subject for subject in ended if _worse(subject) in wrong)
    return Changes(
        opened=tuple(sorted(set(wrong) - set(open_now), key=_order)),
        cleared=tuple(sorted(set(ended) - set(superseded), key=_order)),
        superseded=superseded,
    )


def _worse(subject: Subject) -> Subject | None:
    """Return the alert that says more: of a disabled endpoint, deliveries only stop to be overdue."""
    if subject.kind not in {AlertKind.AT_RISK, AlertKind.OVERDUE}:
        return None
    return Subject(AlertKind.DISABLED, subject.install_id, subject.endpoint_id)


def _order(subject: Subject) -> tuple[int, int, int]:
    return WORST_FIRST.index(subject.kind), subject.install_id or 0, subject.endpoint_id or 0


def are_refused(*, recent: int, last_at: datetime, now: datetime, is_open: bool) -> bool:
    """Return whether an endpoint's signatures are being refused.

    `recent` counts the refusals within REFUSALS_WITHIN; `last_at` is the time of the newest refusal.
    """
    if is_open:
        return now - last_at < REFUSALS_OVER_AFTER
    return recent >= REFUSALS_OPEN


def retry_at(*, attempts: int, at: datetime) -> datetime | None:
    """Return when to retry a message whose attempt number `attempts` failed at `at`; None to abandon it."""
    return at + RETRY_DELAYS[attempts - 1] if attempts <= len(RETRY_DELAYS) else None


@dataclass(frozen=True, slots=True)
class Quiet:
    """A channel's quiet hours, in its time zone.

    They last from the first time the clock shows `start` until the last time it shows `end`: when the clock is set back
    and `end` occurs twice, the second counts. An end before the start is on the next day.
    """

    start: time
    end: time
    zone: str

    @property
    def words(self) -> str:
        return f"{self.start:%H:%M} to {self.end:%H:%M} {self.zone}"

    def until(self, now: datetime) -> datetime | None:
        """Return when the current quiet hours end; None if `now` is outside quiet hours."""
        today = now.astimezone(zone_named(self.zone)).date()
        return max((end for begin, end in self._around(today) if begin <= now < end), default=None)

    def _around(self, today: date) -> Iterator[tuple[datetime, datetime]]:
        days = timedelta(days=1) if self.end <= self.start else timedelta()
        for day in (today - timedelta(days=1), today):
            yield self._instants(day, self.start)[0], max(self._instants(day + days, self.end))

    def _instants(self, day: date, clock: time) -> tuple[datetime, datetime]:
        """Return both instants, in UTC, that a clock time can mean; they differ only when the clock is set back."""
        shown = datetime.combine(day, clock, zone_named(self.zone))
        return shown.replace(fold=0).astimezone(UTC), shown.replace(fold=1).astimezone(UTC)
