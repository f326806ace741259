"""Who may do what: the one table, and the one decorator that every page wears.

The table is about actions. Of which installs somebody may see anything at all, `visible_to` of the QuerySets decides
(by `SEES_EVERY_INSTALL` and `SEES_GRANTED_INSTALLS` of models/members.py); a page looks its objects up through
`get_object_or_404(Model.objects.visible_to(request.user), …)`, so that somebody else's ID is one that does not exist.
"""

from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import Concatenate, ParamSpec, Self, cast

from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from dashboard.models import AlertChannel, Delivery, Endpoint, Install, Role, Run, User

P = ParamSpec("P")
Object = type[AlertChannel | Delivery | Endpoint | Install | Run | User]


class Permission(StrEnum):
    """What one may do; the words say it after "to"."""

    SEE = "see", "see installs, endpoints, deliveries, runs, alerts and activity"
    OPERATE = "operate", "re-enable, redeliver and recover"
    MANAGE_ENDPOINTS = "manage_endpoints", "register, edit, pause and delete endpoints, and replace their keys"
    MANAGE_INSTALLS = "manage_installs", "connect installs and replace their tokens"
    MANAGE_CHANNELS = "manage_channels", "set up who is told of alerts"
    MANAGE_MEMBERS = "manage_members", "manage members, their roles and their installs"

    words: str

    def __new__(cls, value: str, words: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.words = words
        return member


_LEAD, _SUPPORT, _ADMIN, _VIEWER = Role.SUPPORT_LEAD, Role.SUPPORT, Role.PARTNER_ADMIN, Role.VIEWER
WHO_MAY = {
    Permission.SEE: frozenset({_LEAD, _SUPPORT, _ADMIN, _VIEWER}),
    Permission.OPERATE: frozenset({_LEAD, _SUPPORT, _ADMIN}),
    Permission.MANAGE_ENDPOINTS: frozenset({_LEAD, _SUPPORT, _ADMIN}),
    Permission.MANAGE_INSTALLS: frozenset({_LEAD, _SUPPORT, _ADMIN}),
    Permission.MANAGE_CHANNELS: frozenset({_LEAD, _SUPPORT, _ADMIN}),
    Permission.MANAGE_MEMBERS: frozenset({_LEAD}),
}
"""The table. A role that has no permission at all is none: whoever has it is told whom to ask."""
_ASK = {_LEAD: "a support lead", _SUPPORT: "support", _ADMIN: "a partner admin of the install", _VIEWER: "a viewer"}


class MemberRequest(HttpRequest):
    """A request of somebody who is signed in and has a role."""

    user: User
    htmx: HtmxDetails


def may(user: User | AnonymousUser, permission: Permission) -> bool:
    """Tell whether the person's role has the permission; on what, `visible_to` tells."""
    return user.is_authenticated and user.role in WHO_MAY[permission]


def whom_to_ask(permission: Permission) -> str:
    """Say who may do it: "a partner admin of the install, support or a support lead"."""
    *others, last = (_ASK[role] for role in (_VIEWER, _ADMIN, _SUPPORT, _LEAD) if role in WHO_MAY[permission])
    return f"{', '.join(others)} or {last}" if others else last


def can(request: HttpRequest) -> dict[str, dict[str, bool]]:
    """Tell templates what the person may do: `{% if can.operate %}`. A context processor."""
    user: User | AnonymousUser = getattr(request, "user", AnonymousUser())
    return {"can": {permission.value: may(user, permission) for permission in Permission}}


def allowed(
    permission: Permission, *, of: Object | None = None
) -> Callable[
    [Callable[Concatenate[MemberRequest, P], HttpResponseBase]],
    Callable[Concatenate[HttpRequest, P], HttpResponseBase],
]:
    """Let in who has the permission; send strangers to sign in, and tell everybody else whom to ask.

    `of` is what the address's first ID is of: whoever lacks the permission is told so (403) only of what they may see,
    and gets the 404 of what does not exist for anything else.
    """

    def wear(
        view: Callable[Concatenate[MemberRequest, P], HttpResponseBase],
    ) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return _sign_in(cast("MemberRequest", request))
            if not may(request.user, permission):
                known = next(iter(kwargs.values()), None)
                return _refuse(cast("MemberRequest", request), permission, of, known)
            return view(cast("MemberRequest", request), *args, **kwargs)

        guarded.permission = permission  # type: ignore[attr-defined]
        return guarded

    return wear


def _sign_in(request: MemberRequest) -> HttpResponseBase:
    """Go to the sign-in page; a partial is told so by header, or the page would appear inside the one it is part of."""
    if request.htmx:
        address = redirect_to_login(request.htmx.current_url_abs_path or "/").url
        return HttpResponseClientRedirect(address, status=200)
    return redirect_to_login(request.get_full_path() if request.method == "GET" else "/")


def _refuse(request: MemberRequest, permission: Permission, of: Object | None, known: object) -> HttpResponseBase:
    """Say that nothing was done, and who may do it: as a page, or where the button was pressed. Raises: Http404."""
    if not may(request.user, Permission.SEE):
        return render(request, "no_access.html", status=403)
    if of is not None and issubclass(of, User):
        raise Http404  # who has an account is for those to know who manage them
    if of is not None:
        get_object_or_404(of.objects.visible_to(request.user).only("pk"), pk=known)
    context = {"permission": permission, "whom": whom_to_ask(permission)}
    if not request.htmx:
        return render(request, "not_allowed.html", context, status=403)
    response = render(request, "components/_not_allowed.html", context, status=403)
    response["HX-Reswap"] = "innerHTML"
    response["X-Not-Allowed"] = "shown"  # app.js: these words belong where the answer would have been
    return response
