"""One delivery: state, attempts, body, and redelivery."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from dashboard.actions import endpoints
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.models import Attempt, Delivery, Endpoint, Handover
from dashboard.presenters import curl, overtaken
from dashboard.presenters.delivery_page import answered_words, cause_words, handler_words, offer
from dashboard.presenters.event_endpoints import EventRows, event_rows
from dashboard.presenters.handovers import HandoverRow, rows_of
from dashboard.presenters.json_tree import Node, tree_of
from dashboard.presenters.live import live as live_response
from dashboard.presenters.log_lag import log_lag
from dashboard.presenters.operations import operation_id
from dashboard.presenters.rows import DeliveryRow, next_attempt_of, state_of, was_answered
from dashboard.queries import handovers
from dashboard.queries.operations import last_answers
from dashboard.rules import bodies, json_as_written, json_limits
from dashboard.rules.causes import describe_cause
from dashboard.rules.invisible import visible
from dashboard.rules.masking import REDACTED
from dashboard.rules.outside_texts import is_whole
from dashboard.rules.receipts import ANSWER_HEAD
from dashboard.signatures import REPORTED, UNCHECKED, Verdict
from dashboard.vault import Unreadable
from dashboard.views import operations

SHOWN_CHARS = 100_000
"""Characters of a body that are shown; a body can be 1 MiB."""
SHOWN_ATTEMPTS = 50
ATTEMPTS_IN_ROW = 10
"""Attempts shown when a list row expands."""
SAME_RESOURCE = 10
"""Other deliveries of the same resource on the page."""

_TO_REDELIVER = [
    *("opentrain_id", "resource_id", "event_type", "event_id", "event_created_at"),
    *(f"endpoint__{name}" for name in ("opentrain_id", "url", "status", "handler_url", "receiver_key", "name")),
    *(f"endpoint__{name}" for name in ("told_apart_by", "routing_since", "bypassed_at")),
    *("endpoint__observation_key_sha256", "endpoint__install__opentrain_id", "endpoint__install__name"),
    "endpoint__install__disconnected_at",
]


@dataclass(frozen=True, slots=True)
class Text:
    """Displayable text of external bytes, with a note if it is incomplete or altered."""

    text: str
    note: str = ""

    @property
    def says_something(self) -> bool:
        """Whether there is anything to show: a text, or why there is none."""
        return bool(self.text or self.note)


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy button copies, and its name."""

    text: str
    what: str


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """An attempt, its response in words, who verified its signature, and the start of the response body."""

    attempt: Attempt
    answer: str
    signature: str
    response: Text

    @property
    def doctor_helps(self) -> bool:
        """Whether the signature failed: by the handler's report, or at an endpoint whose secret is not proven yet."""
        return self.attempt.signature not in {"", Verdict.VERIFIED, UNCHECKED}

    @property
    def was_answered(self) -> bool:
        """Whether it got a response, so its latency is meaningful."""
        return was_answered(self.attempt.cause)

    @property
    def has_answer(self) -> bool:
        """Whether any of the response can be shown."""
        return bool(self.attempt.response_headers or self.response.says_something)

    @property
    def handler_words(self) -> str:
        return handler_words(self.attempt)

    @property
    def answered_words(self) -> str:
        """What OpenTrain got, where no handler was asked."""
        words = answered_words(self.attempt)
        return f"{words[0].upper()}{words[1:]}"


@require_safe
@allowed(Permission.SEE)
def detail(request: MemberRequest, pk: int) -> HttpResponse:
    context = _context(request, pk)
    return render(request, "deliveries/detail.html", context | {"answer": operations.kept(request)})


@require_safe
@allowed(Permission.SEE)
def live(request: MemberRequest, pk: int) -> HttpResponseBase:
    return live_response(request, template="deliveries/detail.html#live", context=_context(request, pk))


@require_safe
@allowed(Permission.SEE)
def attempts(request: MemberRequest, pk: int) -> HttpResponse:
    """Show a delivery's newest attempts below its list row."""
    return render(request, "deliveries/_attempts.html", _attempts_context(request, pk))


@require_safe
@allowed(Permission.SEE)
def attempts_live(request: MemberRequest, pk: int) -> HttpResponseBase:
    return live_response(request, template="deliveries/_attempts.html#live", context=_attempts_context(request, pk))


@require_POST
@allowed(Permission.OPERATE, of=Delivery)
def redeliver(request: MemberRequest, pk: int) -> HttpResponse:
    """Redeliver the delivery. If a later event has overtaken it, ask first."""
    delivery, operation = _find_to_redeliver(request, pk), operations.asked(request)
    if not operations.is_anyway(request) and overtaken.why(delivery, now=timezone.now()):
        return operations.ask_first(request, reverse("delivery-redeliver-anyway", args=[pk]))
    outcome = endpoints.redeliver_one(actor=request.user, delivery=delivery, clock=timezone.now, operation=operation)
    page = reverse("delivery-detail", args=[pk])
    return operations.respond(
        request, outcome=outcome, operation=operation, endpoint=delivery.endpoint, page=page, of_one=True
    )


@never_cache
@require_safe
@allowed(Permission.OPERATE, of=Delivery)
def redeliver_anyway(request: MemberRequest, pk: int) -> HttpResponse:
    """Ask before a delivery is redelivered that a later event has overtaken."""
    now = timezone.now()
    delivery = _find(request, pk, body=False)
    why = overtaken.why(delivery, now=now)
    if not why:
        return redirect("delivery-detail", pk=pk)
    context = {
        "delivery": delivery,
        "endpoint": delivery.endpoint,
        "install": delivery.endpoint.install,
        "why": why,
        "operation": _operation_on(request, delivery, now=now),
    }
    return render(request, "deliveries/redeliver_anyway.html", context)


def readable(raw: bytes, *, headers: Iterable[Sequence[str]] = (), is_cut: bool = False) -> Text:
    """Return any bytes as text that people can see, without errors. `headers` say how they are encoded."""
    found = bodies.read(raw, most=SHOWN_CHARS + 1, headers=headers, is_cut=is_cut)
    return _cut(visible(found.text), " ".join(found.notes))


def pretty(raw: bytes) -> tuple[Text, Node | None]:
    """Return JSON indented and as a tree, and anything else unchanged, with a note."""
    try:
        value = json_as_written.read(raw)
    except ValueError as error:
        plain, why = readable(raw), "Nested too deeply" if isinstance(error, json_limits.TooDeep) else "Not valid JSON"
        return Text(plain.text, f"{why}: shown unchanged. {plain.note}".strip() if raw else ""), None
    indented = json_as_written.indented(value, most=SHOWN_CHARS)
    return _cut(visible(indented[: SHOWN_CHARS + 1]), ""), tree_of(value)


def to_copy(raw: bytes) -> Copied | None:
    """Return the body as its button copies it: exactly, as far as it is text. A page cannot hold other bytes or NUL."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    if not text or "\0" in text:
        return None
    if len(text) <= SHOWN_CHARS:
        return Copied(text, "body")
    return Copied(text[:SHOWN_CHARS], f"first {SHOWN_CHARS:,} characters of the body")


def _cut(text: str, note: str) -> Text:
    if len(text) <= SHOWN_CHARS:
        return Text(text, note)
    return Text(text[:SHOWN_CHARS], f"{note} Only the first {SHOWN_CHARS:,} characters are shown.".strip())


def _find_to_redeliver(request: MemberRequest, pk: int) -> Delivery:
    """Return the delivery with only the columns redelivery needs, because the user is waiting. Raises: Http404."""
    rows = Delivery.objects.visible_to(request.user).select_related("endpoint__install")
    try:
        return get_object_or_404(rows.only("endpoint__install__token", *_TO_REDELIVER), pk=pk)
    except Unreadable:  # the action handles an unreadable token, and says so
        return get_object_or_404(rows.only(*_TO_REDELIVER), pk=pk)


def _find(request: MemberRequest, pk: int, *, body: bool = True) -> Delivery:
    rows = Delivery.objects.visible_to(request.user).select_related("endpoint__install")
    rows = rows.defer("endpoint__secret", "endpoint__install__token", *([] if body else ["body"]))
    of_contract = Handover.objects.filter(endpoint=OuterRef("endpoint"), contract_opentrain_id=OuterRef("resource_id"))
    siblings = Endpoint.objects.filter(install=OuterRef("endpoint__install")).exclude(pk=OuterRef("endpoint"))
    return get_object_or_404(rows.annotate(has_handovers=Exists(of_contract), has_siblings=Exists(siblings)), pk=pk)


def _attempts_context(request: MemberRequest, pk: int) -> dict[str, Any]:
    now = timezone.now()
    delivery = _find(request, pk, body=False)
    found = list(delivery.attempts.order_by("-received_at", "-number")[:ATTEMPTS_IN_ROW])
    return {
        "delivery": delivery,
        "state": state_of(delivery=delivery, endpoint=delivery.endpoint, now=now),
        "attempts": [_attempt_row(attempt) for attempt in found],
        "unshown_attempts": max(delivery.attempt_count - len(found), 0),
        "now": now,
    }


def _context(request: MemberRequest, pk: int) -> dict[str, Any]:
    now = timezone.now()
    delivery = _find(request, pk)
    state = state_of(delivery=delivery, endpoint=delivery.endpoint, now=now)
    attempts = list(delivery.attempts.order_by("-received_at", "-number")[:SHOWN_ATTEMPTS])
    body = b"" if delivery.body is None else bytes(delivery.body)
    indented, tree = pretty(body)
    event = event_rows(delivery, now=now) if getattr(delivery, "has_siblings", True) else None
    return {
        "delivery": delivery,
        "endpoint": delivery.endpoint,
        "install": delivery.endpoint.install,
        "state": state,
        "next_attempt": next_attempt_of(state, now=now),
        "offer": offer(
            delivery,
            state=state,
            operation=_operation_on(request, delivery, now=now),
            user=request.user,
            overtaken=overtaken.why(delivery, now=now),
        ),
        "attempts": [_attempt_row(attempt) for attempt in attempts],
        "unshown_attempts": max(delivery.attempt_count - len(attempts), 0),
        "pretty": indented,
        "raw": readable(body),
        "copied": to_copy(body),
        "size": len(body),
        "tree": tree,
        "hidden": REDACTED,
        "curl": _curl(delivery, attempts[0] if attempts else None, body),
        "event": event,
        "same_resource": _same_resource(delivery, now, told=event),
        "handed_over": _handed_over(delivery),
        "body_days": _body_days(delivery),
        "log_lag": log_lag(user=request.user, now=now),
        "now": now,
    }


def _operation_on(request: MemberRequest, delivery: Delivery, *, now: datetime) -> uuid.UUID:
    """Return the ID of this user's next redelivery of the delivery."""
    last = last_answers(endpoint_ids=[delivery.endpoint_id], now=now).get(delivery.endpoint_id, 0)
    return operation_id(user_id=request.user.pk, action="redeliver one", subject=str(delivery.pk), last_answer=last)


def _curl(delivery: Delivery, attempt: Attempt | None, body: bytes) -> str:
    """Return the newest attempt as a curl command; empty without a handler or a kept body."""
    if attempt is None or delivery.body is None or not delivery.endpoint.handler_url:
        return ""
    headers = [(str(name), str(value)) for name, value in attempt.request_headers]
    return curl.command(url=delivery.endpoint.handler_url, headers=headers, body=body)


def _same_resource(delivery: Delivery, now: datetime, *, told: EventRows | None) -> list[DeliveryRow]:
    """Return the newest other deliveries of the same resource, at any endpoint of the install.

    Those of the same event that `told` has are left out.
    """
    if not delivery.resource_id or not is_whole(delivery.resource_id):
        return []
    rows = Delivery.objects.filter(resource_id=delivery.resource_id, endpoint__install=delivery.endpoint.install_id)
    shown = [] if told is None else [row.delivery.pk for row in told.rows if row.delivery is not None]
    rows = rows.exclude(pk__in=[delivery.pk, *shown]).newest_first().select_related("endpoint")
    found = rows.defer("body", "endpoint__secret")[:SAME_RESOURCE]
    return [
        DeliveryRow(
            one,
            one.endpoint,
            state_of(delivery=one, endpoint=one.endpoint, now=now),
            (),
            describe_cause(cause=one.last_cause, status=one.last_status),
        )
        for one in found
    ]


def _handed_over(delivery: Delivery) -> list[HandoverRow]:
    """Return what Redeliver handed over of the same contract at the delivery's endpoint."""
    if not getattr(delivery, "has_handovers", False):
        return []
    of_endpoint = Handover.objects.filter(endpoint=delivery.endpoint_id)
    return rows_of(handovers.recent(of_endpoint.filter(contract_opentrain_id=delivery.resource_id)))


def _body_days(delivery: Delivery) -> int | None:
    """Return after how many days retention removed the body; None if it did not."""
    return None if delivery.body_gone_at is None else (delivery.body_gone_at - delivery.last_attempt_at).days


def _attempt_row(attempt: Attempt) -> AttemptRow:
    head = b"" if attempt.response_head is None else bytes(attempt.response_head)
    response = readable(head, headers=attempt.response_headers, is_cut=len(head) >= ANSWER_HEAD)
    return AttemptRow(attempt, cause_words(attempt), _signature_words(attempt), response)


def _signature_words(attempt: Attempt) -> str:
    if attempt.source == Attempt.Source.RECEIVER:
        if attempt.signature == Verdict.VERIFIED:
            return "Signature verified."
        return f"Signature not verified: the receiver {REPORTED.get(attempt.signature, 'did not say why')}."
    return f"Reported by the handler, which {REPORTED.get(attempt.signature, 'checked the signature')}."
