"""Search, as a page and as the results that the search dialog loads; and the keyboard shortcuts page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeGuard
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.forms import search_text
from dashboard.forms.delivery_filters import link_query
from dashboard.forms.search_text import LONGEST
from dashboard.models import Contract, Delivery, Endpoint, Handover, Install, ProjectLink, RefusedAttempt, Run
from dashboard.presenters import no_results
from dashboard.presenters.handovers import HandoverRow
from dashboard.presenters.rows import health_of, state_of
from dashboard.presenters.runs import run_row
from dashboard.queries.search import SHOWN, Found, find
from dashboard.rules.outside_texts import cut

NAME_CHARS = 40
"""Most characters of an install's name before an ID."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One result: its URL, title and detail, and its state as a chip. `why` is the URL of “Why didn't it come?”.

    `place` is the endpoint that it is of. `at` is the time that tells results apart, and `did` says of what.
    """

    url: str
    title: str
    detail: str
    kind: str = ""
    label: str = ""
    why: str = ""
    place: str = ""
    did: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Results of one kind; `more` is the URL of the full list, if there may be more results."""

    heading: str
    hits: Sequence[Hit]
    more: str = ""


@require_safe
@allowed(Permission.SEE)
def index(request: MemberRequest) -> HttpResponse:
    """Show the results; a complete ID redirects to its object."""
    context, found = _search(request)
    if found.exact is not None:
        return redirect(_address(found.exact))
    return render(request, "search/index.html", context)


@require_safe
@allowed(Permission.SEE)
def results(request: MemberRequest) -> HttpResponse:
    context, _found = _search(request)
    return render(request, "search/index.html#results", context)


@require_safe
@allowed(Permission.SEE)
def shortcuts(request: MemberRequest) -> HttpResponse:
    return render(request, "help/keys.html")


def _search(request: MemberRequest) -> tuple[dict[str, Any], Found]:
    asked, now = search_text.read(request.GET.get("q", ""), what="name or ID"), timezone.now()
    found = find(user=request.user, text=asked.sought, words=asked.words, now=now) if asked.sought else Found()
    groups = [group for group in _groups(found, asked.sought, now) if group.hits]
    asks_why = bool(asked.sought) and found.exact is None and (asked.may_be_id or not groups)
    return {
        "asked": asked,
        "groups": groups,
        "causes_of_nothing": [] if groups else no_results.of_search(sees_all=request.user.sees_every_install),
        "why": _why(asked.sought) if asks_why else "",
        "count": sum(len(group.hits) for group in groups),
        "longest": LONGEST,
        "now": now,
    }, found


def _groups(found: Found, text: str, now: datetime) -> list[Group]:
    return [
        Group("Runs", [_run_hit(run) for run in found.runs]),
        Group("Contracts", [_contract_hit(one, now) for one in found.contracts]),
        _of_job(found, text, now),
        Group("Project links", [_link_hit(one) for one in found.links]),
        Group("Deliveries", [_delivery_hit(one, now) for one in found.deliveries]),
        Group("Refused requests", [_refused_hit(one) for one in found.refused]),
        Group("Handed over by Redeliver", [_handover_hit(one) for one in found.handovers]),
        _all_of("Deliveries of this event", found.of_event, "event_id", text, now),
        _all_of("Deliveries of this resource", found.of_resource, "resource", text, now),
        Group("Endpoints", [_endpoint_hit(one) for one in found.endpoints]),
        Group("Installs", [_install_hit(one) for one in found.installs], _more_installs(found, text)),
    ]


def _all_of(heading: str, deliveries: Sequence[Delivery], name: str, text: str, now: datetime) -> Group:
    more = f"{reverse('delivery-list')}?{link_query({name: text})}" if len(deliveries) == SHOWN else ""
    return Group(heading, [_delivery_hit(one, now) for one in deliveries], more)


def _of_job(found: Found, text: str, now: datetime) -> Group:
    more = _why(text) if len(found.of_job) == SHOWN else ""
    return Group("Contracts of this job", [_contract_hit(one, now) for one in found.of_job], more)


def _why(text: str) -> str:
    return f"{reverse('why')}?{urlencode({'q': text})}"


def _more_installs(found: Found, text: str) -> str:
    return f"{reverse('install-list')}?{urlencode({'q': text})}" if len(found.installs) == SHOWN else ""


def _address(one: Install | Endpoint | Delivery | Contract) -> str:
    names = {
        Install: "install-detail",
        Endpoint: "endpoint-detail",
        Delivery: "delivery-detail",
        Contract: "contract-detail",
    }
    return reverse(names[type(one)], args=[one.pk])


def _called(install: Install) -> str:
    """Return the install's name, short enough to leave room for the ID after it."""
    return cut(install.name, most=NAME_CHARS)


def _install_hit(install: Install) -> Hit:
    kind, label = ("no_access", "No access") if install.needs_person else ("", "")
    if install.is_disconnected:
        kind, label = "unknown", "Disconnected"
    detail = f"organization {install.organization_id}"
    return Hit(_address(install), install.name, detail, kind, label, did="synced", at=install.synced_at)


def _endpoint_hit(endpoint: Endpoint) -> Hit:
    health = health_of(endpoint)
    kind, label = ("deleted", "Deleted") if endpoint.deleted_at else (str(health.kind), health.label)
    detail = f"{_called(endpoint.install)} · {endpoint.known_as}"
    did, at = ("deleted", endpoint.deleted_at) if endpoint.deleted_at else ("synced", endpoint.snapshot_at)
    return Hit(_address(endpoint), endpoint.title, detail, kind, label, did=did, at=at)


def _run_hit(run: Run) -> Hit:
    row = run_row(run)
    return Hit(
        reverse("run-detail", args=[run.pk]),
        f"{run.get_kind_display()} {run.pk}",
        run.endpoint.install.name,
        row.kind,
        row.label,
        place=run.endpoint.title,
        did="started",
        at=run.created_at,
    )


def _contract_hit(contract: Contract, now: datetime) -> Hit:
    title = contract.title.strip() or "Contract without a title"
    detail = f"{_called(contract.install)} · {contract.opentrain_id}"
    did, at = _last_of(contract, now)
    return Hit(_address(contract), title, detail, why=_why(contract.opentrain_id), did=did, at=at)


def _last_of(contract: Contract, now: datetime) -> tuple[str, datetime]:
    """Return what a contract did last, and when: by OpenTrain's dates, unless these are missing or to come."""
    if contract.has_ended:
        seen = contract.ended_seen_at or contract.first_seen_at
        return ("ended", contract.end_date) if _is_past(contract.end_date, now) else ("seen as ended", seen)
    begun = contract.created_at
    return ("created", begun) if _is_past(begun, now) else ("first seen", contract.first_seen_at)


def _is_past(at: datetime | None, now: datetime) -> TypeGuard[datetime]:
    return at is not None and at <= now


def _link_hit(link: ProjectLink) -> Hit:
    title = link.external_project_name or link.external_project_id or link.opentrain_id
    did, at = ("no longer listed", link.gone_at) if link.gone_at else ("listed", link.last_seen_at)
    return Hit(_why(link.opentrain_id), title, f"{_called(link.install)} · {link.opentrain_id}", did=did, at=at)


def _delivery_hit(delivery: Delivery, now: datetime) -> Hit:
    state = state_of(delivery=delivery, endpoint=delivery.endpoint, now=now).kind
    return Hit(
        _address(delivery),
        delivery.event_type,
        f"{_called(delivery.endpoint.install)} · {delivery.opentrain_id}",
        state,
        state.label,
        place=delivery.endpoint.title,
        did="received",
        at=delivery.first_received_at,
    )


def _refused_hit(refused: RefusedAttempt) -> Hit:
    return Hit(
        f"{reverse('endpoint-doctor', args=[refused.endpoint_id])}?{urlencode({'refused': refused.pk})}",
        refused.claimed_event_type or "Request without an event type",
        f"{_called(refused.endpoint.install)} · {refused.explanation}",
        "refused",
        "Refused",
        place=refused.endpoint.title,
        did="refused",
        at=refused.received_at,
    )


def _handover_hit(handover: Handover) -> Hit:
    row = HandoverRow(handover)
    return Hit(
        reverse("handover-detail", args=[handover.pk]),
        handover.event_type,
        f"{_called(handover.install)} · {handover.delivery_id}",
        row.kind,
        row.label,
        place=handover.endpoint.title,
        did="requested",
        at=handover.asked_at,
    )
