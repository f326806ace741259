"""Whatever a list of deliveries shows, redelivered: a preview that counts it, a confirmation, a run for each endpoint.

What is confirmed is what was seen: the form carries the deliveries themselves, signed, and not the filter, which by
then may mean others. Whatever has become of one of them meanwhile is looked at once more when the run starts.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.core import signing
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from dashboard.actions.installs.freshness import freshen, look
from dashboard.actions.runs import batches, commands
from dashboard.actions.runs.batches import Confirmed, Started
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.db.statement_timeout import TooSlow, at_most
from dashboard.forms import delivery_filters
from dashboard.forms.delivery_filters import Filter
from dashboard.models import Delivery, Endpoint, Install, Run
from dashboard.models.endpoints import DISABLED
from dashboard.presenters.run_preview import heading, links
from dashboard.presenters.runs import RunRow, preview, run_row
from dashboard.queries import delivery_lists
from dashboard.queries.delivery_lists import DeliveryCriteria
from dashboard.rules.deliveries import StateKind
from dashboard.rules.durations import spelled
from dashboard.rules.installs import NEEDS_PERSON
from dashboard.rules.runs import LeftOut
from dashboard.templatetags.redeliver import exactly
from dashboard.views.delivery_lists import Place, everything, of_endpoint, of_install

MOST = 10_000
"""Deliveries that one form may redeliver. More takes an hour and more: that wants to be split on purpose."""
MOST_ENDPOINTS = 50
READ_MS = 5000
GOOD_FOR = timedelta(hours=1)
"""So long a preview may be confirmed."""
_JUDGED = ("endpoint_id", "standing", "last_ok", "requested_at", "last_cause", "last_status", "first_received_at")


class CannotPreview(Exception):
    """Show the words instead: they say how to narrow what is asked for."""


@dataclass(frozen=True, slots=True)
class Part:
    """What is to be redelivered on one endpoint. `obstacle` says why nothing can be; `helps` names what helps."""

    endpoint: Endpoint
    chosen: Sequence[Delivery]
    obstacle: str = ""
    helps: str = ""
    active: RunRow | None = None

    @property
    def can_start(self) -> bool:
        return not self.obstacle and self.active is None


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.OPERATE)
def index(request: MemberRequest) -> HttpResponse:
    return _redeliver(request, everything(request))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.OPERATE, of=Install)
def install(request: MemberRequest, pk: int) -> HttpResponse:
    return _redeliver(request, of_install(request.user, pk))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.OPERATE, of=Endpoint)
def endpoint(request: MemberRequest, pk: int) -> HttpResponse:
    return _redeliver(request, of_endpoint(request.user, pk))


def _redeliver(request: MemberRequest, place: Place) -> HttpResponse:
    if request.method != "POST":
        return render(request, "runs/bulk.html", _context(request, place))
    try:
        seen = signing.loads(request.POST.get("seen", ""), salt=_salt(request), max_age=GOOD_FOR)
    except signing.BadSignature:
        problem = (
            f"It was shown more than {spelled(duration=GOOD_FOR)} ago, so nothing was started. "
            "This is how it is now: look at it once more."
        )
        return render(request, "runs/bulk.html", _context(request, place) | {"problem": problem}, status=422)
    if _has_changed(request, place, seen["ids"]):
        problem = (
            "An endpoint has changed since you looked and cannot redeliver now, so nothing is started. "
            "This is how it is now: look at it once more."
        )
        return render(request, "runs/bulk.html", _context(request, place) | {"problem": problem}, status=422)
    one_call = bool(seen["all_failed"]) and request.POST.get("how") == "one-call"
    started = batches.start(
        actor=request.user,
        confirmed=Confirmed(seen["ids"], seen["words"], include_delivered=seen["delivered"], one_call=one_call),
        note=request.POST.get("note", "").strip(),
        now=timezone.now(),
        operation=uuid.UUID(seen["operation"]),
    )
    return _answer(request, place, started)


def _has_changed(request: MemberRequest, place: Place, ids: Sequence[int]) -> bool:
    """Ask OpenTrain, and tell whether an endpoint of these deliveries is no longer one that can redeliver.

    What was shown may have been old. A list of all installs is told by what the poller brought.
    """
    if place.install is not None:
        freshen(install=place.install, now=timezone.now())
    of_these = Delivery.objects.filter(pk__in=ids).order_by().values("endpoint")
    rows = Endpoint.objects.visible_to(request.user).filter(pk__in=of_these).select_related("install")
    return any(_obstacle(endpoint)[0] for endpoint in rows.defer("secret", "install__token"))


def _answer(request: MemberRequest, place: Place, started: Started) -> HttpResponse:
    """Lead to what was started, and say what was not."""
    if started.dropped:
        were = "delivery is" if started.dropped == 1 else "deliveries are"
        said = f"{started.dropped} {were} left out: delivered, requested again or gone since you looked."
        messages.info(request, said)
    for run in started.in_the_way:
        messages.info(request, f"Nothing was started on {run.endpoint.known_as}: run {run.pk} is active there already.")
    found = started.runs or started.in_the_way
    if len(found) == 1:
        return redirect("run-detail", pk=found[0].pk)
    if found and found[0].batch:
        return redirect(f"{reverse('run-list')}?batch={found[0].batch}")
    return redirect("run-list" if found else place.url())


def _context(request: MemberRequest, place: Place) -> dict[str, Any]:
    now = timezone.now()
    filters = delivery_filters.parse(params=request.GET.dict(), now=now)
    include = request.GET.get("delivered") == "1"
    context = {
        "install": place.install,
        "endpoint": place.endpoint,
        "filter": filters,
        "links": links(listed=place.url(), here=place.url("-redeliver"), query=filters.query, with_delivered=include),
        "url": place.url("-redeliver"),
        "freshness": look(install=place.install, now=now) if place.install is not None else None,
        "now": now,
    }
    try:
        return context | _found(request, place, filters, include=include, now=now)
    except CannotPreview as error:
        return context | {"problem": str(error), "narrow": _narrower(filters), "heading": heading(None)}


def _found(request: MemberRequest, place: Place, filters: Filter, *, include: bool, now: datetime) -> dict[str, Any]:
    """Return what the filter finds: what would be asked for where, and what not. Raises: CannotPreview."""
    found = _read(place, filters, now)
    chosen, left_out = commands.split(deliveries=found, include_delivered=include)
    parts = _parts(chosen)
    startable = [one for part in parts if part.can_start for one in part.chosen]
    all_failed = place.endpoint is not None and filters.criteria == DeliveryCriteria(state=StateKind.FAILED)
    reasons = [reason.words for _, reason in left_out]
    reasons += ["its endpoint cannot redeliver now" for part in parts if not part.can_start for _ in part.chosen]
    shown = preview(chosen=startable, left_out=reasons, now=now)
    seen = {
        "ids": [one.pk for one in startable],
        "words": _words(filters, now, shown.left_out),
        "delivered": include,
        "all_failed": all_failed,
        "operation": uuid.uuid4().hex,
    }
    return {
        "matched": len(found),
        "preview": shown,
        "delivered_left_out": any(reason is LeftOut.DELIVERED for _, reason in left_out),
        "heading": heading(shown.chosen),
        "shown_parts": [] if place.endpoint is not None and startable else parts,
        "startable": sum(part.can_start for part in parts),
        "all_failed": all_failed,
        "seen": signing.dumps(seen, salt=_salt(request), compress=True),
    }


def _read(place: Place, filters: Filter, now: datetime) -> list[Delivery]:
    """Read what the list shows, oldest first and to the end. Raises: CannotPreview."""
    if filters.refused:
        raise CannotPreview(
            "A refused request is no delivery: its signature did not fit, so nothing can be sent again."
        )
    if filters.problems:
        raise CannotPreview(" ".join(filters.problems))
    rows = delivery_lists.page(scope=place.scope, criteria=filters.criteria, now=now, limit=MOST + 1)
    try:
        with at_most(ms=READ_MS):
            found = list(rows.only(*_JUDGED))
    except TooSlow:
        raise CannotPreview(f"To find what matches would take longer than {READ_MS / 1000:g} s.") from None
    if len(found) > MOST:
        raise CannotPreview(f"More than {MOST:,} deliveries match, and that is the most that is redelivered at once.")
    return found[::-1]


def _parts(chosen: Sequence[Delivery]) -> list[Part]:
    """Sort them by their endpoints, the most first. Raises: CannotPreview."""
    number = Counter(one.endpoint_id for one in chosen)
    if len(number) > MOST_ENDPOINTS:
        raise CannotPreview(
            f"These are of {len(number)} endpoints, and runs are started on {MOST_ENDPOINTS} at once, not more."
        )
    rows = Endpoint.objects.filter(pk__in=number).select_related("install").defer("secret", "install__token")
    endpoints = rows.in_bulk()
    active = {run.endpoint_id: run_row(run) for run in Run.objects.filter(endpoint__in=number).active()}
    mine: dict[int, list[Delivery]] = {pk: [] for pk, _ in number.most_common()}
    for one in chosen:
        mine[one.endpoint_id].append(one)
    return [Part(endpoints[pk], found, *_obstacle(endpoints[pk]), active.get(pk)) for pk, found in mine.items()]


def _obstacle(endpoint: Endpoint) -> tuple[str, str]:
    """Say why nothing can be redelivered on it, and name what helps; both empty when it can."""
    if endpoint.deleted_at is not None:
        return "OpenTrain no longer has this endpoint, so these can never be sent again.", ""
    if endpoint.opentrain_id is None:
        return "OpenTrain does not list this endpoint yet.", ""
    if not endpoint.install.can_manage:
        return "This install's token lacks webhooks:manage.", "install"
    if endpoint.install.last_error_code in NEEDS_PERSON:
        return endpoint.install.last_error, "install"
    if endpoint.status == DISABLED:
        return "It is disabled or paused, so nothing would be attempted.", "recover"
    return "", ""


def _words(filters: Filter, now: datetime, left_out: Sequence[tuple[str, int]]) -> str:
    """Say which deliveries these are, for whoever reads the run later: the filter, when, and what it left out."""
    without = "".join(f"; {count} left out: {words}" for words, count in left_out)
    return f"{filters.words} (as of {exactly(now)}){without}"


def _narrower(filters: Filter) -> list[tuple[str, str]]:
    """Return narrower filters that often fit, as (words, query)."""
    ways = [("state", "failed", "only the failed ones"), ("from", "24h", "only the last 24 hours")]
    return [
        (words, delivery_filters.link_query(filters.used | {name: value}))
        for name, value, words in ways
        if name not in filters.used and not filters.refused
    ]


def _salt(request: MemberRequest) -> str:
    """What one person saw, nobody else confirms."""
    return f"redeliver-{request.user.pk}"
