"""Who may come in: the one decorator that every page wears.

What a member sees of what there is, `visible_to` of the QuerySets decides; a page looks its objects up through
`get_object_or_404(Model.objects.visible_to(request.user), …)`, so that somebody else's ID is one that does not exist.
"""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from dashboard.models import Role, User

P = ParamSpec("P")
ROLES = frozenset({Role.SUPPORT.value, Role.PARTNER_ADMIN.value})


class MemberRequest(HttpRequest):
    """A request of somebody who is signed in and has a role."""

    user: User
    htmx: HtmxDetails


def member_required(
    view: Callable[Concatenate[MemberRequest, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Let members in; send strangers to the sign-in page, and tell people without a role whom to ask."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return _sign_in(cast("MemberRequest", request))
        if request.user.role not in ROLES:
            return render(request, "no_access.html", status=403)
        return view(cast("MemberRequest", request), *args, **kwargs)

    return guarded


def _sign_in(request: MemberRequest) -> HttpResponseBase:
    """Go to the sign-in page; a partial is told so by header, or the page would appear inside the one it is part of."""
    if request.htmx:
        address = redirect_to_login(request.htmx.current_url_abs_path or "/").url
        return HttpResponseClientRedirect(address, status=200)
    return redirect_to_login(request.get_full_path() if request.method == "GET" else "/")
