"""An endpoint's attempts and status over time, in numbers and summarized in words."""

from datetime import UTC, datetime, timedelta

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.models import Endpoint
from dashboard.presenters import figures
from dashboard.presenters.over_time import RANGES, OverTime, Status, fitting
from dashboard.queries.attempt_counts import count_over_time, recorded
from dashboard.queries.status_history import status_over_time
from dashboard.views.endpoint_changes import visible


@require_safe
@allowed(Permission.SEE)
def over_time(request: MemberRequest, pk: int) -> HttpResponse:
    endpoint = visible(request, pk)
    context = {"endpoint": endpoint, "over_time": over_time_of(request, endpoint)}
    return render(request, "endpoints/_over_time.html", context)


def over_time_of(request: MemberRequest, endpoint: Endpoint) -> OverTime:
    """Return the endpoint's history for the range in the URL; by default for one that fits what is recorded."""
    now = timezone.now()
    asked = next((one for one in RANGES if one.name == request.GET.get("range")), None)
    chosen = asked or fitting(**recorded(endpoint_id=endpoint.pk), now=now)
    until = _next_start(now, chosen.width)
    since, counts = until - chosen.duration, None
    if endpoint.is_logged:
        counts = count_over_time(
            endpoint_id=endpoint.pk,
            until=until,
            width=chosen.width,
            buckets=chosen.buckets,
            log_since=endpoint.logged_since,
        )
    stretches = status_over_time(endpoint=endpoint, since=since, until=now)
    return OverTime(
        chosen=chosen,
        counts=counts,
        status=Status(stretches, until=until, now=now),
        since=since,
        until=until,
        now=now,
        asked=asked is not None,
        log_since=endpoint.logged_since,
        figures=figures.of_endpoints([endpoint], now=now)[endpoint.pk],
    )


def _next_start(now: datetime, width: timedelta) -> datetime:
    """Return the end of the current bucket; buckets start at midnight UTC."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + width * ((now - midnight) // width + 1)
