"""A contract's page: what became of its events at each endpoint of its install, and why."""

from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.models import Contract
from dashboard.presenters.live import live as live_response


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
    contract = get_object_or_404(rows, pk=pk)
    return {"contract": contract, "install": contract.install, "now": timezone.now()}
