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
from dashboard.queries.status_history import status_over_time
from dashboard.rules.endpoints import AUTO_DISABLE_AT, HealthKind
from dashboard.rules.status_times import Stretch, summary
from dashboard.views.endpoint_changes import visible


@dataclass(frozen=True, slots=True)
class Range:
    """A selectable time range, with the width of its buckets of deliveries."""

    name: str
    words: str
    width: timedelta
    buckets: int


RANGES = (
    Range("1h", "1 hour", timedelta(minutes=5), 12),
    Range("24h", "24 hours", timedelta(hours=1), 24),
    Range("7d", "7 days", timedelta(hours=6), 28),
)
DAY = RANGES[1]


@dataclass(frozen=True, slots=True)
class Status:
    """The endpoint's status by stretch and in words. `disabled_at` consecutive failures disable it."""

    stretches: tuple[Stretch, ...]
    now: datetime
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
        """Say for how long it was not active, and of what time nothing is known."""
        return summary(self.stretches, now=self.now)


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
    since = until - chosen.width * chosen.buckets
    status = Status(status_over_time(endpoint=endpoint, since=since, until=now), now)
    return OverTime(chosen, counts, status, since=since, until=until)


def _next_start(now: datetime, width: timedelta) -> datetime:
    """Return the end of the current bucket; buckets start at midnight UTC."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + width * ((now - midnight) // width + 1)
