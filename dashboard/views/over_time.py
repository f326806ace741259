"""An endpoint's deliveries and status over time, in numbers and summarized in words."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.models import Endpoint
from dashboard.queries.delivery_counts import CHART_COUNT_LIMIT, Counts, count_over_time
from dashboard.queries.status_history import Stretch, status_over_time
from dashboard.rules.durations import span
from dashboard.rules.endpoints import AUTO_DISABLE_AT, HealthKind, Severity
from dashboard.views.endpoint_changes import visible


@dataclass(frozen=True, slots=True)
class Range:
    """A selectable time range, with the bucket widths for deliveries and for status."""

    name: str
    words: str
    width: timedelta
    buckets: int
    status_width: timedelta

    @property
    def status_buckets(self) -> int:
        return self.width * self.buckets // self.status_width


RANGES = (
    Range("1h", "1 hour", timedelta(minutes=5), 12, timedelta(minutes=1)),
    Range("24h", "24 hours", timedelta(hours=1), 24, timedelta(minutes=15)),
    Range("7d", "7 days", timedelta(hours=6), 28, timedelta(hours=2)),
)
DAY = RANGES[1]


@dataclass(frozen=True, slots=True)
class Status:
    """The endpoint's status by stretch and in words. `disabled_at` consecutive failures disable it."""

    stretches: tuple[Stretch, ...]
    width: timedelta
    disabled_at: int = AUTO_DISABLE_AT

    @property
    def rows(self) -> list[tuple[Stretch, HealthKind | None]]:
        """The stretches, oldest first, each with its health kind."""
        return [(one, None if one.severity is None else HealthKind[one.severity.name]) for one in self.stretches]

    @property
    def known(self) -> bool:
        return any(one.severity is not None for one in self.stretches)

    @property
    def summary(self) -> str:
        """Say how long at most it was not active, worst first: each bucket counts as its worst status."""
        times: dict[Severity, timedelta] = {}
        for one in self.stretches:
            if one.severity is not None:
                times[one.severity] = times.get(one.severity, timedelta()) + (one.until - one.at)
        ill = [
            f"{HealthKind[kind.name].label.lower()} for at most {span(duration=times[kind])}"
            for kind in sorted(times)
            if kind is not Severity.ACTIVE
        ]
        most = max((one.failures or 0 for one in self.stretches), default=0)
        if not ill:
            return "Active throughout."
        steps = f"counted in steps of {span(duration=self.width)}"
        return f"{', '.join(ill).capitalize()}, {steps}; at most {most} consecutive failures."


@dataclass(frozen=True, slots=True)
class OverTime:
    """The charts' data, and the same in words. Without a log there are no delivery counts."""

    chosen: Range
    counts: Counts | None
    status: Status
    since: datetime
    until: datetime
    ranges: tuple[Range, ...] = RANGES

    @property
    def summary(self) -> str:
        if self.counts is None:
            return ""
        last = self.chosen.words.removeprefix("1 ")  # "the last hour"
        delivered, waiting, failed = (self.counts.total(of=name) for name in ("delivered", "waiting", "failed"))
        if not self.counts.complete:
            words = f"The newest {CHART_COUNT_LIMIT:,} deliveries of the last {last}"
        elif not delivered + waiting + failed:
            return f"No delivery arrived in the last {last}."
        else:
            words = f"Deliveries of the last {last}"
        return f"{words}: {delivered:,} delivered, {waiting:,} waiting, {failed:,} failed."


@require_safe
@allowed(Permission.SEE)
def over_time(request: MemberRequest, pk: int) -> HttpResponse:
    endpoint = visible(request, pk)
    context = {"endpoint": endpoint, "over_time": over_time_of(request, endpoint)}
    return render(request, "endpoints/_over_time.html", context)


def over_time_of(request: MemberRequest, endpoint: Endpoint) -> OverTime:
    """Return the endpoint's history for the range in the URL, by default a day."""
    asked, now = request.GET.get("range"), timezone.now()
    chosen = next((one for one in RANGES if one.name == asked), DAY)
    until = _next_start(now, chosen.width)
    counts = None
    if endpoint.is_logged:
        counts = count_over_time(endpoint_id=endpoint.pk, until=until, width=chosen.width, buckets=chosen.buckets)
    stretches = status_over_time(
        endpoint_id=endpoint.pk, until=until, width=chosen.status_width, buckets=chosen.status_buckets, now=now
    )
    status = Status(stretches, chosen.status_width)
    return OverTime(chosen, counts, status, since=until - chosen.width * chosen.buckets, until=until)


def _next_start(now: datetime, width: timedelta) -> datetime:
    """Return the end of the current bucket; buckets start at midnight UTC."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + width * ((now - midnight) // width + 1)
