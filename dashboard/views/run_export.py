"""Exports of a run's deliveries as a file (presenters/downloads.py), in the run's order.

Deliveries are read in chunks, as in exports of deliveries: nothing stays open during a slow download.
"""

from collections.abc import Iterator

from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from dashboard.actions import audit
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.logs import redact_for_readers
from dashboard.models import Run, RunItem
from dashboard.presenters import downloads
from dashboard.presenters.downloads import Row
from dashboard.queries.run_items import all_items

EXPORT = "export run"
"""Audit action name."""
COLUMNS = (
    "position",
    "outcome",
    "words",
    "delivery_id",
    "event_type",
    "event_id",
    "resource_id",
    "requested_at",
    "outcome_at",
    "run",
    "kind",
    "started_by",
    "install",
    "install_id",
    "endpoint_name",
    "endpoint_url",
    "endpoint_id",
)


@require_safe
@allowed(Permission.SEE)
def index(request: MemberRequest, pk: int) -> HttpResponseBase:
    rows = Run.objects.visible_to(request.user).select_related("endpoint__install")
    run = get_object_or_404(rows.defer("endpoint__secret", "endpoint__install__token"), pk=pk)
    now, kind = timezone.now(), request.GET.get("format", "csv")
    if refused := downloads.problem(kind=kind, problems=()):
        return refused
    if request.method == "GET":
        words = f"{kind.upper()}: {run.get_kind_display()} #{run.pk}."
        audit.note(actor=request.user, action=EXPORT, words=words, endpoint=run.endpoint)
    name = f"run-{run.pk}-{slugify(run.endpoint.install.name)[:40]}".rstrip("-")
    return downloads.answer(rows=_rows(run), columns=COLUMNS, kind=kind, name=name, now=now)


def _rows(run: Run) -> Iterator[Row]:
    endpoint = run.endpoint
    same = {
        "run": run.pk,
        "kind": run.kind,
        "started_by": run.actor_name,
        "install": endpoint.install.name,
        "install_id": endpoint.install.opentrain_id,
        "endpoint_name": redact_for_readers(endpoint.title),
        "endpoint_url": redact_for_readers(endpoint.known_as),
        "endpoint_id": endpoint.opentrain_id,
    }
    for item in all_items(run):
        yield _row(item) | same


def _row(item: RunItem) -> Row:
    """Return the delivery's columns. What only its log knows is empty if retention has deleted that."""
    delivery = item.delivery
    return {
        "position": item.position,
        "outcome": item.state,
        "words": redact_for_readers(item.words),
        "delivery_id": item.opentrain_id,
        "event_type": item.event_type,
        "event_id": "" if delivery is None else delivery.event_id,
        "resource_id": "" if delivery is None else delivery.resource_id,
        "requested_at": item.asked_at,
        "outcome_at": item.settled_at,
    }
