"""The rotation of an endpoint's secret: one page with its current step, what is known, and what is next."""

import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from dashboard.actions import rotations
from dashboard.actions.installs.freshness import Staleness, freshen, look
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.models import Delivery, Endpoint, Install, Rotation
from dashboard.presenters.live import live as live_response
from dashboard.presenters.operations import operation_id
from dashboard.presenters.rotation_page import Names, at_old_words, buttons, lost_words, stage, steps
from dashboard.presenters.runs import active_run
from dashboard.queries.operations import GIVEN_UP, last_answers
from dashboard.rules.causes import describe_cause
from dashboard.rules.durations import span
from dashboard.rules.snapshots import LAG
from dashboard.views import operations
from dashboard.views.endpoint_changes import at_stake, visible
from dashboard.views.operations import ShownOutcome

OLD_COUNT_LIMIT = 100
"""Limit for counting deliveries to the old endpoint since the start; a higher number adds nothing."""
LISTED_WITHIN = GIVEN_UP + LAG
"""After this time OpenTrain lists a new endpoint, if it created it."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Deliveries to the new endpoint since its creation, and to the old one.

    `first` is the first successful delivery; `failure` is the last response to the newest failed one, in words.
    """

    first: Delivery | None
    failed: Delivery | None
    failure: str
    refused: int
    at_old: int

    @property
    def at_old_words(self) -> str:
        return at_old_words(self.at_old, most=OLD_COUNT_LIMIT)


@never_cache
@require_safe
@allowed(Permission.MANAGE_ENDPOINTS, of=Endpoint)
def detail(request: MemberRequest, pk: int) -> HttpResponse:
    old = visible(request, pk)
    replacing = Rotation.objects.under_way().filter(new=old).first()
    if replacing is not None:
        return redirect("rotation-detail", replacing.old_id)
    context = _context(request, old)
    return render(request, "rotations/detail.html", context | {"answer": _kept(request, context["rotation"])})


@require_safe
@allowed(Permission.MANAGE_ENDPOINTS, of=Endpoint)
def live(request: MemberRequest, pk: int) -> HttpResponseBase:
    return live_response(
        request, template="rotations/detail.html#live", context=_context(request, visible(request, pk))
    )


@never_cache
@require_POST
@allowed(Permission.MANAGE_ENDPOINTS, of=Endpoint)
def start(request: MemberRequest, pk: int) -> HttpResponse:
    """Create the new endpoint. Its secret appears only in the response to this POST.

    First checks that OpenTrain still has the old one: the page may be out of date. If OpenTrain does not answer that,
    nothing is requested: it would not answer the request either, and the new secret would be lost with its answer.
    """
    operation = operations.asked(request)
    stale = freshen(install=visible(request, pk).install, now=timezone.now())
    old = visible(request, pk)
    if old.opentrain_id is None or old.deleted_at is not None:
        raise Http404
    if stale is not None:
        return _not_requested(request, old, operation, stale)
    started = rotations.start(actor=request.user, old=old, clock=timezone.now, operation=operation)
    if isinstance(started, Outcome):
        return _back(pk, operation)
    outcome, rotation, secret = started
    context = {"install": old.install, "endpoint": old, "rotation": rotation, "secret": secret, "outcome": outcome}
    if rotation.new.opentrain_id is None:
        answer = operations.build(outcome=outcome, operation=operation, endpoint=None, user_id=request.user.pk)
        return operations.unconfirmed(request, context | {"answer": answer}, next_url=_page(pk, operation))
    return render(request, "rotations/created.html", context)


@require_POST
@allowed(Permission.MANAGE_ENDPOINTS, of=Endpoint)
def go_on(request: MemberRequest, pk: int) -> HttpResponse:
    rotation, operation = _rotation(request, pk), operations.asked(request)
    unproven = request.POST.get("unproven") == "yes"
    if rotation.step == Rotation.Step.PROVE:
        rotations.go_on(actor=request.user, rotation=rotation, unproven=unproven, operation=operation)
    return _back(pk, operation)


@require_POST
@allowed(Permission.MANAGE_ENDPOINTS, of=Endpoint)
def finish(request: MemberRequest, pk: int) -> HttpResponse:
    rotation, operation = _rotation(request, pk), operations.asked(request)
    if rotation.step == Rotation.Step.DELETE:
        outcome = rotations.finish(actor=request.user, rotation=rotation, clock=timezone.now, operation=operation)
        if outcome.unrequested:
            return operations.lead(request, outcome=outcome, page=reverse("rotation-detail", args=[pk]))
    return _back(pk, operation)


@require_POST
@allowed(Permission.MANAGE_ENDPOINTS, of=Endpoint)
def abort(request: MemberRequest, pk: int) -> HttpResponse:
    """Cancel. If it is unknown whether the new endpoint was created, a fresh list from OpenTrain decides."""
    old, operation = visible(request, pk), operations.asked(request)
    stale = freshen(install=old.install, now=timezone.now())
    rotation = _rotation(request, pk)
    not_made = stale is None and _is_not_made(rotation, old.install)
    if stale is not None and rotation.is_under_way and not rotation.is_mistaken:
        return _not_requested(request, old, operation, stale)
    may_end = rotation.new.opentrain_id is not None or rotation.is_mistaken or not_made
    if rotation.is_under_way and may_end:
        outcome = rotations.abort(actor=request.user, rotation=rotation, clock=timezone.now, operation=operation)
        if outcome.unrequested:
            return operations.lead(request, outcome=outcome, page=reverse("rotation-detail", args=[pk]))
    return _back(pk, operation)


def _not_requested(request: MemberRequest, old: Endpoint, operation: uuid.UUID, stale: Staleness) -> HttpResponse:
    """Show the page with the reason why the button did nothing: OpenTrain did not answer the read before it."""
    words = f"Nothing was requested: Redeliver first reads the endpoints, and that failed. {stale.words}"
    outcome = Outcome(kind=OutcomeKind.UNAVAILABLE, words=words, request_id=stale.request_id)
    answer = operations.build(outcome=outcome, operation=operation, endpoint=None, user_id=request.user.pk)
    return render(request, "rotations/detail.html", _context(request, old) | {"answer": answer})


def _kept(request: MemberRequest, rotation: Rotation | None) -> ShownOutcome | None:
    """Return the answer to the form that led here, saying which endpoint was deleted: the page is the old one's."""
    answer = operations.kept(request)
    if answer is None or rotation is None or not answer.outcome.ok:
        return answer
    if answer.endpoint is None or answer.endpoint.deleted_at is None:
        return answer
    words = "The old endpoint is deleted. The new one has replaced it."
    if answer.endpoint.pk == rotation.new_id:
        words = "Rotation cancelled: the new endpoint is deleted. This endpoint and its secret stay as they are."
    return replace(answer, outcome=replace(answer.outcome, words=words))


def _rotation(request: MemberRequest, pk: int) -> Rotation:
    """Return the endpoint's newest rotation. Raises: Http404.

    A button for another step comes from an outdated page: it does nothing and leads to the current page.
    """
    old = visible(request, pk)
    rotation = get_object_or_404(Rotation.objects.of(endpoint=old).filter(old=old)[:1])
    rotation.old, rotation.new.install = old, old.install
    return rotation


def _back(pk: int, operation: uuid.UUID) -> HttpResponse:
    return redirect(_page(pk, operation))


def _page(pk: int, operation: uuid.UUID) -> str:
    return operations.with_answer(reverse("rotation-detail", args=[pk]), operation=operation)


def _context(request: MemberRequest, old: Endpoint) -> dict[str, Any]:
    now = timezone.now()
    freshness = look(install=old.install, now=now)
    rotation = Rotation.objects.of(endpoint=old).filter(old=old).first()
    being_made = rotation is not None and _is_being_made(rotation, now)
    return {
        "endpoint": old,
        "install": old.install,
        "freshness": freshness,
        "rotation": rotation,
        "through_receiver": old.reaches_receiver,
        "stage": stage(endpoint=old, rotation=rotation),
        "steps": steps(rotation),
        "lost_words": lost_words(
            rotation,
            is_being_made=being_made,
            is_not_made=rotation is not None and _is_not_made(rotation, old.install),
        ),
        "polls": freshness.refreshing or (rotation is not None and rotation.is_under_way),
        "being_made": being_made,
        "arrivals": None if rotation is None else _arrivals(rotation),
        "took": _took(rotation),
        "stake": at_stake(old) if old.is_logged else None,
        "active": active_run(old),
        "buttons": buttons(old, _names(request, old, rotation, now)),
        "now": now,
    }


def _is_being_made(rotation: Rotation, now: datetime) -> bool:
    """Return whether OpenTrain may still create or list the new endpoint."""
    if rotation.new.opentrain_id is not None or rotation.is_mistaken:
        return False
    return now - rotation.started_at < LISTED_WITHIN


def _is_not_made(rotation: Rotation, install: Install) -> bool:
    """Return whether OpenTrain's list lacks the new endpoint, although it was read late enough to contain it."""
    if rotation.new.opentrain_id is not None or install.listed_at is None or install.unread_entries:
        return False
    return install.listed_at - rotation.started_at >= LISTED_WITHIN


def _took(rotation: Rotation | None) -> str:
    """Return the duration in words; empty until it has ended."""
    if rotation is None or rotation.ended_at is None:
        return ""
    return span(duration=rotation.ended_at - rotation.started_at)


def _arrivals(rotation: Rotation) -> Arrivals:
    new = rotation.new
    failed = new.deliveries.filter(last_ok=False).newest_first().defer("body").first()
    since = rotation.created_at or rotation.started_at
    return Arrivals(
        first=rotations.proof(rotation=rotation),
        failed=failed,
        failure="" if failed is None else describe_cause(cause=failed.last_cause, status=failed.last_status),
        refused=new.refused_attempts.count(),
        at_old=rotation.old.deliveries.filter(first_received_at__gt=since)[:OLD_COUNT_LIMIT].count(),
    )


def _names(request: MemberRequest, old: Endpoint, rotation: Rotation | None, now: datetime) -> Names:
    """Return the operation IDs; they stay the same until an answer arrives, so polls don't change the page."""
    ids = [old.pk] if rotation is None else [rotation.old_id, rotation.new_id]
    last = max(last_answers(endpoint_ids=ids, now=now).values(), default=0)

    def name(action: str) -> uuid.UUID:
        subject = f"{old.pk}/{0 if rotation is None else rotation.pk}"
        return operation_id(user_id=request.user.pk, action=f"rotation {action}", subject=subject, last_answer=last)

    return Names(name("start"), name("continue"), name("finish"), name("abort"))
