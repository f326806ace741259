"""The inbox: every endpoint and install that needs a person, worst first, and nothing else."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, OuterRef, Q, Sum
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.config.schedule import schedule
from dashboard.models import Endpoint, EndpointSnapshot, Install, Run, Silence, User
from dashboard.models.installs import RANK_OF_TROUBLE
from dashboard.presenters.controls import Control
from dashboard.presenters.endpoints import silence_of, silence_reason, told_words
from dashboard.presenters.inbox import Followed, Sums, all_clear, fleet_label, followed, headline, helps_endpoint
from dashboard.presenters.live import live as live_response
from dashboard.presenters.operations import operation_id
from dashboard.presenters.rows import NextAttempt, health_of, next_attempt
from dashboard.presenters.runs import RunRow, run_row
from dashboard.queries.inbox import (
    Logged,
    endpoints_needing_attention,
    logged,
    with_active_run,
)
from dashboard.queries.operations import last_answer_of
from dashboard.rules.deliveries import Standing, due_from
from dashboard.rules.endpoints import EndpointHealth, HealthKind, Severity
from dashboard.views.install_list import UNHEARD, InstallNeed, beginning, install_need, installs_needing_attention

SHOWN = 50
"""So much of what needs somebody stands on the page."""
UNDER_WAY = 10
"""So many runs on endpoints that need nobody stand on the page; the others are on the page of runs."""
FLEET = 8
"""So many installs stand beside it; the others are a page of their own."""
ATTEMPTED = frozenset({HealthKind.AT_RISK, HealthKind.FAILING})
"""The next attempt matters to these: it adds to the streak, or ends it."""
UNKNOWN = Logged(None, None, ())


@dataclass(frozen=True, slots=True)
class EndpointNeed:
    """An endpoint that needs a person: what it is called, why in words, since when, and what its buttons are named."""

    endpoint: Endpoint
    health: EndpointHealth
    kind: str
    label: str
    reasons: list[str]
    since: datetime | None
    failed: int
    next_attempt: NextAttempt | None
    run: RunRow | None
    control: Control | None
    """The one thing that helps first; None where this person may do nothing about it."""
    install: InstallNeed | None
    """Its install, where that needs somebody itself: nothing can be done for the endpoint before."""

    @property
    def has_streak(self) -> bool:
        """Whether its failures in a row are drawn: they lead to its auto-disable."""
        return self.health.kind in ATTEMPTED


@dataclass(frozen=True, slots=True)
class Repaired:
    """The last endpoint that was in trouble and is not any more, and since when."""

    endpoint: Endpoint
    at: datetime


@require_safe
@allowed(Permission.SEE)
def index(request: MemberRequest) -> HttpResponse:
    return render(request, "inbox/index.html", _context(request))


@require_safe
@allowed(Permission.SEE)
def live(request: MemberRequest) -> HttpResponseBase:
    return live_response(request, template="inbox/index.html#live", context=_context(request))


def _context(request: MemberRequest) -> dict[str, Any]:
    now = timezone.now()
    visible = Install.objects.visible_to(request.user)
    rows = with_active_run(endpoints_needing_attention(user=request.user, now=now)).select_related("install", "silence")
    rows = rows.annotate(last_answer=last_answer_of(OuterRef("pk"), now=now))
    endpoints = list(rows.defer("secret", "install__token")[:SHOWN])
    sums = _sums(request.user)
    needs = endpoint_needs(endpoints=endpoints, user=request.user, now=now)
    installs = (
        [install_need(install, user=request.user) for install in installs_needing_attention(visible)[:SHOWN]]
        if sums["in_need"]
        else []
    )
    endpoints_in_need = getattr(endpoints[0], "total", 0) if endpoints else 0
    total = endpoints_in_need + sums["in_need"]
    # Sums are from the last poll, and what is found in need is from now.
    fine = max(sums["fine"] - (getattr(endpoints[0], "seem_fine", 0) if endpoints else 0), 0)
    counted = Sums(sums["endpoints"], fine, sums["unknown"], is_known=sums["as_of"] is not None)
    repaired = _last_repaired(request.user) if not total else None
    fleet = beginning(request, visible=visible, most=FLEET)
    return {
        "needs": worst_first(endpoints=needs, installs=installs)[:SHOWN],
        "headline": headline(
            endpoints=endpoints_in_need, installs=sums["in_need"], unknown=sums["unknown"], user=request.user
        ),
        "all_clear": None if total else all_clear(counted, is_repaired=repaired is not None, user=request.user),
        "total": total,
        "under_way": _under_way(request.user, told=endpoints),
        "sums": sums,
        "fine_words": counted.words,
        "fleet": fleet,
        "fleet_label": fleet_label(installs=sums["installs"], has_more=fleet.more, is_search=bool(fleet.asked.query)),
        "repaired": repaired,
        "now": now,
    }


def _under_way(user: User, *, told: list[Endpoint]) -> list[Followed]:
    """Return the runs that go on, or wait for somebody, on endpoints that are not in the list any more."""
    rows = Run.objects.active().visible_to(user).exclude(endpoint__in=[endpoint.pk for endpoint in told])
    rows = rows.select_related("endpoint__install").defer("endpoint__secret", "endpoint__install__token")
    return [followed(run_row(run)) for run in rows.order_by("-created_at", "-id")[:UNDER_WAY]]


def _sums(user: User) -> dict[str, Any]:
    """Count installs and their endpoints from the sums that each install keeps; what is not known is counted apart."""
    known = Q(last_error_code="") & ~Q(rank=RANK_OF_TROUBLE)
    sums = Install.objects.visible_to(user).aggregate(
        installs=Count("pk"),
        in_need=Count("pk", filter=Q(rank=RANK_OF_TROUBLE)),
        unheard=Count("pk", filter=Q(last_error_code__in=UNHEARD)),
        endpoints=Sum("endpoint_count", default=0),
        fine=Sum("fine_count", filter=known, default=0),
        unknown=Sum("endpoint_count", filter=~known, default=0),
        as_of=Min("checked_at", filter=known),
        since=Min("connected_at"),
    )
    return dict(sums)


def worst_first(*, endpoints: list[EndpointNeed], installs: list[InstallNeed]) -> list[EndpointNeed | InstallNeed]:
    """Put both, each worst first, into one list.

    An install that nothing is known of any more comes after what is known to fail, and before what OpenTrain has no
    complaint about: failed deliveries that were left, and silence.
    """
    failing = [need for need in endpoints if need.endpoint.severity < Severity.PAUSED]
    return [*failing, *installs, *endpoints[len(failing) :]]


def endpoint_needs(*, endpoints: list[Endpoint], user: User, now: datetime) -> list[EndpointNeed]:
    """Return the endpoints in the order given, each with what its log and OpenTrain say of it."""
    if not endpoints:
        return []
    ids = [endpoint.pk for endpoint in endpoints]
    found = logged(endpoint_ids=ids, retried_since=now - schedule().retry_span)
    return [_endpoint_need(one, found.get(one.pk, UNKNOWN), user=user, now=now) for one in endpoints]


def _endpoint_need(endpoint: Endpoint, log: Logged, *, user: User, now: datetime) -> EndpointNeed:
    last_answer: int = getattr(endpoint, "last_answer")  # noqa: B009 - annotated; one that is not is a mistake

    def name(action: str) -> uuid.UUID:
        return operation_id(user_id=user.pk, action=action, subject=str(endpoint.pk), last_answer=last_answer)

    health = health_of(endpoint)
    silence = silence_of(endpoint, newest_at=log.newest_at)
    failed, run = log.count(Standing.FAILED), _run_of(endpoint)
    kind, label = str(health.kind), health.label
    if health.kind is HealthKind.ACTIVE:
        kind, label = ("failed", "Failed deliveries") if failed else ("silent", "Silent")
    return EndpointNeed(
        endpoint=endpoint,
        health=health,
        kind=kind,
        label=label,
        reasons=_reasons(endpoint, health, log, silence, now=now),
        since=_since(endpoint, log, silence),
        failed=failed,
        next_attempt=_next_attempt(health, log, now=now),
        run=run,
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


def _run_of(endpoint: Endpoint) -> RunRow | None:
    """Return the run that is under way on the endpoint, as far as a line tells of it."""
    found: dict[str, Any] | None = getattr(endpoint, "active_run", None)
    return None if found is None else run_row(Run(**found))


def _next_attempt(health: EndpointHealth, log: Logged, *, now: datetime) -> NextAttempt | None:
    """Say when OpenTrain attempts something again at the earliest, as far as the log tells."""
    if health.kind not in ATTEMPTED or log.next_due_by is None:
        return None
    due = due_from(due_by=log.next_due_by, schedule=schedule())
    return next_attempt(due=due, is_overdue=log.next_due_by < now, now=now)


def _since(endpoint: Endpoint, log: Logged, silence: Silence | None) -> datetime | None:
    if endpoint.disabled_at is not None:
        return endpoint.disabled_at
    if log.failing:
        return min(one.first_at for one in log.failing)
    return silence.last_at if silence is not None else None


def _reasons(
    endpoint: Endpoint, health: EndpointHealth, log: Logged, silence: Silence | None, *, now: datetime
) -> list[str]:
    """Say what is wrong, the most telling first; one sentence each."""
    reasons = [health.words] if health.kind is not HealthKind.ACTIVE else []
    reasons += log.words(now=now)
    if health.kind is HealthKind.ACTIVE and log.count(Standing.FAILED):
        again = (
            "it is not sent again by itself"
            if log.count(Standing.FAILED) == 1
            else "they are not sent again by themselves"
        )
        reasons.append(f"OpenTrain has no complaint about the endpoint now, but {again}.")
    if not endpoint.is_logged and not log.failing:
        reasons.append(
            "Its deliveries do not come by Redeliver: which failed, and why, only OpenTrain and its handler know."
        )
    else:
        reasons.append(told_words(endpoint, reached=log.reached))
    reasons.append(silence_reason(silence, now=now))
    return [reason for reason in reasons if reason]


def _last_repaired(user: User) -> Repaired | None:
    """Return what was wrong last: the newest trouble in the history, ended by the endpoint's next row."""
    history = EndpointSnapshot.objects.filter(endpoint__in=Endpoint.objects.visible_to(user))
    wrong = history.filter(severity__lt=Severity.PAUSED).order_by("-at")
    last = wrong.select_related("endpoint__install").defer("endpoint__secret", "endpoint__install__token").first()
    if last is None:
        return None
    ended = EndpointSnapshot.objects.filter(endpoint=last.endpoint_id, at__gt=last.at).order_by("at").first()
    return Repaired(last.endpoint, ended.at) if ended is not None else None
