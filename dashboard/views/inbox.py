"""The inbox: every endpoint and install that needs attention, worst first."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from django.db.models import Count, Min, OuterRef, Q, Sum
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.config.schedule import reconcile_every, schedule
from dashboard.models import Alert, Endpoint, EndpointSnapshot, Install, Run, Silence, User
from dashboard.models.endpoints import DISABLED
from dashboard.models.installs import NEEDS_ATTENTION, RANK_OF_TROUBLE
from dashboard.presenters.controls import Control
from dashboard.presenters.delivery_source import outside_words
from dashboard.presenters.endpoints import OpenAlert, open_alerts_of, silence_of, silence_reason, told_words
from dashboard.presenters.figures import Lately, lately_active
from dashboard.presenters.inbox import (
    AllClear,
    Followed,
    InboxCount,
    Sums,
    Tried,
    all_clear,
    contract_needs,
    fleet_label,
    followed,
    headline,
    helps_endpoint,
    inbox_count,
    tried,
)
from dashboard.presenters.live import live as live_response
from dashboard.presenters.log_lag import log_lag
from dashboard.presenters.may_be_missing import InboxWindows, inbox_windows
from dashboard.presenters.operations import operation_id
from dashboard.presenters.rows import NextAttempt, health_of, next_attempt
from dashboard.presenters.runs import RunRow, annotated_run, run_row
from dashboard.queries import consequences, health_checks
from dashboard.queries.inbox import (
    Logged,
    endpoints_needing_attention,
    logged,
    with_newest_run,
    with_open_alerts,
)
from dashboard.queries.operations import last_answer_of
from dashboard.queries.status_history import gap
from dashboard.rules.alert_messages import End, stored_end
from dashboard.rules.alerts import AlertKind
from dashboard.rules.deliveries import Standing, due_from
from dashboard.rules.endpoints import EndpointHealth, HealthKind, Severity
from dashboard.views.install_list import UNHEARD, InstallNeed, beginning, install_need, installs_needing_attention

SHOWN = 50
"""Endpoints and installs needing attention on the page."""
UNDER_WAY = 10
"""Active runs on healthy endpoints on the page; the others are on the runs page."""
FLEET = 8
"""Installs beside the inbox; the others are on the installs page."""
READ_WITHIN = timedelta(minutes=3)
"""How long ago OpenTrain must have answered for an install's endpoints to count as healthy, if polls are more often."""
LATELY = 10
"""Endpoints whose figures are on the page while nothing needs attention."""
ATTEMPTED = frozenset({HealthKind.AT_RISK, HealthKind.FAILING})
"""Kinds for which the next attempt matters: it adds to the consecutive failures or ends them."""
UNKNOWN = Logged(None, None, ())
NOTHING_MISSING: Mapping[int, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class EndpointNeed:
    """An endpoint that needs attention: its name, the reasons in words, since when, and its button."""

    endpoint: Endpoint
    health: EndpointHealth
    kind: str
    label: str
    reasons: list[str]
    since: datetime | None
    failed: int
    next_attempt: NextAttempt | None
    run: RunRow | None
    tried: Tried | None
    """Its newest run, if that stopped."""
    control: Control | None
    """The most useful action; None if the user may not act on it."""
    install: InstallNeed | None
    """Its install, if that needs attention itself: the endpoint can't be repaired before."""

    @property
    def has_streak(self) -> bool:
        """Whether to draw its consecutive failures, which lead to auto-disable."""
        return self.health.kind in ATTEMPTED


@dataclass(frozen=True, slots=True)
class Repaired:
    """The last problem that was resolved: its install, the page of what had it, and when it was resolved."""

    install_name: str
    url: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Quiet:
    """What the inbox says while nothing needs attention; empty while something does.

    `alerts` are open alerts. `is_known`: a worker watches, and no event may be missing.
    """

    clear: AllClear | None = None
    lately: Lately | None = None
    repaired: Repaired | None = None
    alerts: int = 0
    is_known: bool = True


@require_safe
@allowed(Permission.SEE)
def index(request: MemberRequest) -> HttpResponse:
    return render(request, "inbox/index.html", _context(request))


@require_safe
@allowed(Permission.SEE)
def live(request: MemberRequest) -> HttpResponseBase:
    return live_response(request, template="inbox/index.html#live", context=_context(request))


@require_safe
@allowed(Permission.SEE)
def count_live(request: MemberRequest) -> HttpResponseBase:
    """Return how much needs attention, for the navigation of every page."""
    return live_response(request, template="inbox/_count.html", context={"count": _count(request.user, timezone.now())})


def _count(user: User, now: datetime) -> InboxCount:
    installs = Install.objects.visible_to(user).connected().filter(NEEDS_ATTENTION)
    needs = contract_needs(consequences.contract_needs(user=user), most=0, handler=user.handler_is, now=now)
    endpoints = endpoints_needing_attention(user=user, now=now)
    return inbox_count(endpoints=endpoints.count(), installs=installs.count(), needs=needs)


def _context(request: MemberRequest) -> dict[str, Any]:
    now = timezone.now()
    visible = Install.objects.visible_to(request.user).connected()
    endpoints = _endpoints_in_need(request.user, now=now)
    sums = _sums(request.user, now)
    installs = (
        [install_need(install, user=request.user) for install in installs_needing_attention(visible)[:SHOWN]]
        if sums["in_need"]
        else []
    )
    endpoints_in_need = getattr(endpoints[0], "total", 0) if endpoints else 0
    total = endpoints_in_need + sums["in_need"]
    found = consequences.contract_needs(user=request.user)
    contracts = contract_needs(found, most=SHOWN, handler=request.user.handler_is, now=now)
    windows = inbox_windows(
        user=request.user,
        in_need={endpoint.pk for endpoint in endpoints},
        told_installs={one.install_id for one in contracts.urgent},
        now=now,
    )
    needs = endpoint_needs(endpoints=endpoints, missing=windows.reasons, user=request.user, now=now)
    # Sums are from the last poll; the list of what needs attention is current.
    fine = max(sums["fine"] - (getattr(endpoints[0], "seem_fine", 0) if endpoints else 0), 0)
    is_quiet = not total and not contracts.urgent
    left = Install.objects.visible_to(request.user).filter(disconnected_at__isnull=False).count() if is_quiet else 0
    counted = Sums(sums["endpoints"], fine, sums["unknown"], is_known=sums["as_of"] is not None, left=left)
    lag = log_lag(user=request.user, now=now)
    quiet = Quiet()
    if is_quiet:
        quiet = _quiet(request.user, counted, windows=windows, now=now)
    fleet = beginning(request, visible=visible, most=FLEET, now=now)
    return {
        "count": inbox_count(endpoints=endpoints_in_need, installs=sums["in_need"], needs=contracts),
        "needs": worst_first(endpoints=needs, installs=installs)[:SHOWN],
        "contracts": contracts,
        "windows": windows,
        "headline": headline(
            endpoints=endpoints_in_need,
            installs=sums["in_need"],
            needs=contracts,
            alerts=quiet.alerts,
            is_known=quiet.is_known and not sums["unknown"] and not lag,
        ),
        "log_lag": lag,
        "all_clear": quiet.clear,
        "lately": quiet.lately,
        "total": total,
        "under_way": _under_way(request.user, told=endpoints),
        "sums": sums,
        "left": left,
        "fine_words": counted.words,
        "fleet": fleet,
        "fleet_label": fleet_label(installs=sums["installs"], has_more=fleet.more, is_search=bool(fleet.asked.query)),
        "repaired": quiet.repaired,
        "now": now,
    }


def _endpoints_in_need(user: User, *, now: datetime) -> list[Endpoint]:
    """Return up to SHOWN endpoints that need attention, worst first, with what `endpoint_needs` reads of them."""
    rows = with_open_alerts(with_newest_run(endpoints_needing_attention(user=user, now=now)))
    rows = rows.select_related("install", "silence").annotate(last_answer=last_answer_of(OuterRef("pk"), now=now))
    return list(rows.defer("secret", "install__token")[:SHOWN])


def _quiet(user: User, counted: Sums, *, windows: InboxWindows, now: datetime) -> Quiet:
    """Return what to say while nothing needs attention, as far as is known."""
    alerts, is_watched = Alert.objects.visible_to(user).open().count(), health_checks.has_worker(now=now)
    known = consequences.known(user=user, every=reconcile_every(), now=now)
    return Quiet(
        clear=all_clear(counted, alerts=alerts, is_watched=is_watched, contracts=known, windows=windows, user=user),
        lately=lately_active(user=user, count=counted.endpoints, most=LATELY, now=now),
        repaired=_last_repaired(user),
        alerts=alerts,
        is_known=is_watched and known.is_clear and not windows.words,
    )


def _under_way(user: User, *, told: list[Endpoint]) -> list[Followed]:
    """Return the active or waiting runs on endpoints that are not in the list. Whole rows are read if there are any."""
    rows = Run.objects.active().visible_to(user).exclude(endpoint__in=[endpoint.pk for endpoint in told])
    ids = list(rows.order_by("-created_at", "-id").values_list("pk", flat=True)[:UNDER_WAY])
    if not ids:
        return []
    whole = Run.objects.select_related("endpoint__install").defer("endpoint__secret", "endpoint__install__token")
    found = whole.in_bulk(ids)
    return [followed(run_row(found[pk])) for pk in ids if pk in found]


def _sums(user: User, now: datetime) -> dict[str, Any]:
    """Count installs and endpoints from each install's stored sums; unknown ones are counted separately.

    Disconnected installs are in no number. What was not read lately is unknown, whatever the reason.
    """
    read = Q(checked_at__gte=now - max(gap(), READ_WITHIN))
    known = Q(last_error_code="") & ~Q(rank=RANK_OF_TROUBLE) & read
    groups = (
        Install.objects.visible_to(user)
        .connected()
        .annotate(is_known=known)  # once for each install: as a filter of each sum, it takes as long again
        .order_by()
        .values("is_known")
        .annotate(
            installs_count=Count("pk"),
            in_need=Count("pk", filter=NEEDS_ATTENTION),
            unheard=Count("pk", filter=Q(last_error_code__in=UNHEARD)),
            endpoints_count=Sum("endpoint_count"),
            fine=Sum("fine_count"),
            as_of=Min("checked_at"),
        )
    )
    found = list(groups)
    read_lately = next((one for one in found if one["is_known"]), None)
    endpoints = sum(one["endpoints_count"] for one in found)
    return {
        "installs": sum(one["installs_count"] for one in found),
        "in_need": sum(one["in_need"] for one in found),
        "unheard": sum(one["unheard"] for one in found),
        "endpoints": endpoints,
        "fine": read_lately["fine"] if read_lately else 0,
        "unknown": endpoints - (read_lately["endpoints_count"] if read_lately else 0),
        "as_of": read_lately["as_of"] if read_lately else None,
    }


def worst_first(*, endpoints: list[EndpointNeed], installs: list[InstallNeed]) -> list[EndpointNeed | InstallNeed]:
    """Merge both lists, each worst first, into one.

    An install in unknown state comes after known failures, and before endpoints that OpenTrain considers healthy but
    that have failed deliveries or are silent.
    """
    failing = [need for need in endpoints if need.endpoint.severity < Severity.PAUSED]
    return [*failing, *installs, *endpoints[len(failing) :]]


def endpoint_needs(
    *, endpoints: list[Endpoint], missing: Mapping[int, str] = NOTHING_MISSING, user: User, now: datetime
) -> list[EndpointNeed]:
    """Return the endpoints in the given order, each with what its log and OpenTrain report about it.

    `missing` says, by primary key, of which time events may be missing.
    """
    if not endpoints:
        return []
    ids = [endpoint.pk for endpoint in endpoints]
    found = logged(endpoint_ids=ids, retried_since=now - schedule().retry_span)
    return [
        _endpoint_need(one, found.get(one.pk, UNKNOWN), missing.get(one.pk, ""), user=user, now=now)
        for one in endpoints
    ]


def _endpoint_need(endpoint: Endpoint, log: Logged, missing: str, *, user: User, now: datetime) -> EndpointNeed:
    last_answer: int = getattr(endpoint, "last_answer")  # noqa: B009 - annotated; one that is not is a mistake

    def name(action: str) -> uuid.UUID:
        return operation_id(user_id=user.pk, action=action, subject=str(endpoint.pk), last_answer=last_answer)

    health = health_of(endpoint)
    silence = silence_of(endpoint, newest_at=log.newest_at)
    failed, newest = log.count(Standing.FAILED), annotated_run(endpoint)
    run = run_row(newest) if newest is not None and newest.is_active else None
    stopped = tried(newest) if newest is not None else None
    alerts = [one for one in open_alerts_of(endpoint) if not _is_said(one, stopped)]
    kind, label = _state(health, failed=failed, alerts=alerts)
    is_url_alerted = any(alert.kind is AlertKind.URL_CHANGED for alert in alerts)
    return EndpointNeed(
        endpoint=endpoint,
        health=health,
        kind=kind,
        label=label,
        reasons=_reasons(endpoint, health, log, silence, is_url_alerted=is_url_alerted, now=now)
        + [words for words in (missing, *(alert.words for alert in alerts)) if words],
        since=_since(endpoint, log, silence, alerts),
        failed=failed,
        next_attempt=_next_attempt(health, log, now=now),
        run=run,
        tried=stopped,
        control=helps_endpoint(
            endpoint,
            failed=failed,
            run=run,
            is_install_in_need=endpoint.install.needs_person,
            enable=name("enable"),
            redeliver=name("redeliver"),
            user=user,
        ),
        install=install_need(endpoint.install, user=user) if endpoint.install.needs_person else None,
    )


def _state(health: EndpointHealth, *, failed: int, alerts: Sequence[OpenAlert]) -> tuple[str, str]:
    """Return the kind and the label of the worst that is known of an endpoint: OpenTrain's status comes first."""
    if health.kind is not HealthKind.ACTIVE:
        return str(health.kind), health.label
    if failed:
        return "failed", "Failed deliveries"
    return (alerts[0].kind.value, alerts[0].kind.label) if alerts else ("silent", "Silent")


def _is_said(alert: OpenAlert, stopped: Tried | None) -> bool:
    """Return whether the endpoint's stopped run says what an alert says."""
    return alert.kind is AlertKind.CANARY_FAILED and stopped is not None and stopped.is_canary


def _next_attempt(health: EndpointHealth, log: Logged, *, now: datetime) -> NextAttempt | None:
    """Return OpenTrain's earliest next attempt, as far as the log shows it."""
    if health.kind not in ATTEMPTED or log.next_due_by is None:
        return None
    due = due_from(due_by=log.next_due_by, schedule=schedule())
    return next_attempt(due=due, is_overdue=log.next_due_by < now, now=now)


def _since(endpoint: Endpoint, log: Logged, silence: Silence | None, alerts: Sequence[OpenAlert]) -> datetime | None:
    if endpoint.disabled_at is not None:
        return endpoint.disabled_at
    if log.failing:
        return min(one.first_at for one in log.failing)
    if silence is not None:
        return silence.last_at
    return alerts[0].opened_at if alerts else None


def _reasons(
    endpoint: Endpoint,
    health: EndpointHealth,
    log: Logged,
    silence: Silence | None,
    *,
    is_url_alerted: bool,
    now: datetime,
) -> list[str]:
    """Return what is wrong, most important first, one sentence each.

    `is_url_alerted`: an open alert reports the change of its URL.
    """
    reasons = [health.words] if health.kind is not HealthKind.ACTIVE else []
    reasons += log.words(now=now)
    if health.kind is HealthKind.ACTIVE and log.count(Standing.FAILED):
        again = (
            "it is not retried automatically"
            if log.count(Standing.FAILED) == 1
            else "they are not retried automatically"
        )
        reasons.append(f"The endpoint is active, but {again}.")
    outside = "" if is_url_alerted else outside_words(endpoint)
    if outside:
        reasons.append(outside)
    elif not endpoint.is_logged and not log.failing:
        reasons.append(
            "Its deliveries don't pass through Redeliver, so only OpenTrain and the handler know which failed and why."
        )
    else:
        reasons.append(told_words(endpoint, reached=log.reached))
    reasons.append(silence_reason(silence, now=now))
    return [reason for reason in reasons if reason]


def _last_repaired(user: User) -> Repaired | None:
    """Return the last resolved problem: from the history of statuses or from the alerts, whichever ended later."""
    found = [one for one in (_last_ended_in_history(user), _last_ended_alert(user)) if one is not None]
    return max(found, key=lambda one: one.at, default=None)


def _last_ended_in_history(user: User) -> Repaired | None:
    """Return the newest problem in the history if its endpoint was seen active after it: a pause ends no problem."""
    history = EndpointSnapshot.objects.filter(endpoint__in=Endpoint.objects.visible_to(user).connected())
    wrong = history.filter(severity__lt=Severity.PAUSED).order_by("-at")
    last = wrong.select_related("endpoint__install").defer("endpoint__secret", "endpoint__install__token").first()
    if last is None:
        return None
    later = EndpointSnapshot.objects.filter(endpoint=last.endpoint_id, at__gt=last.at, severity=Severity.ACTIVE)
    ended = later.order_by("at").first()
    if ended is None:
        return None
    return Repaired(last.endpoint.install.name, reverse("endpoint-detail", args=[last.endpoint_id]), ended.at)


def _last_ended_alert(user: User) -> Repaired | None:
    rows = Alert.objects.visible_to(user).filter(install__disconnected_at=None).select_related("endpoint")
    last = rows.defer("endpoint__secret").order_by("-opened_at", "-id").first()
    if last is None or last.cleared_at is None or stored_end(last.ended_as) is not End.RESOLVED:
        return None
    if last.endpoint is not None and last.endpoint.status == DISABLED:
        return None
    url = reverse("endpoint-detail", args=[last.endpoint_id]) if last.endpoint_id else ""
    return Repaired(last.install_name, url or reverse("install-detail", args=[last.install_id]), last.cleared_at)
