"""Installs: the list, connecting one by its token, and one with its endpoints."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Prefetch
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from dashboard.actions import installs
from dashboard.forms import ConnectForm
from dashboard.health import EndpointHealth
from dashboard.models import Endpoint, Install
from dashboard.permissions import MemberRequest, member_required
from dashboard.vault import Secret
from dashboard.views import operations
from dashboard.views.freshness import freshen
from dashboard.views.live import live as live_response
from dashboard.views.rows import WORST_FIRST, EndpointRow, endpoint_rows, health_of

SHOWN = 200
"""So many installs stand on one page; a search finds the others."""


@dataclass(frozen=True, slots=True)
class InstallRow:
    """An install, and how many of its endpoints are of which health, worst first."""

    install: Install
    counts: list[tuple[EndpointHealth, int]]

    @property
    def endpoints(self) -> int:
        return sum(count for _health, count in self.counts)

    @property
    def rank(self) -> int:
        """The lower, the sooner somebody should look at it."""
        if self.install.last_error or not self.install.can_manage:
            return 0
        return WORST_FIRST.index(self.counts[0][0].kind) if self.counts else len(WORST_FIRST)


@require_safe
@member_required
def index(request: MemberRequest) -> HttpResponse:
    return render(request, "installs/list.html", _list_context(request))


@require_safe
@member_required
def index_live(request: MemberRequest) -> HttpResponseBase:
    return live_response(request, template="installs/list.html#live", context=_list_context(request))


@never_cache
@sensitive_post_parameters("token")
@require_http_methods(["GET", "HEAD", "POST"])
@member_required
def connect(request: MemberRequest) -> HttpResponse:
    """Take an install's token; the page of the install then says what came of it."""
    form = ConnectForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return _connect(request, form)
    return render(request, "installs/connect.html", {"form": form}, status=422 if form.errors else 200)


@require_safe
@member_required
def detail(request: MemberRequest, pk: int) -> HttpResponse:
    context = _detail_context(request, pk)
    return render(request, "installs/detail.html", context | {"answer": operations.kept(request)})


@require_safe
@member_required
def live(request: MemberRequest, pk: int) -> HttpResponseBase:
    return live_response(request, template="installs/detail.html#live", context=_detail_context(request, pk))


@sensitive_variables("token")
def _connect(request: MemberRequest, form: ConnectForm) -> HttpResponse:
    operation = form.cleaned_data["operation"] or operations.asked(request)
    token = Secret(form.cleaned_data["token"])
    name = form.cleaned_data["name"]
    outcome, install = installs.connect(
        actor=request.user, token=token, name=name, now=timezone.now(), operation=operation
    )
    if install is not None:
        return redirect(f"{reverse('install-detail', args=[install.pk])}?operation={operation}")
    again = ConnectForm(initial={"name": name})
    answer = operations.build(outcome=outcome, operation=operation, endpoint=None, user_id=request.user.pk)
    return render(request, "installs/connect.html", {"form": again, "answer": answer})


def _list_context(request: MemberRequest) -> dict[str, Any]:
    query = request.GET.get("q", "").strip()[:200].replace("\0", "")
    visible = Install.objects.visible_to(request.user).defer("token")
    total = visible.count()
    endpoints = Endpoint.objects.registered().only("install_id", "status", "consecutive_failures")
    found = visible.filter(name__icontains=query).prefetch_related(Prefetch("endpoints", endpoints))[: SHOWN + 1]
    rows = sorted((_install_row(install) for install in found[:SHOWN]), key=lambda row: row.rank)
    return {"rows": rows, "query": query, "total": total, "more": len(found) > SHOWN, "now": timezone.now()}


def _install_row(install: Install) -> InstallRow:
    health = [health_of(endpoint) for endpoint in install.endpoints.all()]
    by_label = {one.label: one for one in health}
    counts = [(one, sum(other.label == label for other in health)) for label, one in by_label.items()]
    return InstallRow(install, sorted(counts, key=lambda pair: WORST_FIRST.index(pair[0].kind)))


def _detail_context(request: MemberRequest, pk: int) -> dict[str, Any]:
    now = timezone.now()
    install = get_object_or_404(Install.objects.visible_to(request.user).defer("token"), pk=pk)
    stale = freshen(install=install, now=now)
    return {
        "install": install,
        "stale": stale,
        "rows": _endpoint_rows(request, install, now),
        "registering": install.endpoints.filter(opentrain_id=None).defer("secret"),
        "now": now,
    }


def _endpoint_rows(request: MemberRequest, install: Install, now: datetime) -> list[EndpointRow]:
    endpoints = install.endpoints.registered().defer("secret")
    return endpoint_rows(endpoints=endpoints, user_id=request.user.pk, now=now)
