"""The answer to a press of a button: where it was pressed by htmx, on the page it leads to without."""

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.actions.endpoints import BY_RUNS, ENABLE
from dashboard.actions.observation_keys import ISSUE, REVOKE
from dashboard.actions.operation import outcome_of
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.models import AuditEntry, Delivery, Endpoint
from dashboard.presenters import controls
from dashboard.presenters.controls import Button
from dashboard.presenters.operations import operation_id
from dashboard.presenters.progress import Ended, ended, so_far
from dashboard.queries.operations import last_answers

OF_KEYS = (ISSUE, REVOKE)

WATCHED_FOR = timedelta(minutes=15)
"""A redelivery that was asked for so recently is still worth following; a delivery run comes every 5 minutes."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What became of the deliveries that were requested again: of `requeued`, so many came, and so many succeeded."""

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
        """What became of them, once all have arrived."""
        return ended(requeued=self.requeued, delivered=self.delivered)

    @property
    def so_far(self) -> str:
        """Return ", 3 delivered, 1 failed again", as far as any arrived."""
        return so_far(delivered=self.delivered, failed=self.failed)


@dataclass(frozen=True, slots=True)
class ShownOutcome:
    """An outcome as a page shows it, with what Re-enable beside it needs.

    `progress` is how far a redelivery has come, `operation` the name it is asked for by.
    """

    outcome: Outcome
    operation: uuid.UUID
    endpoint: Endpoint | None = None
    enable_operation: uuid.UUID | None = None
    progress: Progress | None = None

    @property
    def enable(self) -> Button | None:
        """Return the button that re-enables the endpoint, where that belongs beside the answer."""
        if self.endpoint is None or self.enable_operation is None:
            return None
        return controls.enable(self.endpoint.pk, self.enable_operation, target=controls.HERE).first()

    @property
    def has_ids(self) -> bool:
        """Whether OpenTrain's code or its request ID is shown below the words."""
        return bool(self.outcome.code or self.outcome.request_id) and not self.outcome.says_request_id

    @property
    def earlier(self) -> Progress | None:
        """Return how far a redelivery has come that was asked for before this."""
        return None if self.outcome.requeued else self.progress

    @property
    def cannot_follow(self) -> bool:
        """Whether deliveries were requested again that Redeliver does not see."""
        return bool(self.outcome.requeued) and self.endpoint is not None and self.progress is None


def asked(request: MemberRequest) -> uuid.UUID:
    """Return the operation that the form names; a form that names none, or nonsense, is one of its own."""
    try:
        return uuid.UUID(request.POST.get("operation", ""))
    except ValueError:
        return uuid.uuid4()


def respond(
    request: MemberRequest, *, outcome: Outcome, operation: uuid.UUID, endpoint: Endpoint, page: str
) -> HttpResponse:
    """Answer a button: the partial for htmx, which also has the page's live part look again; else `page`."""
    if not request.htmx:
        return redirect(f"{page}?{urlencode({'operation': operation})}#answer")
    none_yet = None
    if outcome.requeued and endpoint.is_logged and not outcome.told_before:
        none_yet = Progress(outcome.requeued, 0, 0)  # OpenTrain answered a moment ago: nothing is there to be counted
    answer = build(outcome=outcome, operation=operation, endpoint=endpoint, user_id=request.user.pk, progress=none_yet)
    response = render(request, "components/_outcome.html", {"answer": answer})
    response["HX-Trigger"] = "redeliver:changed"
    return response


def build(
    *,
    outcome: Outcome,
    operation: uuid.UUID,
    endpoint: Endpoint | None,
    user_id: int,
    progress: Progress | None = None,
) -> ShownOutcome:
    """Put an outcome together with what its page needs. `progress` is given where it need not be counted."""
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
    """Return the answer to the form that led to this page: the audit keeps it, so a reload shows it again."""
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
        outcome = replace(outcome, offer_enable=False)  # whether it is re-enabled is another matter
    if entry.endpoint is not None and entry.endpoint.deleted_at is not None:
        return ShownOutcome(outcome, operation, entry.endpoint)  # it is neither re-enabled nor sent anything
    return build(outcome=outcome, operation=operation, endpoint=entry.endpoint, user_id=request.user.pk)


@require_safe
@allowed(Permission.SEE)
def progress(request: MemberRequest, operation: uuid.UUID) -> HttpResponse:
    """Count what has arrived since deliveries were requested again; the page asks until it is all of them."""
    visible = AuditEntry.objects.filter(endpoint__in=Endpoint.objects.visible_to(request.user))
    get_object_or_404(visible, operation=operation, requeued__isnull=False)
    context = {"operation": operation, "progress": _progress(operation)}
    return render(request, "components/_progress.html", context)


def page_of(endpoint: Endpoint) -> str:
    return reverse("endpoint-detail", args=[endpoint.pk])


def _progress(operation: uuid.UUID) -> Progress | None:
    """Count from the log: None when its deliveries do not come by here."""
    entries = list(AuditEntry.objects.filter(operation=operation).order_by("id").select_related("endpoint"))
    ended = next((entry for entry in entries if entry.requeued is not None), None)
    if ended is None or (opened := entries[0]).endpoint is None or not opened.endpoint.is_logged:
        return None
    again = Delivery.objects.filter(
        _was_there(opened=opened, ended=ended),
        endpoint=opened.endpoint_id,
        requested_at__isnull=True,
        last_attempt_at__gte=opened.at,
    )
    if opened.delivery_id:
        again = again.filter(opentrain_id=opened.delivery_id)
    requeued = ended.requeued or 0
    counts = again.aggregate(arrived=Count("pk"), delivered=Count("pk", filter=Q(last_ok=True)))
    return Progress(requeued, min(counts["arrived"], requeued), min(counts["delivered"], requeued))


def _was_there(*, opened: AuditEntry, ended: AuditEntry) -> Q:
    """Say which deliveries there were when redelivery was asked for: those that had reached us, and those that had not.

    An auto-disable also fails deliveries that were never attempted. Their first attempt is the redelivery, and what
    tells them from new ones is their age: an endpoint that is DISABLED gets no new ones.
    """
    stopped_until = opened.at
    if not ended.while_stopped:
        enabled = AuditEntry.objects.filter(endpoint=opened.endpoint_id, action=ENABLE, phase=AuditEntry.Phase.DONE)
        last = enabled.filter(at__lt=opened.at).order_by("-at").first()
        if last is None:
            return Q(first_received_at__lt=opened.at)
        stopped_until = last.at
    return Q(first_received_at__lt=opened.at) | Q(event_created_at__lt=stopped_until)


def _redelivery_under_way(*, endpoint: Endpoint, now: datetime) -> uuid.UUID | None:
    """Return a redelivery that is still being waited for: re-enabling is often what it waited for."""
    asked_for = AuditEntry.objects.filter(endpoint=endpoint, requeued__gt=0, at__gte=now - WATCHED_FOR)
    entry = asked_for.exclude(action__in=BY_RUNS).order_by("-id").first()
    found = _progress(entry.operation) if entry is not None else None
    return entry.operation if entry is not None and found is not None and not found.complete else None


def _unanswered() -> Outcome:
    words = "This was asked for, and OpenTrain has not answered yet. The activity below shows the answer when it is in."
    return Outcome(kind=OutcomeKind.UNKNOWN, words=words)
