"""Permissions: one table of roles, and the decorator that every view uses.

The table covers actions. Which installs a user can see is decided by `visible_to` of the QuerySets (by
`SEES_EVERY_INSTALL` and `SEES_GRANTED_INSTALLS` of models/members.py). Views look objects up with
`get_object_or_404(Model.objects.visible_to(request.user), …)`, so an ID that the user cannot see does not exist.
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

from dashboard.models import AlertChannel, Contract, Delivery, Endpoint, Handover, Install, Role, Run, User

P = ParamSpec("P")
Object = type[AlertChannel | Contract | Delivery | Endpoint | Handover | Install | Run | User]


class Permission(StrEnum):
    """A permission; its words follow "to"."""

    SEE = "see", "see installs, endpoints, deliveries, runs, alerts and activity"
    OPERATE = "operate", "re-enable, redeliver and recover"
    MANAGE_ENDPOINTS = "manage_endpoints", "register, name, edit, pause and delete endpoints, and replace their keys"
    ALLOW_HANDOVERS = "allow_handovers", "allow Redeliver to send missing events to a handler"
    MANAGE_INSTALLS = "manage_installs", "connect, rename and disconnect installs, and replace their tokens"
    MANAGE_CHANNELS = "manage_channels", "set up alert channels"
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
    # The handler is the partner's, so only the partner allows it. All who manage endpoints may stop it.
    Permission.ALLOW_HANDOVERS: frozenset({_ADMIN}),
    Permission.MANAGE_INSTALLS: frozenset({_LEAD, _SUPPORT, _ADMIN}),
    Permission.MANAGE_CHANNELS: frozenset({_LEAD, _SUPPORT, _ADMIN}),
    Permission.MANAGE_MEMBERS: frozenset({_LEAD}),
}
"""The roles that have each permission. Users without a role have none, and are told whom to ask."""
_ASK = {_LEAD: "a support lead", _SUPPORT: "support", _ADMIN: "a partner admin of the install", _VIEWER: "a viewer"}


class MemberRequest(HttpRequest):
    """A request of a signed-in user with a role."""

    user: User
    htmx: HtmxDetails


def may(user: User | AnonymousUser, permission: Permission) -> bool:
    """Return whether the user's role has the permission; `visible_to` decides on which objects."""
    return user.is_authenticated and user.role in WHO_MAY[permission]


def whom_to_ask(permission: Permission) -> str:
    """Name the roles that have it: "a partner admin of the install, support or a support lead"."""
    *others, last = (_ASK[role] for role in (_VIEWER, _ADMIN, _SUPPORT, _LEAD) if role in WHO_MAY[permission])
    return f"{', '.join(others)} or {last}" if others else last


def can(request: HttpRequest) -> dict[str, dict[str, bool]]:
    """Context processor: the user's permissions, as in `{% if can.operate %}`."""
    user: User | AnonymousUser = getattr(request, "user", AnonymousUser())
    return {"can": {permission.value: may(user, permission) for permission in Permission}}


def allowed(
    permission: Permission, *, of: Object | None = None
) -> Callable[
    [Callable[Concatenate[MemberRequest, P], HttpResponseBase]],
    Callable[Concatenate[HttpRequest, P], HttpResponseBase],
]:
    """Require the permission. Send anonymous users to sign in; tell everyone else whom to ask.

    `of` is the model of the first ID in the URL. A user who lacks the permission gets a 403 for an object they can see
    and a 404, as for an unknown ID, for any other.
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
    """Redirect to the sign-in page. For htmx by header, or the page would be swapped into a part of another.

    What becomes of a form that was sent, middleware/kept_forms.py decides.
    """
    if request.htmx:
        address = redirect_to_login(request.htmx.current_url_abs_path or "/").url
        return HttpResponseClientRedirect(address, status=200)
    return redirect_to_login(request.get_full_path() if request.method == "GET" else "/")


def _refuse(request: MemberRequest, permission: Permission, of: Object | None, known: object) -> HttpResponseBase:
    """Say that nothing was done, and who may do it: as a page, or at the pressed button. Raises: Http404."""
    if not may(request.user, Permission.SEE):
        return render(request, "no_access.html", status=403)
    if of is not None and issubclass(of, User):
        raise Http404  # only those who manage accounts may learn which exist
    if of is not None:
        get_object_or_404(of.objects.visible_to(request.user).only("pk"), pk=known)
    context = {"permission": permission, "whom": whom_to_ask(permission)}
    if not request.htmx:
        return render(request, "not_allowed.html", context, status=403)
    response = render(request, "components/_not_allowed.html", context, status=403)
    response["HX-Reswap"] = "innerHTML"
    response["X-Not-Allowed"] = "shown"  # app.js shows them where the result would appear
    return response
