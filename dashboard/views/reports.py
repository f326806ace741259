"""Reports of a run, a delivery and an endpoint: as a page to print, as plain text and as Markdown."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.config.schedule import schedule
from dashboard.models import Delivery, Endpoint, Run
from dashboard.presenters.reports import (
    file_of_run,
    item_rows,
    report_of_delivery,
    report_of_endpoint,
    report_of_run,
)
from dashboard.queries.inbox import with_log, with_open_alerts
from dashboard.queries.run_items import first_items
from dashboard.rules.reports import Report

MOST_ROWS = 200
"""Deliveries of a run in the table to print. All of them are in its file."""
_WITHOUT_SECRETS = ("endpoint__secret", "endpoint__install__token")


@never_cache
@require_safe
@allowed(Permission.SEE)
def run(request: MemberRequest, pk: int) -> HttpResponse:
    rows = Run.objects.visible_to(request.user).select_related("endpoint__install").defer(*_WITHOUT_SECRETS)
    found = get_object_or_404(rows, pk=pk)
    report = report_of_run(found, now=timezone.now())
    if "format" in request.GET:
        return _as_text(request, report)
    items = first_items(found, limit=MOST_ROWS)
    total = found.items.count()
    more = {
        "items": item_rows(items),
        "items_total": total,
        "unshown": total - len(items),
        "export": reverse("run-export", args=[pk]),
        "file": file_of_run(found),
    }
    return _page(request, report, about=f"Run {pk}", back=reverse("run-detail", args=[pk]), **more)


@never_cache
@require_safe
@allowed(Permission.SEE)
def delivery(request: MemberRequest, pk: int) -> HttpResponse:
    rows = Delivery.objects.visible_to(request.user).select_related("endpoint__install")
    found = get_object_or_404(rows.defer("body", *_WITHOUT_SECRETS), pk=pk)
    report = report_of_delivery(found, now=timezone.now())
    if "format" in request.GET:
        return _as_text(request, report)
    return _page(request, report, about="Delivery", back=reverse("delivery-detail", args=[pk]))


@never_cache
@require_safe
@allowed(Permission.SEE)
def endpoint(request: MemberRequest, pk: int) -> HttpResponse:
    now = timezone.now()
    visible = Endpoint.objects.visible_to(request.user).select_related("install").defer("secret", "install__token")
    rows = with_open_alerts(with_log(visible, retried_since=now - schedule().retry_span))
    report = report_of_endpoint(get_object_or_404(rows, pk=pk), now=now)
    if "format" in request.GET:
        return _as_text(request, report)
    return _page(request, report, about="Endpoint", back=reverse("endpoint-detail", args=[pk]))


def _as_text(request: MemberRequest, report: Report) -> HttpResponse:
    """Return the report in the format of the address, for the clipboard."""
    texts = {"text": report.plain, "markdown": report.markdown}
    found = texts.get(request.GET["format"])
    words = "Unknown format. Use format=text or format=markdown.\n" if found is None else found
    status = 400 if found is None else 200
    return HttpResponse(words, status=status, content_type="text/plain; charset=utf-8")


def _page(request: MemberRequest, report: Report, *, about: str, back: str, **more: Any) -> HttpResponse:  # noqa: ANN401
    return render(request, "reports/detail.html", {"report": report, "about": about, "back": back, **more})
