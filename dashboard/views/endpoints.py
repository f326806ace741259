"""Endpoints: one endpoint with its deliveries, re-enabling and redelivery. Registering is in views/registration.py."""

from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from dashboard.actions import endpoints
from dashboard.actions.installs.freshness import look
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.config.schedule import reconcile_every, schedule
from dashboard.forms.list_filters import ID
from dashboard.models import Delivery, Endpoint, Rotation, User
from dashboard.models.endpoints import EndpointQuerySet
from dashboard.presenters import controls, overtaken, pages
from dashboard.presenters.activity import recent
from dashboard.presenters.causes import cause_rows
from dashboard.presenters.delivery_source import delivery_source
from dashboard.presenters.endpoint_contracts import missing_here
from dashboard.presenters.endpoint_page import head, no_deliveries, path_words
from dashboard.presenters.endpoints import (
    RETRIED,
    OpenAlert,
    open_alerts_of,
    silence_of,
    silence_reason,
    told_words,
    waiting_of,
)
from dashboard.presenters.live import live as live_response
from dashboard.presenters.log_lag import log_lag
from dashboard.presenters.routes import Way, way_of
from dashboard.presenters.rows import DeliveryTable, EndpointRow, delivery_row, endpoint_rows, with_known, with_marks
from dashboard.presenters.run_endings import with_endings
from dashboard.presenters.runs import RunRow, newest_run
from dashboard.queries.delivery_lists import DeliveryCriteria, Scope
from dashboard.queries.inbox import with_log, with_open_alerts
from dashboard.rules.alerts import AlertKind
from dashboard.rules.snapshots import LAG
from dashboard.views import operations
from dashboard.views.demo import switch_of
from dashboard.views.over_time import over_time_of

PAGE = 25
"""Deliveries on a page."""
RECENT = 10
"""Refused requests on an endpoint's page, and deliveries that show how far its route is."""


@require_safe
@allowed(Permission.SEE)
def detail(request: MemberRequest, pk: int) -> HttpResponse:
    context = _context(request, pk)
    endpoint = context["row"].endpoint
    # Outside the polled part: the charts are requested separately, and less often.
    drawn = None if context["before"] else over_time_of(request, endpoint)
    return render(request, "endpoints/detail.html", context | {"answer": operations.kept(request), "over_time": drawn})


@require_safe
@allowed(Permission.SEE)
def live(request: MemberRequest, pk: int) -> HttpResponseBase:
    return live_response(request, template="endpoints/detail.html#live", context=_context(request, pk))


@require_POST
@allowed(Permission.OPERATE, of=Endpoint)
def enable(request: MemberRequest, pk: int) -> HttpResponse:
    endpoint, operation = _find(request, pk), operations.asked(request)
    outcome = endpoints.enable(actor=request.user, endpoint=endpoint, clock=timezone.now, operation=operation)
    page = operations.page_of(endpoint)
    return operations.respond(request, outcome=outcome, operation=operation, endpoint=endpoint, page=page)


@require_POST
@allowed(Permission.OPERATE, of=Endpoint)
def redeliver(request: MemberRequest, pk: int) -> HttpResponse:
    """Redeliver all failed deliveries with one call. If later events have overtaken some of them, ask first."""
    endpoint, operation = _find(request, pk), operations.asked(request)
    if not operations.is_anyway(request) and overtaken.failed_shown(endpoint, now=timezone.now()) is not None:
        return operations.ask_first(request, reverse("endpoint-redeliver-anyway", args=[pk]))
    outcome = endpoints.redeliver_failed(actor=request.user, endpoint=endpoint, clock=timezone.now, operation=operation)
    page = operations.page_of(endpoint)
    return operations.respond(request, outcome=outcome, operation=operation, endpoint=endpoint, page=page)


@never_cache
@require_safe
@allowed(Permission.OPERATE, of=Endpoint)
def redeliver_anyway(request: MemberRequest, pk: int) -> HttpResponse:
    """Ask before one call redelivers failed deliveries that later events have overtaken, and offer the ordered run."""
    now = timezone.now()
    endpoint = get_object_or_404(with_known(_visible(request).registered(), now=now), pk=pk)
    found = overtaken.failed_shown(endpoint, now=now)
    if found is None:
        return redirect("endpoint-detail", pk=pk)
    row = endpoint_rows(endpoints=[endpoint], user_id=request.user.pk)[0]
    context = {
        "install": endpoint.install,
        "endpoint": endpoint,
        "overtaken": found,
        "operation": row.redeliver_operation,
        "instead": controls.recover(pk) if row.stopped else controls.redeliver_in_order(pk),
    }
    return render(request, "endpoints/redeliver_anyway.html", context)


def _find(request: MemberRequest, pk: int) -> Endpoint:
    """Return an endpoint that can be acted on. Raises: Http404."""
    return get_object_or_404(_visible(request).registered(), pk=pk)


def _visible(request: MemberRequest) -> EndpointQuerySet:
    """Return visible endpoints without their secrets: pages don't need them, and reading one decrypts it."""
    rows = Endpoint.objects.visible_to(request.user).select_related("install")
    return rows.defer("secret", "install__token")


def _context(request: MemberRequest, pk: int) -> dict[str, Any]:
    now, user, before = timezone.now(), request.user, request.GET.get("before", "")
    endpoint = _loaded(request, pk, now=now)
    row = endpoint_rows(endpoints=[endpoint], user_id=user.pk)[0]
    # Before the deliveries: a delivery that a step says has arrived must be in the list below.
    way = None if before else _way(endpoint, user=user, now=now)
    log = _log(row, before=before, now=now)
    return {
        "install": endpoint.install,
        "freshness": look(install=endpoint.install, now=now),
        "log_lag": log_lag(user=user, now=now) if endpoint.is_logged else (),
        "row": row,
        **log,
        **_top(row, user=user, retries=any(one.state in RETRIED for one in log["waiting"]), now=now),
        "before": before,
        "missing": None if before else missing_here(endpoint, user=user, now=now),
        "way": way,
        "path": path_words(endpoint),
        "source": delivery_source(
            endpoint,
            owner=_owner_of_address(endpoint),
            lacks_secret=getattr(endpoint, "lacks_secret"),  # noqa: B009 - annotated
            never_verified=bool(log["refused"]) and not log["deliveries"].rows and not before,
            user=user,
        ),
        "activity": recent(endpoint=endpoint, now=now),
        "switch": switch_of(endpoint),
        "rotation": Rotation.objects.of(endpoint=endpoint).under_way().first(),
        "now": now,
    }


def _loaded(request: MemberRequest, pk: int, *, now: datetime) -> Endpoint:
    """Return the endpoint with all that its page reads of it in the same query. Raises: Http404."""
    rows = with_log(with_known(_visible(request), now=now), retried_since=now - schedule().retry_span)
    rows = with_open_alerts(rows).annotate(lacks_secret=Q(secret__isnull=True))
    return get_object_or_404(rows.select_related("install__reconciliation", "silence"), pk=pk)


def _log(row: EndpointRow, *, before: str, now: datetime) -> dict[str, Any]:
    """Return the deliveries and refused requests of the page, and why deliveries fail or wait."""
    endpoint = row.endpoint
    page = list(_deliveries(endpoint, before=before)[: PAGE + 1])
    causes = cause_rows(scope=Scope(endpoint=endpoint.pk), criteria=DeliveryCriteria(), times={})
    shown = [delivery_row(delivery=one, endpoint=endpoint, now=now) for one in page[:PAGE]]
    waiting = [] if before else waiting_of(shown, stopped=row.stopped, more=len(page) > PAGE)
    older = page[PAGE - 1].pk if len(page) > PAGE else None
    return {
        "causes": causes,
        "waiting": waiting,
        "has_failures": bool(causes or waiting),
        "none_failed": endpoint.is_logged and bool(page) and not waiting and all(cause.is_refused for cause in causes),
        "deliveries": DeliveryTable(shown),
        "pager": pages.before(url=reverse("endpoint-detail", args=[endpoint.pk]), before=before, older=older),
        "empty": no_deliveries(row, is_first_page=not before),
        "refused": list(endpoint.refused_attempts.order_by("-received_at", "-id")[:RECENT]),
    }


def _top(row: EndpointRow, *, user: User, retries: bool, now: datetime) -> dict[str, Any]:
    """Return the top of the page: what is going on, since when, and what this user can do about it."""
    endpoint = row.endpoint
    newest_at, reached = getattr(endpoint, "newest_at"), getattr(endpoint, "reached")  # noqa: B009 - annotated
    silence = None if row.stopped else silence_of(endpoint, newest_at=newest_at)
    silence_words, run = silence_reason(silence, now=now), _newest_run(endpoint, now=now)
    return {
        "silence": silence,
        "silence_words": silence_words,
        "alerts": [] if endpoint.deleted_at else _alerts_of(endpoint, run),
        "run": run,
        "head": head(
            row=row,
            run=run,
            silence_words=silence_words,
            told=told_words(endpoint, reached=reached),
            user=user,
            lags=_lags(endpoint, now=now),
            retries=retries,
        ),
    }


def _newest_run(endpoint: Endpoint, *, now: datetime) -> RunRow | None:
    """Return the newest run if the page shows it, with its ending."""
    row = newest_run(endpoint, now=now)
    return None if row is None else with_endings([row], every=reconcile_every(), now=now)[0]


def _alerts_of(endpoint: Endpoint, run: RunRow | None) -> list[OpenAlert]:
    """Return the open alerts whose words the page does not say elsewhere.

    A notice tells of a changed URL, and the line of a run that failed at its first delivery says why.
    """
    said = {AlertKind.URL_CHANGED} | ({AlertKind.CANARY_FAILED} if run is not None and run.failed_first else set())
    return [alert for alert in open_alerts_of(endpoint) if alert.kind not in said]


def _way(endpoint: Endpoint, *, user: User, now: datetime) -> Way | None:
    """Return how far the endpoint is behind the receiver, if it was put there lately."""
    if endpoint.routed_at is None:
        return None
    newest = endpoint.deliveries.filter(last_attempt_at__gte=endpoint.routed_at).newest_first().defer("body")
    return way_of(endpoint, newest=list(newest[:RECENT]), now=now, user=user)


def _owner_of_address(endpoint: Endpoint) -> Endpoint | None:
    """Return the endpoint of the install whose receiver address this one uses, if that is not its own."""
    if not endpoint.claimed_key:
        return None
    rows = Endpoint.objects.filter(receiver_key=endpoint.claimed_key, install=endpoint.install_id)
    return rows.defer("secret").first()


def _lags(endpoint: Endpoint, *, now: datetime) -> bool:
    """Return whether OpenTrain's list was read after the last change, and did not confirm it (`rules.snapshots`)."""
    listed_at, snapshot_at = endpoint.install.listed_at, endpoint.snapshot_at
    if listed_at is None or snapshot_at is None or snapshot_at >= listed_at:
        return False
    return endpoint.writes.filter(at__gt=now - LAG).exists()


def _deliveries(endpoint: Endpoint, *, before: str) -> QuerySet[Delivery]:
    """Return deliveries, newest first; with `before`, only those older than that delivery."""
    rows = with_marks(endpoint.deliveries.newest_first().defer("body"))
    start = endpoint.deliveries.filter(pk=int(before)).first() if ID.fullmatch(before) else None
    if start is None:
        return rows
    same_moment = Q(first_received_at=start.first_received_at, pk__lt=start.pk)
    return rows.filter(same_moment | Q(first_received_at__lt=start.first_received_at))
