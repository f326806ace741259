"""An endpoint's deliveries over time: the numbers, the words that sum them up, and the part of the page they are on."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.models import Endpoint
from dashboard.models.delivery_counts import COUNTED, Counts, count_over_time
from dashboard.permissions import MemberRequest, member_required
from dashboard.views.endpoint_changes import visible


@dataclass(frozen=True, slots=True)
class Range:
    """A length of time that can be looked at, and the width of its buckets."""

    name: str
    words: str
    width: timedelta
    buckets: int


RANGES = (
    Range("24h", "24 hours", timedelta(hours=1), 24),
    Range("7d", "7 days", timedelta(hours=6), 28),
)


@dataclass(frozen=True, slots=True)
class OverTime:
    """What is drawn, and the same in words."""

    chosen: Range
    counts: Counts
    ranges: tuple[Range, ...] = RANGES

    @property
    def summary(self) -> str:
        delivered, waiting, failed = (self.counts.total(of=name) for name in ("delivered", "waiting", "failed"))
        if not self.counts.complete:
            words = f"The newest {COUNTED:,} deliveries of the last {self.chosen.words}"
        elif not delivered + waiting + failed:
            return f"No delivery arrived in the last {self.chosen.words}."
        else:
            words = f"Deliveries of the last {self.chosen.words}"
        return f"{words}: {delivered:,} delivered, {waiting:,} waiting, {failed:,} failed."


@require_safe
@member_required
def over_time(request: MemberRequest, pk: int) -> HttpResponse:
    endpoint = visible(request, pk)
    context = {"endpoint": endpoint, "over_time": over_time_of(request, endpoint)}
    return render(request, "endpoints/_over_time.html", context)


def over_time_of(request: MemberRequest, endpoint: Endpoint) -> OverTime:
    """Return the endpoint's deliveries over the range that the address names, or else over the shortest."""
    asked = request.GET.get("range")
    chosen = next((one for one in RANGES if one.name == asked), RANGES[0])
    until = _next_start(timezone.now(), chosen.width)
    counts = count_over_time(endpoint_id=endpoint.pk, until=until, width=chosen.width, buckets=chosen.buckets)
    return OverTime(chosen, counts)


def _next_start(now: datetime, width: timedelta) -> datetime:
    """Return when the bucket ends that `now` is in; buckets begin at midnight UTC."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + width * ((now - midnight) // width + 1)
