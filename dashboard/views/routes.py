"""Put endpoints behind the receiver, one or several of an install, and take Redeliver out of an endpoint's path."""

import time
import uuid
from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from dashboard.actions import routing
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.auth.kept_forms import secret_fields
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.forms.operation import OperationForm
from dashboard.forms.routes import ANYWAY, RouteForm, RouteInstallForm, Wanted
from dashboard.models import Endpoint, Install
from dashboard.presenters.routes import Line, form_rows, summary_words
from dashboard.presenters.runs import active_run
from dashboard.queries.unseen import unseen
from dashboard.rules.preflight import Preflight
from dashboard.vault import Secret
from dashboard.views import operations

AT_ONCE = 25
"""Endpoints in an install's form."""
BUDGET_S = 30.0
"""Seconds that a submitted form may take; what is left then is asked for with the next one."""


@never_cache
@secret_fields("secret")
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_ENDPOINTS, of=Endpoint)
def route(request: MemberRequest, pk: int) -> HttpResponse:
    """Say what will happen, check the handler, then have OpenTrain deliver to the receiver."""
    endpoint = _find(request, pk)
    why_not = routing.why_not_routed(endpoint)
    if why_not and request.method != "POST":
        return operations.lead(request, outcome=_not_possible(why_not), page=operations.page_of(endpoint))
    form = RouteForm(request.POST or None, knows_secret=_knows_secret(endpoint))
    if request.method != "POST" or not form.is_valid():
        return _route_page(request, endpoint, form)
    found = None if why_not else routing.preflights([endpoint])[0]
    if found is not None and (found.stops or (found.asks and not form.cleaned_data["anyway"])):
        return _route_page(request, endpoint, form, found=found)
    return _route(request, endpoint, form)


@require_safe
@allowed(Permission.MANAGE_ENDPOINTS, of=Endpoint)
def check(request: MemberRequest, pk: int) -> HttpResponse:
    """Check the handler, for the page that asks whether to route: it does not wait for this."""
    endpoint = _find(request, pk)
    [found] = routing.preflights([endpoint])
    return render(request, "routes/_check.html", {"found": found, "endpoint": endpoint})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_ENDPOINTS, of=Endpoint)
def bypass(request: MemberRequest, pk: int) -> HttpResponse:
    """Say what will happen, then have OpenTrain deliver to the handler itself."""
    endpoint, form = _find(request, pk), OperationForm(request.POST or None)
    why_not = routing.why_not_bypassed(endpoint)
    if why_not and request.method != "POST":
        return operations.lead(request, outcome=_not_possible(why_not), page=operations.page_of(endpoint))
    context = {
        "endpoint": endpoint,
        "install": endpoint.install,
        "operation": form["operation"].value(),
        "active": active_run(endpoint),
    }
    if request.method != "POST" or not form.is_valid():
        return render(request, "routes/bypass.html", context, status=422 if form.errors else 200)
    operation = form.cleaned_data["operation"] or uuid.uuid4()
    outcome = routing.bypass(actor=request.user, endpoint=endpoint, clock=timezone.now, operation=operation)
    return _answer(request, "routes/bypass.html", context, outcome=outcome, operation=operation)


@never_cache
@secret_fields()
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_ENDPOINTS, of=Install)
def install(request: MemberRequest, install_pk: int) -> HttpResponse:
    """Put several endpoints of an install behind the receiver; each has its own line with what came of it."""
    found = get_object_or_404(Install.objects.visible_to(request.user), pk=install_pk)
    rows = unseen(install=found)
    endpoints = [one for one in rows[: 2 * AT_ONCE] if not routing.why_not_routed(one)][:AT_ONCE]
    knowing = set(rows.filter(secret__isnull=False).values_list("pk", flat=True))
    form = RouteInstallForm(request.POST or None, endpoints=endpoints, knowing=knowing)
    context = {"install": found, "form": form, "others": max(rows.count() - len(endpoints), 0)}
    is_refused = bool(form.errors)  # looks for them
    if not form.is_bound or not form.wanted:
        shown = context | {"rows": form_rows(form)}
        return render(request, "routes/install.html", shown, status=422 if is_refused else 200)
    lines = _route_each(request, form.wanted, anyway=form.cleaned_data["anyway"])
    lines += [Line(endpoint, None, f"Not routed. {words}") for endpoint, words in form.lacking]
    result = {"lines": lines, "summary": summary_words(lines), "has_more": rows.exists()}
    return render(request, "routes/routed.html", context | result)


@sensitive_variables("secret")
def _route(request: MemberRequest, endpoint: Endpoint, form: RouteForm) -> HttpResponse:
    operation = form.cleaned_data["operation"] or uuid.uuid4()
    secret = _secret(form.cleaned_data["secret"])
    outcome = routing.route(
        actor=request.user, endpoint=endpoint, secret=secret, clock=timezone.now, operation=operation
    )
    return _answer(request, "routes/route.html", _route_context(endpoint, form), outcome=outcome, operation=operation)


@sensitive_variables("wanted")
def _route_each(request: MemberRequest, wanted: Sequence[Wanted], *, anyway: bool) -> list[Line]:
    until = time.monotonic() + BUDGET_S
    checks = routing.preflights([one.endpoint for one in wanted])
    return [
        _route_one(request, one, found=found, anyway=anyway, in_time=time.monotonic() < until)
        for one, found in zip(wanted, checks, strict=True)
    ]


def _route_one(request: MemberRequest, one: Wanted, *, found: Preflight, anyway: bool, in_time: bool) -> Line:
    if found.stops:
        return Line(one.endpoint, None, f"Not routed. {found.words}")
    if found.asks and not anyway:
        return Line(one.endpoint, None, f"Not routed. {found.words} To route it all the same, tick “{ANYWAY}”.")
    if not in_time:
        return Line(one.endpoint, None, "Not requested yet: the others took too long. Send the form again.")
    outcome = routing.route(
        actor=request.user,
        endpoint=one.endpoint,
        secret=_secret(one.secret),
        clock=timezone.now,
        operation=one.operation,
    )
    return Line(one.endpoint, outcome, outcome.words)


def _secret(text: str) -> Secret | None:
    return Secret(text) if text else None


def _knows_secret(endpoint: Endpoint) -> bool:
    return Endpoint.objects.filter(pk=endpoint.pk, secret__isnull=False).exists()


def _find(request: MemberRequest, pk: int) -> Endpoint:
    """Return an endpoint registered with OpenTrain. Raises: Http404."""
    rows = Endpoint.objects.visible_to(request.user).registered().select_related("install")
    return get_object_or_404(rows.defer("secret", "install__token"), pk=pk)


def _not_possible(why_not: str) -> Outcome:
    return Outcome(kind=OutcomeKind.REFUSED, words=f"Nothing changed. {why_not}", unrequested=True)


def _route_context(endpoint: Endpoint, form: RouteForm) -> dict[str, Any]:
    return {
        "endpoint": endpoint,
        "install": endpoint.install,
        "form": form,
        "operation": form["operation"].value(),
        "active": active_run(endpoint),
    }


def _route_page(
    request: MemberRequest, endpoint: Endpoint, form: RouteForm, *, found: Preflight | None = None
) -> HttpResponse:
    """Ask whether to route. `found` is the check that a submitted form did not pass."""
    context = _route_context(endpoint, form) | {"found": found, "nothing_sent": _nothing_sent(form)}
    is_refused = form.errors or found is not None
    return render(request, "routes/route.html", context, status=422 if is_refused else 200)


@sensitive_variables("given")
def _nothing_sent(form: RouteForm) -> str:
    given = form.is_bound and form.cleaned_data.get("secret")
    return f"Nothing was sent to OpenTrain.{' Paste the secret again to try again.' if given else ''}"


def _answer(
    request: MemberRequest, template: str, context: dict[str, Any], *, outcome: Outcome, operation: uuid.UUID
) -> HttpResponse:
    """Redirect to the endpoint's page on success; otherwise show the form again with the outcome above it."""
    endpoint: Endpoint = context["endpoint"]
    page = operations.page_of(endpoint)
    if outcome.unrequested:
        return operations.lead(request, outcome=outcome, page=page)
    if outcome.ok:
        return redirect(operations.with_answer(page, operation=operation))
    answer = operations.build(outcome=outcome, operation=operation, endpoint=endpoint, user_id=request.user.pk)
    # With the same operation ID, the form would get the same answer again.
    return render(request, template, context | {"answer": answer, "operation": uuid.uuid4()})
