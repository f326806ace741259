"""The demo's switch, which breaks or repairs its handler. Exists only in the demo."""

from dataclasses import dataclass

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from dashboard.actions import audit
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.models import Endpoint
from dashboard.services import demo
from dashboard.views import operations


@dataclass(frozen=True, slots=True)
class Switch:
    """The state of an endpoint's demo handler; `broken` is None if the handler does not report it."""

    endpoint: Endpoint
    broken: bool | None
    problem: str = ""


def switch_of(endpoint: Endpoint) -> Switch | None:
    """Return the switch if the endpoint's handler is the demo's, else None."""
    if not demo.controls(handler_url=endpoint.handler_url):
        return None
    return Switch(endpoint, demo.is_broken(handler_url=endpoint.handler_url))


@require_POST
@allowed(Permission.OPERATE, of=Endpoint)
def set_handler(request: MemberRequest, pk: int) -> HttpResponse:
    """Break or repair the handler, depending on the button pressed."""
    visible = Endpoint.objects.visible_to(request.user).select_related("install").defer("secret", "install__token")
    endpoint = get_object_or_404(visible, pk=pk)
    if not demo.controls(handler_url=endpoint.handler_url):
        raise Http404
    broken = request.POST.get("handler") == "break"
    try:
        demo.set_broken(handler_url=endpoint.handler_url, broken=broken)
        switch = Switch(endpoint, broken)
        done = "broken" if broken else "repaired"
        audit.note(actor=request.user, action="switch demo handler", words=f"It is {done} now.", endpoint=endpoint)
    except demo.DemoHandlerFailed as error:
        switch = Switch(endpoint, None, str(error))
    if not request.htmx:
        return redirect(operations.page_of(endpoint))
    return render(request, "demo/_switch.html", {"switch": switch})
