"""The answer to a button: a partial for htmx, or the next page without it."""

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import Count, Exists, OuterRef, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.actions.endpoints import BY_RUNS
from dashboard.actions.observation_keys import ISSUE, REVOKE
from dashboard.actions.operation import outcome_of
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.config.schedule import schedule
from dashboard.models import Attempt, AuditEntry, Delivery, Endpoint
from dashboard.models.endpoints import DISABLED
from dashboard.presenters import controls
from dashboard.presenters.controls import Button
from dashboard.presenters.operations import operation_id
from dashboard.presenters.progress import Ended, ended, so_far
from dashboard.queries.operations import last_answers
from dashboard.queries.requeued import had_failed

OF_KEYS = (ISSUE, REVOKE)
ANYWAY = "anyway"
"""Name of the field that says that a page asked first."""

WATCHED_FOR = timedelta(minutes=15)
"""How long a redelivery is followed after its request; OpenTrain's delivery run comes every 5 minutes."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a redelivery: of `requeued` deliveries, how many arrived and how many succeeded."""

    requeued: int
    arrived: int
    delivered: int

    @property
    def complete(self) -> bool:
        return self.arrived >= self.requeued

    @property
    def failed(self) -> int:
        return self.arrived - self.delivered

    @property
    def ended(self) -> Ended:
        """The result, once all have arrived."""
        return ended(requeued=self.requeued, delivered=self.delivered)

    @property
    def so_far(self) -> str:
        """Return ", 3 delivered, 1 failed again", without parts that are zero."""
        return so_far(delivered=self.delivered, failed=self.failed)


@dataclass(frozen=True, slots=True)
class ShownOutcome:
    """An outcome as a page shows it, with the data for a Re-enable button beside it.

    `progress` is a redelivery's progress, and `operation` the ID to poll it by.
    """

    outcome: Outcome
    operation: uuid.UUID
    endpoint: Endpoint | None = None
    enable_operation: uuid.UUID | None = None
    progress: Progress | None = None

    @property
    def enable(self) -> Button | None:
        """Return the Re-enable button, if it belongs beside the answer."""
        if self.endpoint is None or self.enable_operation is None:
            return None
        return controls.enable(self.endpoint.pk, self.enable_operation, target=controls.HERE).first()

    @property
    def waits(self) -> bool:
        """Whether OpenTrain requeued deliveries that it does not attempt before the endpoint is re-enabled."""
        is_stopped = self.endpoint is not None and self.endpoint.status == DISABLED
        return self.outcome.ok and bool(self.outcome.requeued) and is_stopped

    @property
    def look(self) -> str:
        """The kind whose colour and icon the outcome has. What waits is no success yet."""
        return OutcomeKind.UNAVAILABLE if self.waits else self.outcome.kind

    @property
    def has_ids(self) -> bool:
        """Whether to show OpenTrain's code or request ID below the words."""
        return bool(self.outcome.code or self.outcome.request_id) and not self.outcome.says_request_id

    @property
    def earlier(self) -> Progress | None:
        """Return the progress of a redelivery requested before this operation."""
        return None if self.outcome.requeued else self.progress

    @property
    def cannot_follow(self) -> bool:
        """Whether deliveries were requeued that Redeliver does not see."""
        return bool(self.outcome.requeued) and self.endpoint is not None and self.progress is None


def asked(request: MemberRequest) -> uuid.UUID:
    """Return the operation ID in the form, or a new one if it is missing or invalid."""
    try:
        return uuid.UUID(request.POST.get("operation", ""))
    except ValueError:
        return uuid.uuid4()


def is_anyway(request: MemberRequest) -> bool:
    """Return whether the user was asked first, and does it all the same."""
    return request.POST.get(ANYWAY) == "1"


def ask_first(request: MemberRequest, page: str) -> HttpResponse:
    """Lead to a page that asks before anything is done; for htmx too, because the question takes the whole page."""
    if request.htmx:
        return HttpResponse(headers={"HX-Redirect": page})
    return redirect(page)


def respond(
    request: MemberRequest,
    *,
    outcome: Outcome,
    operation: uuid.UUID,
    endpoint: Endpoint,
    page: str,
    of_one: bool = False,
) -> HttpResponse:
    """Answer a button: for htmx with a partial that also refreshes the page's live part, else by redirect to `page`.

    `of_one`: the button is about one delivery, so only that one is followed, whatever number OpenTrain requeued.
    """
    if not request.htmx:
        if outcome.unrequested:
            return lead(request, outcome=outcome, page=page)
        return redirect(with_answer(page, operation=operation))
    none_yet = None
    if outcome.requeued and endpoint.is_logged and not outcome.told_before:
        followed = 1 if of_one else outcome.requeued
        none_yet = Progress(followed, 0, 0)  # OpenTrain answered just now: nothing to count yet
    answer = build(outcome=outcome, operation=operation, endpoint=endpoint, user_id=request.user.pk, progress=none_yet)
    response = render(request, "components/_outcome.html", {"answer": answer})
    response["HX-Trigger"] = "redeliver:changed"
    return response


def lead(request: MemberRequest, *, outcome: Outcome, page: str) -> HttpResponse:
    """Redirect to a page and say the outcome there: the operation was not requested, so the audit does not have it."""
    messages.info(request, outcome.words)
    return redirect(page)


def unconfirmed(request: MemberRequest, context: dict[str, Any], *, next_url: str) -> HttpResponse:
    """Show the secret of an answer whose outcome is unknown: OpenTrain gives it only once."""
    return render(request, "endpoints/unconfirmed.html", context | {"next_url": next_url})


def build(
    *,
    outcome: Outcome,
    operation: uuid.UUID,
    endpoint: Endpoint | None,
    user_id: int,
    progress: Progress | None = None,
) -> ShownOutcome:
    """Combine an outcome with what its page needs. Pass `progress` to skip counting it."""
    if endpoint is None:
        return ShownOutcome(outcome, operation)
    now = timezone.now()
    enable = None
    if outcome.offer_enable:
        last = last_answers(endpoint_ids=[endpoint.pk], now=now).get(endpoint.pk, 0)
        enable = operation_id(user_id=user_id, action="enable", subject=str(endpoint.pk), last_answer=last)
    if progress is not None:
        return ShownOutcome(outcome, operation, endpoint, enable, progress)
    watched = operation if outcome.requeued else _redelivery_under_way(endpoint=endpoint, now=now)
    progress = _progress(watched) if watched is not None else None
    return ShownOutcome(outcome, watched or operation, endpoint, enable, progress)


def kept(request: MemberRequest) -> ShownOutcome | None:
    """Return the answer to the form that led here, from the audit log, so a reload shows it again."""
    try:
        operation = uuid.UUID(request.GET.get("operation", ""))
    except ValueError:
        return None
    entries = AuditEntry.objects.filter(operation=operation, actor=request.user).select_related("endpoint__install")
    entry = entries.defer("endpoint__secret", "endpoint__install__token").order_by("-id").first()
    if entry is None:
        return None
    outcome = _unanswered() if entry.phase == AuditEntry.Phase.REQUESTED else outcome_of(entry)
    if entry.action in OF_KEYS:
        outcome = replace(outcome, offer_enable=False)  # re-enabling is unrelated to keys
    if entry.endpoint is not None and entry.endpoint.deleted_at is not None:
        return ShownOutcome(outcome, operation, entry.endpoint)  # deleted: no actions
    return build(outcome=outcome, operation=operation, endpoint=entry.endpoint, user_id=request.user.pk)


@require_safe
@allowed(Permission.SEE)
def progress(request: MemberRequest, operation: uuid.UUID) -> HttpResponse:
    """Count arrivals since deliveries were requeued; the page polls until all have arrived."""
    visible = AuditEntry.objects.filter(endpoint__in=Endpoint.objects.visible_to(request.user))
    get_object_or_404(visible, operation=operation, requeued__gt=0)
    context = {"operation": operation, "progress": _progress(operation)}
    return render(request, "components/_progress.html", context)


def page_of(endpoint: Endpoint) -> str:
    return reverse("endpoint-detail", args=[endpoint.pk])


def with_answer(page: str, *, operation: uuid.UUID) -> str:
    """Return the address of a page that shows the answer to an operation, scrolled to it. `kept` reads it."""
    return f"{page}?{urlencode({'operation': operation})}#answer"


def _progress(operation: uuid.UUID) -> Progress | None:
    """Return progress counted from the log; None if the endpoint has no log."""
    entries = list(AuditEntry.objects.filter(operation=operation).order_by("id").select_related("endpoint"))
    ended = next((entry for entry in entries if entry.requeued is not None), None)
    if ended is None or (opened := entries[0]).endpoint is None or not opened.endpoint.is_logged:
        return None
    # Whether or not they had reached us when redelivery was requested.
    failed = had_failed(endpoint=opened.endpoint, asked_at=opened.at, schedule=schedule())
    again = Delivery.objects.filter(
        failed | Q(first_received_at__lt=opened.at),
        _began_round(since=opened.at),
        endpoint=opened.endpoint_id,
        requested_at__isnull=True,
        last_attempt_at__gte=opened.at,
    )
    requeued = ended.requeued or 0
    if opened.delivery_id:
        again, requeued = again.filter(opentrain_id=opened.delivery_id), min(requeued, 1)
    counts = again.aggregate(arrived=Count("pk"), delivered=Count("pk", filter=Q(last_ok=True)))
    return Progress(requeued, min(counts["arrived"], requeued), min(counts["delivered"], requeued))


def _began_round(*, since: datetime) -> Q:
    """Return a filter for deliveries whose current round began since: an automatic retry is no redelivery."""
    number = OuterRef("attempt_count") - OuterRef("attempts_in_round") + 1
    first = Attempt.objects.filter(delivery=OuterRef("pk"), number=number, received_at__gte=since)
    return Q(first_received_at__gte=since) | Q(attempts_in_round__lte=1) | Q(Exists(first))


def _redelivery_under_way(*, endpoint: Endpoint, now: datetime) -> uuid.UUID | None:
    """Return an unfinished redelivery, if any: it often waits for the endpoint to be re-enabled."""
    asked_for = AuditEntry.objects.filter(endpoint=endpoint, requeued__gt=0, at__gte=now - WATCHED_FOR)
    entry = asked_for.exclude(action__in=BY_RUNS).order_by("-id").first()
    found = _progress(entry.operation) if entry is not None else None
    return entry.operation if entry is not None and found is not None and not found.complete else None


def _unanswered() -> Outcome:
    words = "Requested; OpenTrain has not answered yet. The activity below will show the answer."
    return Outcome(kind=OutcomeKind.UNKNOWN, words=words)
