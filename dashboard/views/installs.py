"""Connecting an install by its token, and an install's page. The list of installs is in views/install_list.py."""

from datetime import datetime
from typing import Any

from django.db.models import Count, Window
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from dashboard.actions.installs import sync
from dashboard.actions.installs.freshness import look
from dashboard.auth.kept_forms import secret_fields
from dashboard.auth.permissions import MemberRequest, Permission, allowed, may
from dashboard.db.statement_timeout import TooSlow, at_most
from dashboard.forms import endpoint_filters
from dashboard.forms.installs import ConnectForm
from dashboard.forms.list_filters import ID
from dashboard.models import Endpoint, Install
from dashboard.presenters import figures
from dashboard.presenters.activity import recent
from dashboard.presenters.contract_reads import contract_reads
from dashboard.presenters.contract_summary import ContractSummary, contract_summary
from dashboard.presenters.install_page import (
    REGISTERING_SHOWN,
    SHOWN,
    EndpointList,
    actions,
    endpoint_list,
    register,
    registering,
)
from dashboard.presenters.live import live as live_response
from dashboard.presenters.routes import route_all_link, unseen_words
from dashboard.presenters.rows import endpoint_rows, with_known
from dashboard.queries import contract_lists, endpoint_lists
from dashboard.queries.unseen import unseen
from dashboard.vault import Secret
from dashboard.views import delivery_lists, operations


@never_cache
@secret_fields("token")
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_INSTALLS)
def connect(request: MemberRequest) -> HttpResponse:
    """Take an install's token; the install's page then shows the outcome."""
    form, replaces = ConnectForm(request.POST or None), _replaces(request)
    if request.method == "POST" and form.is_valid():
        return _connect(request, form, replaces)
    context = {"form": form, "replaces": replaces}
    return render(request, "installs/connect.html", context, status=422 if form.errors else 200)


@require_safe
@allowed(Permission.SEE)
def detail(request: MemberRequest, pk: int) -> HttpResponse:
    context = _detail_context(request, pk)
    return render(request, "installs/detail.html", context | {"answer": operations.kept(request)})


@require_safe
@allowed(Permission.SEE)
def live(request: MemberRequest, pk: int) -> HttpResponseBase:
    return live_response(request, template="installs/detail.html#live", context=_detail_context(request, pk))


@sensitive_variables("token")
def _connect(request: MemberRequest, form: ConnectForm, replaces: Install | None) -> HttpResponse:
    operation = form.cleaned_data["operation"] or operations.asked(request)
    token = Secret(form.cleaned_data["token"])
    name = form.cleaned_data["name"]
    outcome, install = sync.connect(actor=request.user, token=token, name=name, now=timezone.now(), operation=operation)
    if install is not None:
        return redirect(f"{reverse('install-detail', args=[install.pk])}?operation={operation}")
    again = ConnectForm(initial={"name": name})
    answer = operations.build(outcome=outcome, operation=operation, endpoint=None, user_id=request.user.pk)
    return render(request, "installs/connect.html", {"form": again, "answer": answer, "replaces": replaces})


def _replaces(request: MemberRequest) -> Install | None:
    """Return the install named in the URL whose token is replaced. Only affects the page's text."""
    pk = request.GET.get("install", "")
    if not ID.fullmatch(pk):
        return None
    return Install.objects.visible_to(request.user).defer("token").filter(pk=int(pk)).first()


def _detail_context(request: MemberRequest, pk: int) -> dict[str, Any]:
    now = timezone.now()
    visible = Install.objects.visible_to(request.user).select_related("reconciliation").defer("token")
    install = get_object_or_404(visible, pk=pk)
    pending = install.endpoints.filter(opentrain_id=None, deleted_at=None).defer("secret")
    newest = list(pending.annotate(count=Window(Count("pk")))[:REGISTERING_SHOWN])
    not_seen = _unseen(request, install)
    return {
        "install": install,
        "freshness": look(install=install, now=now),
        "actions": actions(install, user=request.user, is_unseen=bool(not_seen.get("unseen"))),
        "register": register(install),
        **not_seen,
        "contracts": _contracts(install, now=now),
        "endpoints": _endpoint_list(request, install, now),
        "activity": recent(install=install, now=now),
        "registering": registering(newest, count=getattr(newest[0], "count", 0) if newest else 0),
        "now": now,
    }


def _contracts(install: Install, *, now: datetime) -> ContractSummary:
    """Return how many of its contracts have findings. What takes too long to count is unknown, never a wrong number."""
    try:
        with at_most(ms=delivery_lists.COUNT_MS):
            counts = contract_lists.finding_counts(install=install)
    except TooSlow:
        counts = None
    url = reverse("install-contracts", args=[install.pk])
    return contract_summary(counts=counts, reads=contract_reads(install, now=now), url=url)


def _unseen(request: MemberRequest, install: Install) -> dict[str, Any]:
    """Return what the page says of endpoints that Redeliver does not see, with the link that routes them."""
    if not may(request.user, Permission.MANAGE_ENDPOINTS) or not install.can_manage:
        return {}
    count = unseen(install=install).count()
    return {
        "unseen": unseen_words(count=count, total=install.endpoint_count),
        "route_all": route_all_link(install.pk),
    }


def _endpoint_list(request: MemberRequest, install: Install, now: datetime) -> EndpointList:
    filters = endpoint_filters.parse(params=request.GET.dict())
    page = endpoint_lists.page(install=install, criteria=filters.criteria, number=filters.page, size=SHOWN)
    found = with_known(Endpoint.objects.filter(pk__in=page.ids).defer("secret"), now=now).in_bulk()
    for endpoint in found.values():
        endpoint.install = install
    rows = endpoint_rows(endpoints=[found[pk] for pk in page.ids if pk in found], user_id=request.user.pk)
    shown = figures.of_endpoints([row.endpoint for row in rows], now=now)
    return endpoint_list(rows, page=page, filters=filters, figures=shown, install=install, user=request.user)
