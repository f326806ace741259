"""Runs: their plan before they start, their progress, and their controls."""

import uuid
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard.actions.installs.freshness import look
from dashboard.actions.runs import commands
from dashboard.actions.runs.one_call import why_not
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.config.schedule import reconcile_every, schedule
from dashboard.forms.list_filters import ID
from dashboard.models import Endpoint, Run
from dashboard.presenters import overtaken, pages
from dashboard.presenters.causes import cause_rows
from dashboard.presenters.controls import UNCHECKED, WITH_OVERTAKEN
from dashboard.presenters.live import live as live_response
from dashboard.presenters.lost_window import lost_while_stopped
from dashboard.presenters.may_be_missing import window_after
from dashboard.presenters.operations import operation_id
from dashboard.presenters.rows import endpoint_rows, with_known
from dashboard.presenters.run_endings import with_endings
from dashboard.presenters.run_page import bar, drawn, list_words, plan, reason_look, result, steering
from dashboard.presenters.runs import RunRow, kept_back, newest_run, problems, run_row, run_sum, step_rows, under_way
from dashboard.queries.delivery_lists import DeliveryCriteria, Scope
from dashboard.queries.run_items import page_of_items
from dashboard.rules.durations import span
from dashboard.views import operations

PAGE = 25
"""Runs, or deliveries of a run, on a page."""


@require_safe
@allowed(Permission.SEE)
def index(request: MemberRequest) -> HttpResponse:
    return render(request, "runs/list.html", _list(request))


@require_safe
@allowed(Permission.SEE)
def index_live(request: MemberRequest) -> HttpResponseBase:
    return live_response(request, template="runs/list.html#table", context=_list(request))


@require_safe
@allowed(Permission.SEE)
def detail(request: MemberRequest, pk: int) -> HttpResponse:
    return render(request, "runs/detail.html", _context(request, pk))


@require_safe
@allowed(Permission.SEE)
def live(request: MemberRequest, pk: int) -> HttpResponseBase:
    return live_response(request, template="runs/detail.html#live", context=_context(request, pk))


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.OPERATE, of=Endpoint)
def recover(request: MemberRequest, pk: int) -> HttpResponse:
    """Show what a recovery will do, and start it."""
    endpoint, now = _endpoint(request, pk), timezone.now()
    if request.method == "POST":
        since = _started_since(request, endpoint)
        if since is not None:
            words = f"Nothing was started: {since.actor_name} started run {since.pk} after you opened the form."
            messages.info(request, words)
            return redirect("run-detail", pk=since.pk)
        return _started(
            lambda: commands.start_recovery(
                actor=request.user,
                endpoint=endpoint,
                note=_note(request),
                now=now,
                operation=operations.asked(request),
                checks_handler=request.POST.get(UNCHECKED) != "1",
                include_overtaken=request.POST.get(WITH_OVERTAKEN) == "1",
            )
        )
    context = _before(request, endpoint)
    found = cause_rows(scope=Scope(endpoint=endpoint.pk), criteria=DeliveryCriteria(), times={})
    causes = [cause for cause in found if not cause.is_refused]
    unchecked = request.GET.get(UNCHECKED) == "1"
    left_out = overtaken.failed_shown(endpoint, now=now)
    steps = plan(
        context["row"],
        interval=span(duration=schedule().run_interval),
        checks_handler=not unchecked,
        overtaken=left_out.in_log if left_out is not None else 0,
        withheld=why_not(endpoint=endpoint, now=now),
    )
    shown = {"causes": causes, "plan": steps, "unchecked": unchecked, "overtaken": left_out}
    return render(request, "runs/recover.html", context | shown)


@require_POST
@allowed(Permission.OPERATE, of=Run)
def command(request: MemberRequest, pk: int, command: str) -> HttpResponse:
    """Stop, pause, resume or continue the run, as the button says; then show it."""
    run, now = _find(request, pk), timezone.now()
    if command == "continue" and not run.is_active:
        operation = operations.asked(request)
        try:
            return _started(lambda: commands.continue_run(actor=request.user, run=run, now=now, operation=operation))
        except commands.NothingLeft:
            messages.info(request, "Nothing left to request: the other deliveries were requeued or removed.")
    elif command == "stop":
        commands.stop(actor=request.user, run=run, now=now)
    elif command == "pause":
        commands.pause(actor=request.user, run=run)
    elif command == "resume":
        commands.resume(actor=request.user, run=run)
    else:
        raise Http404
    return redirect("run-detail", pk=pk)


def _started_since(request: MemberRequest, endpoint: Endpoint) -> Run | None:
    """Return the newest run if someone started it after the form was shown; None for a form that is up to date.

    The form's operation ID names the newest run at that time. A form that is sent again has started a run itself.
    """
    named, newest = request.POST.get("operation", ""), endpoint.runs.order_by("-id").first()
    if not named or newest is None or endpoint.runs.filter(operation=operations.asked(request)).exists():
        return None
    return None if named == str(_recovery_of(request, endpoint, newest.pk)) else newest


def _recovery_of(request: MemberRequest, endpoint: Endpoint, last: int) -> uuid.UUID:
    """Return the ID of the recovery that this user starts after the run `last` of the endpoint."""
    return operation_id(user_id=request.user.pk, action="recover", subject=str(endpoint.pk), last_answer=last)


def _any_note(rows: Sequence[RunRow]) -> bool:
    """Return whether a run has a note: a column that says "none" in every row is left out."""
    return any(row.run.note for row in rows)


def _list(request: MemberRequest) -> dict[str, Any]:
    """Return a page of runs, or all runs of one batch."""
    rows = Run.objects.visible_to(request.user).select_related("endpoint__install")
    rows = rows.defer("endpoint__secret", "endpoint__install__token").order_by("-created_at", "-id")
    batch, before = _batch(request), request.GET.get("before", "")
    if batch is not None:
        found = with_endings(
            [run_row(run) for run in rows.filter(batch=batch)], every=reconcile_every(), now=timezone.now()
        )
        words = list_words(together=len(found) if found else None, is_first_page=True, user=request.user)
        total = run_sum(found)
        together = {"batch": batch, "sum": total, "bar": bar(total), "live": f"?batch={batch}"} if found else {}
        return {"rows": found, "with_notes": _any_note(found), "words": words, "now": timezone.now(), **together}
    start = rows.filter(pk=int(before)).first() if ID.fullmatch(before) else None
    if start is not None:
        rows = rows.filter(created_at__lte=start.created_at, pk__lt=start.pk)
    page = list(rows[: PAGE + 1])
    found = with_endings([run_row(run) for run in page[:PAGE]], every=reconcile_every(), now=timezone.now())
    return {
        "rows": found,
        "with_notes": _any_note(found),
        "pager": pages.before(
            url=reverse("run-list"), before=before, older=page[PAGE - 1].pk if len(page) > PAGE else None
        ),
        "words": list_words(together=None, is_first_page=not before, user=request.user),
        "live": f"?{urlencode({'before': before})}" if before else "",
        "before": before,
        "now": timezone.now(),
    }


def _batch(request: MemberRequest) -> uuid.UUID | None:
    try:
        return uuid.UUID(request.GET.get("batch", ""))
    except ValueError:
        return None


def _started(start: Callable[[], Run]) -> HttpResponse:
    """Redirect to the started run, or to the one that is already active."""
    try:
        run = start()
    except commands.AlreadyRunning as error:
        run = error.run
    return redirect("run-detail", pk=run.pk)


def _note(request: MemberRequest) -> str:
    return request.POST.get("note", "").strip()


def _endpoint(request: MemberRequest, pk: int) -> Endpoint:
    rows = Endpoint.objects.visible_to(request.user).registered().select_related("install")
    return get_object_or_404(with_known(rows.defer("secret", "install__token"), now=timezone.now()), pk=pk)


def _find(request: MemberRequest, pk: int) -> Run:
    rows = Run.objects.visible_to(request.user).select_related("endpoint__install")
    return get_object_or_404(rows.defer("endpoint__secret", "endpoint__install__token"), pk=pk)


def _before(request: MemberRequest, endpoint: Endpoint) -> dict[str, Any]:
    """Return the context for pages shown before a run starts."""
    now = timezone.now()
    last = endpoint.runs.order_by("-id").values_list("pk", flat=True).first() or 0
    running = newest_run(endpoint, now=now)
    return {
        "install": endpoint.install,
        "endpoint": endpoint,
        "freshness": look(install=endpoint.install, now=now),
        "row": endpoint_rows(endpoints=[endpoint], user_id=request.user.pk)[0],
        "active": running if running and running.run.is_active else None,
        "lost": lost_while_stopped(endpoint, now=now),
        "operation": _recovery_of(request, endpoint, last),
        "now": now,
    }


def _context(request: MemberRequest, pk: int) -> dict[str, Any]:
    now = timezone.now()
    run = _find(request, pk)
    [row] = with_endings([run_row(run)], every=reconcile_every(), now=now)
    window = window_after(run, None if row.ending is None else row.ending.kind, user=request.user, now=now)
    lost = "" if window is None else window.words
    operation = operation_id(user_id=request.user.pk, action="continue", subject=str(run.pk), last_answer=0)
    return {
        "run": run,
        "row": row,
        "endpoint": run.endpoint,
        "install": run.endpoint.install,
        "steering": steering(row, operation=operation, user=request.user),
        "look": reason_look(row, lost=lost),
        "result": result(row, now=now, lost=lost),
        "bar": bar(row.tally),
        "steps": [drawn(step, row=row) for step in step_rows(run, now=now)],
        "under_way": under_way(run, now=now),
        "window": window,
        "problems": problems(run),
        "kept_back": kept_back(run),
        **_items(request, run),
        "now": now,
    }


def _items(request: MemberRequest, run: Run) -> dict[str, Any]:
    """Return a page of the run's deliveries."""
    asked = request.GET.get("page", "")
    page = int(asked) if ID.fullmatch(asked) else 1
    items, total = page_of_items(run, page=page, size=PAGE)
    url, number = reverse("run-detail", args=[run.pk]), max(-(-total // PAGE), 1)
    pager = pages.numbered(
        page=page,
        pages=number,
        address=lambda to: f"{url}?page={to}#items" if to > 1 else f"{url}#items",
        words=f"Page {page:,} of {number:,}" if number > 1 else "",
    )
    return {"items": items, "items_total": total, "pager": pager, "live": f"?page={page}" if page > 1 else ""}
