"""Rename and disconnect an install. Each page is a plain form that says what will happen."""

import contextlib
from collections.abc import Sequence

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from dashboard.actions import audit, names
from dashboard.actions.installs import leaving
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.forms.names import InstallNameForm
from dashboard.forms.operation import OperationForm
from dashboard.models import Endpoint, Install
from dashboard.presenters.leaving import LISTED, in_the_way
from dashboard.queries.received import received
from dashboard.views import operations
from dashboard.views.endpoint_changes import operation_of


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_INSTALLS, of=Install)
def rename(request: MemberRequest, pk: int) -> HttpResponse:
    """Give the install the name that people here use for the customer. OpenTrain is not called."""
    install = _find(request, pk)
    form = InstallNameForm(request.POST or None, initial={"name": install.name})
    if request.method != "POST" or not form.is_valid():
        context = {"install": install, "form": form}
        return render(request, "installs/rename.html", context, status=422 if form.errors else 200)
    operation = operation_of(form)
    with contextlib.suppress(audit.NotedBefore):  # already renamed
        names.rename_install(actor=request.user, install=install, name=form.cleaned_data["name"], operation=operation)
    return redirect(operations.with_answer(reverse("install-detail", args=[pk]), operation=operation))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_INSTALLS, of=Install)
def disconnect(request: MemberRequest, pk: int) -> HttpResponse:
    """Say what disconnecting does, then do it. While the receiver takes deliveries of it, say what to do first."""
    install, form = _find(request, pk), OperationForm(request.POST or None)
    page = reverse("install-detail", args=[pk])
    if request.method != "POST" and install.is_disconnected:
        return redirect(page)
    if request.method != "POST" or not form.is_valid():
        return _disconnect_page(request, install, form, received(install=install))
    operation = operation_of(form)
    try:
        leaving.disconnect(actor=request.user, install=install, now=timezone.now(), operation=operation)
    except leaving.InTheWay as error:
        return _disconnect_page(request, install, form, error.endpoints, status=422)
    except audit.NotedBefore:
        pass  # already disconnected
    return redirect(operations.with_answer(page, operation=operation))


def _disconnect_page(
    request: MemberRequest, install: Install, form: OperationForm, endpoints: Sequence[Endpoint], status: int = 200
) -> HttpResponse:
    context = {
        "install": install,
        "operation": form["operation"].value(),
        "in_the_way": in_the_way(endpoints),
        "more": max(len(endpoints) - LISTED, 0),
        "retention_days": settings.RETENTION_DAYS,
    }
    return render(request, "installs/disconnect.html", context, status=status)


def _find(request: MemberRequest, pk: int) -> Install:
    """Return the install without its token, which pages don't need. Raises: Http404."""
    return get_object_or_404(Install.objects.visible_to(request.user).defer("token"), pk=pk)
