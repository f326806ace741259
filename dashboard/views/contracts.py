"""A contract's page: what became of its events at each endpoint of its install, and why."""

from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.models import Contract
from dashboard.presenters.contract_page import answer
from dashboard.presenters.live import live as live_response
from dashboard.presenters.log_lag import log_lag
from dashboard.queries.contract_story import story


@require_safe
@allowed(Permission.SEE)
def detail(request: MemberRequest, pk: int) -> HttpResponse:
    return render(request, "contracts/detail.html", _context(request, pk))


@require_safe
@allowed(Permission.SEE)
def live(request: MemberRequest, pk: int) -> HttpResponseBase:
    return live_response(request, template="contracts/detail.html#live", context=_context(request, pk))


def _context(request: MemberRequest, pk: int) -> dict[str, Any]:
    rows = Contract.objects.visible_to(request.user).select_related("install").defer("install__token")
    contract, now = get_object_or_404(rows, pk=pk), timezone.now()
    return {
        "contract": contract,
        "install": contract.install,
        "told": answer(story(contract, now=now), user=request.user, now=now),
        "log_lag": log_lag(user=request.user, now=now),
        "now": now,
    }
