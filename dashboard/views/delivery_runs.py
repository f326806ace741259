"""Bulk redelivery from a deliveries list: a preview with counts, a confirmation, and one run per endpoint.

The user confirms exactly the deliveries shown: the form carries their signed IDs, not the filter, which may match
others by then. Each delivery's state is checked again when the run starts.
"""

import uuid
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
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
from dashboard.actions.runs.one_call import why_not
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.db.statement_timeout import TooSlow, at_most
from dashboard.forms import delivery_filters
from dashboard.forms.delivery_filters import Filter
from dashboard.models import Delivery, Endpoint, Install
from dashboard.presenters import overtaken as overtakings
from dashboard.presenters.controls import WITH_OVERTAKEN
from dashboard.presenters.redeliverable import JUDGED, TooManyEndpoints, obstacle, parts_of
from dashboard.presenters.run_preview import heading, links
from dashboard.presenters.runs import preview
from dashboard.queries import delivery_lists
from dashboard.queries.delivery_lists import DeliveryCriteria
from dashboard.rules.deliveries import StateKind
from dashboard.rules.durations import exactly, spelled
from dashboard.rules.runs import LeftOut
from dashboard.rules.time_zones import read_in
from dashboard.views.delivery_lists import Place, everything, of_endpoint, of_install, with_names

MOST = 10_000
"""Deliveries that one form may redeliver. More would take over an hour, so users split them deliberately."""
READ_MS = 5000
GOOD_FOR = timedelta(hours=1)
"""How long a preview can be confirmed."""


class CannotPreview(Exception):
    """No preview is possible. The message says how to narrow the filters."""


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
            f"This preview was shown more than {spelled(duration=GOOD_FOR)} ago, so nothing was started. "
            "Check the updated preview below."
        )
        return render(request, "runs/bulk.html", _context(request, place) | {"problem": problem}, status=422)
    confirmed = _confirmed(request, seen)
    if not confirmed.chosen:
        problem = "Nothing is chosen, so nothing was started. Check the box to redeliver overtaken deliveries."
        return render(request, "runs/bulk.html", _context(request, place) | {"problem": problem}, status=422)
    if _has_changed(request, place, confirmed.shown):
        problem = (
            "An endpoint has changed since this preview and can't redeliver now, so nothing was started. "
            "Check the updated preview below."
        )
        return render(request, "runs/bulk.html", _context(request, place) | {"problem": problem}, status=422)
    started = batches.start(
        actor=request.user,
        confirmed=confirmed,
        note=request.POST.get("note", "").strip(),
        now=timezone.now(),
        operation=uuid.UUID(seen["operation"]),
    )
    return _answer(request, place, started)


def _confirmed(request: MemberRequest, seen: dict[str, Any]) -> Confirmed:
    """Return what the user confirmed of the preview: with the overtaken deliveries, if that box was checked."""
    anyway, words = request.POST.get(WITH_OVERTAKEN) == "1", seen["words"]
    overtaken = seen.get("overtaken", [])  # a preview of the release before has none
    if overtaken:
        words = f"{words}; {len(overtaken)} {'included' if anyway else 'left out'}: {LeftOut.OVERTAKEN.words}"
    return Confirmed(
        seen["ids"],
        words,
        overtaken=overtaken,
        with_overtaken=anyway,
        include_delivered=seen["delivered"],
        one_call=bool(seen["all_failed"]) and request.POST.get("how") == "one-call",
    )


def _has_changed(request: MemberRequest, place: Place, ids: Collection[int]) -> bool:
    """Refresh from OpenTrain, and return whether an endpoint of these deliveries can no longer redeliver.

    The preview may have been out of date. For a list of all installs, the last poll is used instead.
    """
    if place.install is not None:
        freshen(install=place.install, now=timezone.now())
    of_these = Delivery.objects.filter(pk__in=ids).order_by().values("endpoint")
    rows = Endpoint.objects.visible_to(request.user).filter(pk__in=of_these).select_related("install")
    return any(obstacle(endpoint)[0] for endpoint in rows.defer("secret", "install__token"))


def _answer(request: MemberRequest, place: Place, started: Started) -> HttpResponse:
    """Redirect to the started runs, with messages about what was not started."""
    if started.dropped:
        were = "delivery is" if started.dropped == 1 else "deliveries are"
        said = f"{started.dropped} {were} left out: delivered, requeued, overtaken or removed since the preview."
        messages.info(request, said)
    for run in started.in_the_way:
        messages.info(request, f"No run was started on {run.endpoint.title}: run {run.pk} is already active there.")
    found = started.runs or started.in_the_way
    if len(found) == 1:
        return redirect("run-detail", pk=found[0].pk)
    if found and found[0].batch:
        return redirect(f"{reverse('run-list')}?batch={found[0].batch}")
    return redirect("run-list" if found else place.url())


def _context(request: MemberRequest, place: Place) -> dict[str, Any]:
    now = timezone.now()
    filters = with_names(delivery_filters.parse(params=request.GET.dict(), now=now), user=request.user)
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
    """Return the preview: deliveries to redeliver per endpoint, and those left out. Raises: CannotPreview."""
    found = _read(place, filters, now)
    split = commands.split(deliveries=found, include_delivered=include)
    try:
        parts = parts_of(split)
    except TooManyEndpoints as error:
        raise CannotPreview(str(error)) from None
    startable = [one for part in parts if part.can_start for one in part.chosen]
    overtaken = [one for part in parts if part.can_start for one in part.overtaken]
    all_failed = place.endpoint is not None and filters.criteria == DeliveryCriteria(state=StateKind.FAILED)
    not_in_one = why_not(endpoint=place.endpoint, now=now) if all_failed and place.endpoint is not None else ""
    reasons = [reason.words for _, reason in split.left_out if reason is not LeftOut.OVERTAKEN]
    reasons += ["its endpoint can't redeliver now" for part in parts if not part.can_start for _ in part.all]
    shown = preview(chosen=startable, left_out=reasons, now=now)
    seen = {
        "ids": [one.pk for one in startable],
        "overtaken": [one.pk for one in overtaken],
        "words": _words(filters, now, shown.left_out),
        "delivered": include,
        "all_failed": all_failed and not not_in_one,
        "operation": uuid.uuid4().hex,
    }
    return {
        "matched": len(found),
        "preview": shown,
        "overtaken": overtakings.shown(overtaken, by=split.overtaken_by, now=now),
        "delivered_left_out": any(reason is LeftOut.DELIVERED for _, reason in split.left_out),
        "heading": heading(shown.chosen, overtaken=len(overtaken)),
        "shown_parts": [] if place.endpoint is not None and (startable or overtaken) else parts,
        "startable": sum(part.can_start for part in parts),
        "all_failed": seen["all_failed"],
        "not_in_one": not_in_one,
        "nothing_matches": shown.is_empty and not overtaken,
        "can_start": bool(startable or overtaken),
        "button": "Redeliver" if overtaken else shown.button,
        "seen": signing.dumps(seen, salt=_salt(request), compress=True),
    }


def _read(place: Place, filters: Filter, now: datetime) -> list[Delivery]:
    """Return all matching deliveries, oldest first. Raises: CannotPreview."""
    if filters.refused:
        raise CannotPreview(
            "Refused requests can't be redelivered: they failed verification, so they are not deliveries."
        )
    if filters.problems:
        raise CannotPreview(" ".join(filters.problems))
    rows = delivery_lists.page(scope=place.scope, criteria=filters.criteria, now=now, limit=MOST + 1)
    try:
        with at_most(ms=READ_MS):
            found = list(rows.only(*JUDGED))
    except TooSlow:
        raise CannotPreview(f"Finding the matching deliveries takes longer than {READ_MS / 1000:g} s.") from None
    if len(found) > MOST:
        raise CannotPreview(f"More than {MOST:,} deliveries match, the most that can be redelivered at once.")
    return found[::-1]


@read_in(UTC)  # kept with the run
def _words(filters: Filter, now: datetime, left_out: Sequence[tuple[str, int]]) -> str:
    """Describe the chosen deliveries for later readers of the run: filter, time, and what was left out."""
    without = "".join(f"; {count} left out: {words}" for words, count in left_out)
    return f"{filters.words} (as of {exactly(now)}){without}"


def _narrower(filters: Filter) -> list[tuple[str, str]]:
    """Return commonly useful narrower filters, as (words, query)."""
    ways = [("state", "failed", "only the failed ones"), ("from", "24h", "only the last 24 hours")]
    return [
        (words, delivery_filters.link_query(filters.used | {name: value}))
        for name, value, words in ways
        if name not in filters.used and not filters.refused
    ]


def _salt(request: MemberRequest) -> str:
    """Return a salt per user, so that nobody can confirm another user's preview."""
    return f"redeliver-{request.user.pk}"
