"""A contract's page: what became of its events at each endpoint of its install, and why."""

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from dashboard.actions.reconciliation import budgets
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.models import Contract
from dashboard.presenters.contract_page import answer, budget_button
from dashboard.presenters.live import live as live_response
from dashboard.presenters.log_lag import log_lag
from dashboard.queries.contract_story import story

FRESH = timedelta(seconds=10)
"""A budget this young is not read again: a button that is pressed twice calls OpenTrain once."""


@require_safe
@allowed(Permission.SEE)
def detail(request: MemberRequest, pk: int) -> HttpResponse:
    return render(request, "contracts/detail.html", _context(request, pk))


@require_safe
@allowed(Permission.SEE)
def live(request: MemberRequest, pk: int) -> HttpResponseBase:
    return live_response(request, template="contracts/detail.html#live", context=_context(request, pk))


@require_POST
@allowed(Permission.OPERATE, of=Contract)
def read_budget(request: MemberRequest, pk: int) -> HttpResponse:
    """Read the contract's budget from OpenTrain; its page then shows it, or says why it is not known."""
    contract = _find(request, pk)
    read_at = contract.budget_read_at
    if read_at is None or timezone.now() - read_at > FRESH:
        words = budgets.refresh(contract=contract, clock=timezone.now)
        if words:
            messages.warning(request, words)
    return redirect("contract-detail", pk)


def _find(request: MemberRequest, pk: int) -> Contract:
    rows = Contract.objects.visible_to(request.user).select_related("install").defer("install__token")
    return get_object_or_404(rows, pk=pk)


def _context(request: MemberRequest, pk: int) -> dict[str, Any]:
    contract, now = _find(request, pk), timezone.now()
    return {
        "contract": contract,
        "install": contract.install,
        "told": answer(story(contract, now=now), user=request.user, now=now),
        "read_budget": budget_button(contract, user=request.user),
        "log_lag": log_lag(user=request.user, now=now),
        "now": now,
    }
