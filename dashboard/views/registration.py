"""Registering an endpoint: the form, which may start from one that exists, and the secret that is shown once."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from dashboard.actions import endpoints, names
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.config.schedule import schedule
from dashboard.forms.endpoints import EVENT_TYPES, RegisterForm
from dashboard.forms.list_filters import ID
from dashboard.models import AuditEntry, Endpoint, Install
from dashboard.queries.same_handler import same_handler
from dashboard.rules.durations import in_halves
from dashboard.views import operations


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_ENDPOINTS, of=Install)
def create(request: MemberRequest, install_pk: int) -> HttpResponse:
    """Register an endpoint. Its secret appears only in the response to this POST.

    `like` in the URL is the endpoint of the install that the form starts from. If the handler gets some of the events
    already, the form asks whether it is to get them twice.
    """
    install = get_object_or_404(Install.objects.visible_to(request.user).defer("token"), pk=install_pk)
    like = _like(request, install)
    form = RegisterForm(request.POST or None, initial=_initial(like))
    context = _context(install, like, form)
    if request.method != "POST" or not form.is_valid():
        return render(request, "endpoints/new.html", context, status=422 if form.errors else 200)
    # A form that is sent twice gets the answer to the first one, although the endpoint exists by now.
    was_asked = AuditEntry.objects.filter(operation=operations.asked(request), actor=request.user).exists()
    why_not = {} if was_asked else _why_not(install, form)
    if why_not:
        return render(request, "endpoints/new.html", context | why_not, status=422)
    return _register(request, context, form)


def _register(request: MemberRequest, context: dict[str, Any], form: RegisterForm) -> HttpResponse:
    operation = form.cleaned_data["operation"] or operations.asked(request)
    install: Install = context["install"]
    outcome, endpoint, secret = endpoints.register(
        actor=request.user,
        install=install,
        url=form.cleaned_data["url"],
        handler_url=form.cleaned_data["handler_url"],
        through_redeliver=form.through_redeliver,
        event_types=form.cleaned_data["event_types"],
        clock=timezone.now,
        operation=operation,
        name=form.cleaned_data["name"],
    )
    answer = operations.build(outcome=outcome, operation=operation, endpoint=None, user_id=request.user.pk)
    shown = {"install": install, "answer": answer, "endpoint": endpoint, "secret": secret}
    if endpoint is not None and secret is not None:
        return render(request, "endpoints/registered.html", shown | {"retried_for": context["retried_for"]})
    if secret is not None:
        return operations.unconfirmed(request, shown, next_url=reverse("install-detail", args=[install.pk]))
    again = RegisterForm(initial={name: form.cleaned_data[name] for name in form.cleaned_data if name != "operation"})
    return render(request, "endpoints/new.html", context | {"form": again, "answer": answer, "twice": form.handler})


def _like(request: MemberRequest, install: Install) -> Endpoint | None:
    """Return the endpoint that the form starts from; None without one, or if it is not of this install."""
    pk = request.GET.get("like", "")
    if not ID.fullmatch(pk):
        return None
    return Endpoint.objects.filter(install=install, pk=int(pk)).defer("secret").first()


def _initial(like: Endpoint | None) -> dict[str, object]:
    """Return what the form begins with. An address with hidden parts is left out: its copy would not have them."""
    if like is None:
        return {"path": RegisterForm.RECEIVER, "event_types": EVENT_TYPES}
    through, handler = like.reaches_receiver, like.handler_url if like.reaches_receiver else like.url
    handler = handler if like.known_as == handler else ""
    return {
        "path": RegisterForm.RECEIVER if through else RegisterForm.DIRECT,
        "handler_url": handler if through else "",
        "url": "" if through else handler,
        "event_types": [name for name in like.event_types if name in EVENT_TYPES],
    }


def _context(install: Install, like: Endpoint | None, form: RegisterForm) -> dict[str, Any]:
    return {
        "install": install,
        "like": like,
        "form": form,
        "twice": form["twice"].value() or "",
        "retried_for": in_halves(duration=schedule().retried_for),
    }


def _why_not(install: Install, form: RegisterForm) -> dict[str, Any]:
    """Return what the form shows if it is not sent to OpenTrain yet; empty if it is."""
    try:
        names.check_name(install_id=install.pk, name=form.cleaned_data["name"])
    except names.Taken as error:
        form.add_error("name", str(error))
        return {"form": form}
    if form.is_meant_twice:
        return {}
    same = same_handler(install=install, handler=form.handler, event_types=form.cleaned_data["event_types"])
    return {"same": same, "twice": form.handler} if same else {}
