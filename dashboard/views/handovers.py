"""Hand over what is missing: the event as body and command, and sending it, one by one or a selection."""

import contextlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard.actions import audit
from dashboard.actions.handovers import asking, opting, people
from dashboard.actions.handovers.asking import Wanted
from dashboard.actions.handovers.people import Hired
from dashboard.auth.permissions import MemberRequest, Permission, allowed, whom_to_ask
from dashboard.forms.operation import OperationForm
from dashboard.models import Contract, Endpoint, Finding, Handover
from dashboard.presenters import handovers as presenter
from dashboard.presenters.handovers import HandoverRow
from dashboard.presenters.live import live as live_response
from dashboard.presenters.operations import operation_id
from dashboard.queries import handovers, health_checks
from dashboard.queries.handovers import Case
from dashboard.queries.operations import last_answers
from dashboard.rules.handovers import AT_ONCE, BOTH, EVENTS, NOT_ALLOWED
from dashboard.rules.masking import REDACTED
from dashboard.rules.reconciliation import Consequence
from dashboard.rules.reconciliation_words import words
from dashboard.rules.reconstruction import Built, LinkFields
from dashboard.views import deliveries, operations

_SECRETS = ("endpoint__secret", "install__token", "endpoint__install__token")


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The case that an address names, and the link that it is about; None if the contract has none."""

    case: Case
    link: LinkFields | None

    @property
    def address(self) -> dict[str, Any]:
        return {"pk": self.case.contract.pk, "endpoint_pk": self.case.endpoint.pk, "event": self.case.slug}

    def url(self, name: str) -> str:
        return reverse(name, kwargs=self.address)

    @property
    def page(self) -> str:
        """The preview's address, with the link if there is a choice."""
        link = self.link if len(self.case.links) > 1 else None
        return self.url("handover-preview") + (f"?{urlencode({'link': link.id})}" if link else "")


@never_cache
@require_safe
@allowed(Permission.SEE)
def preview(request: MemberRequest, pk: int, endpoint_pk: int, event: str) -> HttpResponse:
    """Show the event that the handler should have got. This does not call OpenTrain."""
    now = timezone.now()
    chosen = _chosen(request, pk, endpoint_pk, event, link_id=request.GET.get("link", ""), now=now)
    return render(request, "handovers/preview.html", _preview(request, chosen, None, now=now))


@never_cache
@require_POST
@allowed(Permission.OPERATE, of=Contract)
def participants(request: MemberRequest, pk: int, endpoint_pk: int, event: str) -> HttpResponse:
    """Ask OpenTrain who was hired, and show the event with that person. The answer holds it, and nothing else does."""
    now = timezone.now()
    chosen = _chosen(request, pk, endpoint_pk, event, link_id=request.POST.get("link", ""), now=now)
    hired = None
    if not chosen.case.why_not_built:
        contract = Contract.objects.select_related("install").defer("install__token").get(pk=pk)
        hired = people.read(actor=request.user, contract=contract)
    template = "handovers/preview.html#event" if request.htmx else "handovers/preview.html"
    return render(request, template, _preview(request, chosen, hired, now=now))


@never_cache
@require_POST
@allowed(Permission.OPERATE, of=Contract)
def send(request: MemberRequest, pk: int, endpoint_pk: int, event: str) -> HttpResponse:
    """Have one event sent to the handler. A form that is sent twice sends once."""
    now, operation = timezone.now(), operations.asked(request)
    chosen = _chosen(request, pk, endpoint_pk, event, link_id=request.POST.get("link", ""), now=now)
    case, link = chosen.case, chosen.link
    before = Handover.objects.filter(operation=operation, endpoint=case.endpoint, actor=request.user).first()
    if before is not None:
        return _sent(request, before)
    if not case.may_be_sent or link is None:
        return _refused(request, case.why_not_built or case.why_not_sent, page=chosen.page)
    [row] = asking.ask(
        actor=request.user,
        endpoint=case.endpoint,
        wanted=[Wanted(case, link)],
        operation=operation,
        is_batch=False,
        now=now,
    )
    return _sent(request, row)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.OPERATE, of=Endpoint)
def of_endpoint(request: MemberRequest, pk: int) -> HttpResponse:
    """List what is missing at an endpoint; send what is ticked, in the order of the list."""
    now, endpoint = timezone.now(), _endpoint(request, pk)
    found = handovers.candidates(endpoint=endpoint, now=now)
    if request.method == "POST":
        return _send_all(request, endpoint, found.cases, now=now)
    context = {
        "endpoint": endpoint,
        "install": endpoint.install,
        "rows": presenter.candidate_rows(found.cases),
        "others": found.others,
        "why_not": found.why_not,
        "more": found.more,
        "at_once": AT_ONCE,
        "operation": uuid.uuid4(),
        "both": BOTH,
        "ask_to_allow": whom_to_ask(Permission.ALLOW_HANDOVERS),
        "the_handler": request.user.handler_is,
    }
    return render(request, "handovers/of_endpoint.html", context | _batch(request, endpoint, now=now))


@require_safe
@allowed(Permission.OPERATE, of=Endpoint)
def of_endpoint_live(request: MemberRequest, pk: int) -> HttpResponseBase:
    now, endpoint = timezone.now(), _endpoint(request, pk)
    context = {"endpoint": endpoint} | _batch(request, endpoint, now=now)
    return live_response(request, template="handovers/of_endpoint.html#live", context=context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.ALLOW_HANDOVERS, of=Endpoint)
def allow(request: MemberRequest, pk: int) -> HttpResponse:
    """Explain what sending missing events means, then allow it."""
    return _switch(request, pk, hands_over=True, template="handovers/allow.html")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_ENDPOINTS, of=Endpoint)
def stop(request: MemberRequest, pk: int) -> HttpResponse:
    """Allow it no longer."""
    return _switch(request, pk, hands_over=False, template="handovers/stop.html")


@require_safe
@allowed(Permission.SEE)
def detail(request: MemberRequest, pk: int) -> HttpResponse:
    return render(request, "handovers/detail.html", _detail(request, pk))


@require_safe
@allowed(Permission.SEE)
def live(request: MemberRequest, pk: int) -> HttpResponseBase:
    return live_response(request, template="handovers/detail.html#live", context=_detail(request, pk))


@require_safe
@allowed(Permission.SEE)
def outcome(request: MemberRequest, pk: int) -> HttpResponse:
    """Show what came of a hand-over, where its button was pressed; the page polls until it has ended."""
    row = get_object_or_404(_rows(request).defer("body", *_SECRETS), pk=pk)
    return render(request, "handovers/_outcome.html", _outcome(row))


def _chosen(request: MemberRequest, pk: int, endpoint_pk: int, event: str, *, link_id: str, now: datetime) -> _Chosen:
    """Return the case of an address. Raises: Http404, also if the endpoint is another install's."""
    if event not in EVENTS:
        raise Http404
    contracts = Contract.objects.visible_to(request.user).select_related("install").defer("install__token")
    contract = get_object_or_404(contracts, pk=pk)
    endpoints = Endpoint.objects.select_related("install").defer("secret", "install__token")
    endpoint = get_object_or_404(endpoints.filter(install=contract.install_id), pk=endpoint_pk)
    case = handovers.case(contract=contract, endpoint=endpoint, event=EVENTS[event], now=now)
    link = case.link(link_id)
    if link is None and link_id and case.links:
        raise Http404
    return _Chosen(case, link)


def _preview(request: MemberRequest, chosen: _Chosen, hired: Hired | None, *, now: datetime) -> dict[str, Any]:
    """Return the context of the preview. `hired` is what was read just now; None: what the log tells counts."""
    case, link, is_logged = chosen.case, chosen.link, hired is None
    if hired is None:
        hired = Hired() if case.why_not_built else people.from_log(contract=case.contract)
    of_event = {"contract": case.contract, "endpoint": case.endpoint, "event_type": case.event.value}
    finding = Finding.objects.open().filter(**of_event).first()
    context = {
        "case": case,
        "contract": case.contract,
        "endpoint": case.endpoint,
        "install": case.contract.install,
        "link": link,
        "links": case.links if len(case.links) > 1 else (),
        "hired": hired,
        "person_from": presenter.source_words(hired.person, is_logged=is_logged),
        "participants_url": chosen.url("handover-participants"),
        "send_url": chosen.url("handover-send"),
        "page": chosen.url("handover-preview"),
        "both": BOTH,
        "needs_consent": case.why_not_sent == NOT_ALLOWED,
        "ask_to_allow": whom_to_ask(Permission.ALLOW_HANDOVERS),
        "the_handler": request.user.handler_is,
        "said": words(
            event=case.event,
            verdict=case.verdict,
            now=now,
            consequence=Consequence(finding.consequence) if finding else Consequence.NONE,
            has_ended=case.contract.status == "ended",
            handler=request.user.handler_is,
        ),
        "handed_over": presenter.rows_of(handovers.recent(Handover.objects.filter(**of_event))),
        "no_worker": not health_checks.has_worker(now=now),
        "now": now,
    }
    if link is None or hired.person is None or case.why_not_built:
        return context
    return context | _built(request, case, case.built(link=link, freelancer=hired.person), link, now=now)


def _built(request: MemberRequest, case: Case, built: Built, link: LinkFields, *, now: datetime) -> dict[str, Any]:
    """Return what the preview shows of the event that would be sent, and the ID of sending it."""
    indented, tree = deliveries.pretty(built.body)
    last = last_answers(endpoint_ids=[case.endpoint.pk], now=now).get(case.endpoint.pk, 0)
    subject = f"{case.contract.pk}/{case.endpoint.pk}/{case.event.value}/{link.id}"
    return {
        "built": built,
        "operation": operation_id(user_id=request.user.pk, action=asking.HAND_OVER, subject=subject, last_answer=last),
        "pretty": indented,
        "tree": tree,
        "raw": deliveries.readable(built.body),
        "copied": deliveries.to_copy(built.body),
        "size": len(built.body),
        "command": presenter.curl_of(built, url=case.endpoint.handles),
        "hidden": REDACTED,
    }


def _send_all(request: MemberRequest, endpoint: Endpoint, cases: Sequence[Case], *, now: datetime) -> HttpResponse:
    """Queue the ticked events that may still be sent, for each link of their contracts."""
    form, ticked = OperationForm(request.POST), set(request.POST.getlist("event"))
    chosen = [row.case for row in presenter.candidate_rows(cases) if row.value in ticked]
    operation = (form.cleaned_data["operation"] if form.is_valid() else None) or uuid.uuid4()
    page = reverse("handover-all", args=[endpoint.pk])
    if not chosen and not Handover.objects.filter(batch=operation, endpoint=endpoint).exists():
        messages.info(request, "Nothing was sent: nothing that is ticked can be sent any more.")
        return redirect(page)
    wanted = [Wanted(case, link) for case in chosen for link in case.links]
    asking.ask(actor=request.user, endpoint=endpoint, wanted=wanted, operation=operation, is_batch=True, now=now)
    return redirect(f"{page}?{urlencode({'batch': operation})}#batch")


def _batch(request: MemberRequest, endpoint: Endpoint, *, now: datetime) -> dict[str, Any]:
    """Return the context of a selection that was sent, and of the endpoint's newest hand-overs."""
    try:
        batch = uuid.UUID(request.GET.get("batch", ""))
    except ValueError:
        batch = None
    of_endpoint = Handover.objects.filter(endpoint=endpoint)
    rows = list(
        of_endpoint.filter(batch=batch)
        .order_by("asked_at", "id")
        .select_related("contract", "endpoint")
        .defer("body", "response_head", "endpoint__secret")
        if batch
        else ()
    )
    return {
        "batch": batch,
        "batch_rows": presenter.rows_of(rows),
        "progress": presenter.progress_of(rows),
        "handed_over": presenter.rows_of(handovers.recent(of_endpoint)),
        "no_worker": not health_checks.has_worker(now=now),
        "now": now,
    }


def _switch(request: MemberRequest, pk: int, *, hands_over: bool, template: str) -> HttpResponse:
    endpoint, form = _endpoint(request, pk), OperationForm(request.POST or None)
    page = reverse("handover-all", args=[endpoint.pk])
    if request.method != "POST" or not form.is_valid():
        context = {"endpoint": endpoint, "install": endpoint.install, "operation": form["operation"].value()}
        return render(request, template, context | {"page": page}, status=422 if form.errors else 200)
    operation = form.cleaned_data["operation"] or uuid.uuid4()
    switch = opting.allow if hands_over else opting.stop
    with contextlib.suppress(audit.NotedBefore):  # the same form, sent twice
        switch(actor=request.user, endpoint=endpoint, operation=operation)
    return redirect(page)


def _sent(request: MemberRequest, row: Handover) -> HttpResponse:
    if not request.htmx:
        return redirect("handover-detail", row.pk)
    return render(request, "handovers/_outcome.html", _outcome(row))


def _refused(request: MemberRequest, why: str, *, page: str) -> HttpResponse:
    said = f"Nothing was sent. {why}".strip()
    if not request.htmx:
        messages.info(request, said)
        return redirect(page)
    return render(request, "handovers/_outcome.html", {"refused": said})


def _outcome(row: Handover) -> dict[str, Any]:
    response = deliveries.readable(_bytes(row.response_head), headers=row.response_headers)
    return {"row": HandoverRow(row), "response": response}


def _rows(request: MemberRequest) -> Any:  # noqa: ANN401 - a QuerySet with its own methods
    rows = Handover.objects.visible_to(request.user).select_related("endpoint__install", "contract", "install")
    return rows.defer(*_SECRETS)


def _detail(request: MemberRequest, pk: int) -> dict[str, Any]:
    row = get_object_or_404(_rows(request), pk=pk)
    body = _bytes(row.body)
    indented, tree = deliveries.pretty(body)
    return _outcome(row) | {
        "handover": row,
        "endpoint": row.endpoint,
        "install": row.install,
        "pretty": indented,
        "tree": tree,
        "raw": deliveries.readable(body),
        "copied": deliveries.to_copy(body),
        "size": len(body),
        "now": timezone.now(),
    }


def _bytes(stored: bytes | memoryview | None) -> bytes:
    return b"" if stored is None else bytes(stored)


def _endpoint(request: MemberRequest, pk: int) -> Endpoint:
    """Return an endpoint that is or was at OpenTrain. Raises: Http404."""
    rows = Endpoint.objects.visible_to(request.user).select_related("install").filter(opentrain_id__isnull=False)
    return get_object_or_404(rows.defer("secret", "install__token"), pk=pk)
