"""Marking a time of which events may be missing as checked, and showing it again."""

import uuid
from datetime import datetime

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from dashboard.actions import audit, window_checks
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.forms.window_checks import WindowCheckForm, WindowForm
from dashboard.models import Endpoint, WindowCheck
from dashboard.presenters.may_be_missing import MissingWindow, window_at
from dashboard.queries.window_checks import as_check
from dashboard.rules.window_checks import check_words, span_from
from dashboard.views import operations
from dashboard.views.endpoint_changes import operation_of

_CHANGED = (
    "Nothing was marked: this time is not as you saw it any more, or nothing is missing from it. "
    "The endpoint's page shows what may be missing now."
)
_FACT = "Nothing was marked: contracts show what is missing from this time, and a check does not cover that."
_NOT_CHECKED = "Nothing changed: this time is not marked as checked."
_TAKEN_BACK = "Nothing was marked: this form was sent before, and its check was taken back since. Open the form again."
_CHECKED_AGAIN = "Nothing changed: this time was marked as checked again since. Use the button that is shown now."


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.OPERATE, of=Endpoint)
def check(request: MemberRequest, pk: int) -> HttpResponse:
    """Say what a check does, and take a note of how it was made."""
    endpoint, now = _find(request, pk), timezone.now()
    asked = request.POST if request.method == "POST" else request.GET
    named = span_from(asked.get("window", ""))
    window = None if named is None else window_at(endpoint, named, user=request.user, now=now)
    if window is None:
        return _lead(request, endpoint, _CHANGED)
    form = WindowCheckForm(request.POST or None, initial={"window": window.name})
    if request.method == "POST" and form.is_valid():
        return _mark(request, endpoint, window, form)
    if not window.is_checkable:
        return _lead(request, endpoint, _refusal(window))
    context = {"endpoint": endpoint, "install": endpoint.install, "form": form, "window": window}
    return render(request, "endpoints/mark_checked.html", context, status=422 if form.errors else 200)


def _mark(request: MemberRequest, endpoint: Endpoint, window: MissingWindow, form: WindowCheckForm) -> HttpResponse:
    now, operation = timezone.now(), operation_of(form)
    since, until = form.cleaned_data["window"]
    if window.is_fact:
        return _lead(request, endpoint, _FACT)
    try:
        window_checks.mark_checked(
            actor=request.user,
            endpoint=endpoint,
            since=since,
            until=until,
            note=form.cleaned_data["note"],
            now=now,
            operation=operation,
        )
    except window_checks.Changed:
        return _lead(request, endpoint, _CHANGED)
    except window_checks.CheckedBefore as error:
        return _lead(request, endpoint, f"Nothing changed. {check_words(as_check(error.row), now=now)}")
    except audit.NotedBefore:
        if not _is_checked(endpoint, since, until):
            return _lead(request, endpoint, _TAKEN_BACK)
    return _answered(endpoint, operation)


@never_cache
@require_POST
@allowed(Permission.OPERATE, of=Endpoint)
def show_again(request: MemberRequest, pk: int) -> HttpResponse:
    """Take a check back."""
    endpoint, form = _find(request, pk), WindowForm(request.POST)
    if not form.is_valid():
        return _lead(request, endpoint, _NOT_CHECKED)
    operation = operation_of(form)
    since, until = form.cleaned_data["window"]
    try:
        if not window_checks.show_again(
            actor=request.user, endpoint=endpoint, since=since, until=until, operation=operation
        ):
            return _lead(request, endpoint, _NOT_CHECKED)
    except audit.NotedBefore:
        if _is_checked(endpoint, since, until):
            return _lead(request, endpoint, _CHECKED_AGAIN)
    return _answered(endpoint, operation)


def _is_checked(endpoint: Endpoint, since: datetime, until: datetime) -> bool:
    """Return whether what a form that was sent before had done still holds: others may have changed it since."""
    return WindowCheck.objects.filter(endpoint=endpoint, since=since, until=until).exists()


def _find(request: MemberRequest, pk: int) -> Endpoint:
    """Return an endpoint that OpenTrain lists. Raises: Http404."""
    rows = Endpoint.objects.visible_to(request.user).registered().select_related("install")
    return get_object_or_404(rows.defer("secret", "install__token"), pk=pk)


def _refusal(window: MissingWindow) -> str:
    return _FACT if window.is_fact else f"Nothing changed. {window.checked}"


def _answered(endpoint: Endpoint, operation: uuid.UUID) -> HttpResponse:
    return redirect(operations.with_answer(operations.page_of(endpoint), operation=operation))


def _lead(request: MemberRequest, endpoint: Endpoint, words: str) -> HttpResponse:
    """Return to the endpoint's page, and say why nothing changed."""
    outcome = Outcome(kind=OutcomeKind.DONE, words=words, unrequested=True)
    return operations.lead(request, outcome=outcome, page=operations.page_of(endpoint))
