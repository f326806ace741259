"""Members: who can sign in, their roles, and their installs. Only for support leads."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.db.models import Count, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard.actions import audit, members
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.forms.list_filters import ID
from dashboard.forms.members import InviteForm
from dashboard.models import Grant, Install, Role, User
from dashboard.presenters.members import (
    Confirmation,
    of_deactivation,
    of_lost_factors,
    of_revocation,
    of_role,
    role_words,
    sees_words,
)
from dashboard.presenters.pages import numbered
from dashboard.queries.search import find_installs
from dashboard.queries.second_factors import factors_of
from dashboard.rules.durations import span
from dashboard.vault import Secret
from dashboard.views import operations
from dashboard.views.install_list import criteria_of

PAGE = 50
SHOWN = 50
"""Grants, and search results, on a member's page."""
SENT_BEFORE = (
    "This form was already sent, and its link was shown then. If it is lost, create a new one on the member's page."
)


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member, whether they can sign in (`kind` and `label` of a chip), and their number of granted installs."""

    member: User
    kind: str
    label: str
    granted: int

    @property
    def is_ordinary(self) -> bool:
        """Whether they can sign in, as most members can: only the others are marked in a list."""
        return self.kind == "done"

    @property
    def sees_any(self) -> bool:
        return bool(self.member.sees_every_install or (self.member.role and self.granted))

    @property
    def sees(self) -> str:
        """Which installs they see, in words."""
        if self.member.sees_every_install:
            return "every install"
        if not self.member.role:
            return "none"
        return f"{self.granted:,} granted" if self.granted else "none granted yet"


_EVERYBODY = {"q": "", "role": "", "install": ""}
"""The list's criteria when it is not filtered."""


@require_safe
@allowed(Permission.MANAGE_MEMBERS)
def index(request: MemberRequest) -> HttpResponse:
    asked, now = criteria_of(request), timezone.now()
    named = request.GET.get("install", "")
    install = Install.objects.defer("token").filter(pk=int(named)).first() if ID.fullmatch(named) else None
    found = _found(asked.query, request.GET.get("role", ""), install)
    count = found.count()
    page = min(asked.page, max(-(-count // PAGE), 1))
    rows = found.annotate(granted=Count("grants"))[(page - 1) * PAGE : page * PAGE]
    kept = {"q": asked.query, "role": request.GET.get("role", ""), "install": "" if install is None else install.pk}
    context = {
        "rows": [_row(member, now) for member in rows],
        "is_alone": count == 1 and kept == _EVERYBODY,
        "query": asked.query,
        "role": request.GET.get("role", ""),
        "roles": [role for role in Role if role],
        "install": install,
        "pager": numbered(
            page=page,
            pages=max(-(-count // PAGE), 1),
            address=lambda number: "?" + urlencode(kept | {"page": number}),
            words=f"{count:,} in total",
        ),
        "now": now,
    }
    return render(request, "members/list.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_MEMBERS)
def invite(request: MemberRequest) -> HttpResponse:
    """Create an account. The link to set its password appears only in the response to this POST."""
    form = InviteForm(request.POST or None, initial={"role": Role.VIEWER.value})
    if request.method == "POST" and form.is_valid():
        try:
            member, code = members.invite(
                actor=request.user,
                username=form.cleaned_data["username"],
                role=Role(form.cleaned_data["role"]),
                email=form.cleaned_data["email"],
                now=timezone.now(),
                operation=form.cleaned_data["operation"],
            )
            return _shown_once(request, member, code, is_new=True)
        except members.NotPossible as error:
            form.add_error("username", str(error))
        except audit.NotedBefore:
            form.add_error(None, SENT_BEFORE)
    context = {"form": form, "roles": [(role, role_words(role)) for role in Role if role], "operation": uuid.uuid4()}
    context |= {"oidc": settings.OIDC_NAME}
    return render(request, "members/invite.html", context, status=422 if form.errors else 200)


@never_cache
@require_safe
@allowed(Permission.MANAGE_MEMBERS, of=User)
def detail(request: MemberRequest, pk: int) -> HttpResponse:
    return render(request, "members/detail.html", _context(request, _find(pk)))


@require_safe
@allowed(Permission.MANAGE_MEMBERS, of=User)
def installs(request: MemberRequest, pk: int) -> HttpResponse:
    """Show the installs that a search finds, each with its action."""
    return render(request, "members/detail.html#found", _search(request, _find(pk)))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_MEMBERS, of=User)
def role(request: MemberRequest, pk: int) -> HttpResponse:
    """Explain a role change, then apply it."""
    member = _find(pk)
    asked = request.POST.get("role", "") if request.method == "POST" else request.GET.get("role", "")
    if asked not in set(Role.values) or asked == member.role:
        return redirect("member-detail", pk=pk)
    if request.method != "POST":
        return _confirm(request, member, of_role(member, Role(asked)))
    said = f"{member.username} is now {Role(asked).label.lower()}. Their sessions were ended."
    return _do(request, member, said, members.change_role, role=Role(asked))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_MEMBERS, of=User)
def deactivate(request: MemberRequest, pk: int) -> HttpResponse:
    """Explain deactivation, then deactivate the member."""
    member = _find(pk)
    if request.method != "POST":
        return _confirm(request, member, of_deactivation(member))
    said = f"{member.username} is signed out and can no longer sign in."
    return _do(request, member, said, members.set_active, active=False)


@require_POST
@allowed(Permission.MANAGE_MEMBERS, of=User)
def reactivate(request: MemberRequest, pk: int) -> HttpResponse:
    member = _find(pk)
    return _do(request, member, f"{member.username} can sign in again.", members.set_active, active=True)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_MEMBERS, of=User)
def forget_factors(request: MemberRequest, pk: int) -> HttpResponse:
    """Explain the removal of a member's second factors, then remove them. Users remove their own in Your account."""
    member = _find(pk)
    if member.pk == request.user.pk:
        messages.info(request, "Set up and remove your own second factors here.")
        return redirect("account")
    if request.method == "POST":
        said = f"{member.username}'s second factors were removed, and their sessions ended."
        return _do(request, member, said, members.forget_factors)
    factors = factors_of(user=member)
    if not factors.any:
        messages.info(request, f"{member.username} has no second factor to remove.")
        return redirect("member-detail", pk=pk)
    return _confirm(request, member, of_lost_factors(member, factors))


@never_cache
@require_POST
@allowed(Permission.MANAGE_MEMBERS, of=User)
def link(request: MemberRequest, pk: int) -> HttpResponse:
    """Create a link to set a password. It appears only in the response to this POST."""
    member, operation = _find(pk), operations.asked(request)
    try:
        code = members.new_link(actor=request.user, member=member, now=timezone.now(), operation=operation)
    except members.NotPossible as error:
        messages.error(request, str(error))
    except audit.NotedBefore:
        messages.error(request, SENT_BEFORE)
    else:
        return _shown_once(request, member, code)
    return redirect("member-detail", pk=pk)


@require_POST
@allowed(Permission.MANAGE_MEMBERS, of=User)
def grant(request: MemberRequest, pk: int, install_pk: int) -> HttpResponse:
    member, install = _find(pk), _install(install_pk)
    return _do(request, member, f"{install.name} was granted to {member.username}.", members.grant, install=install)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_MEMBERS, of=User)
def revoke(request: MemberRequest, pk: int, install_pk: int) -> HttpResponse:
    """Explain the removal of an install from a member, then remove it."""
    member, install = _find(pk), _install(install_pk)
    if request.method != "POST":
        return _confirm(request, member, of_revocation(member, install))
    return _do(request, member, f"{install.name} was removed from {member.username}.", members.revoke, install=install)


def _do(
    request: MemberRequest, member: User, said: str, action: Callable[..., None], **what: Role | Install | bool
) -> HttpResponse:
    """Act, and show the outcome on the member's page. A form sent twice acts once."""
    try:
        action(actor=request.user, member=member, operation=operations.asked(request), **what)
        messages.success(request, said)
    except members.NotPossible as error:
        messages.error(request, str(error))
    except audit.NotedBefore:
        pass  # already done and reported
    return redirect("member-detail", pk=member.pk)


def _confirm(request: MemberRequest, member: User, confirmation: Confirmation) -> HttpResponse:
    context = {"member": member, "confirmation": confirmation, "operation": uuid.uuid4()}
    return render(request, "members/confirm.html", context)


def _shown_once(request: MemberRequest, member: User, code: Secret, *, is_new: bool = False) -> HttpResponse:
    """Show the link. Its code comes after a #, so browsers never send it and no log contains it."""
    address = f"{request.build_absolute_uri(reverse('set-password'))}#{code.reveal()}"
    context = {"member": member, "address": address, "lasts": span(duration=members.link_lasts()), "is_new": is_new}
    context |= {"grants_next": is_new and member.sees_granted_installs}
    return render(request, "members/link.html", context)


def _found(query: str, role: str, install: Install | None) -> QuerySet[User]:
    found = User.objects.order_by("username", "pk")
    if query:
        found = found.filter(username__icontains=query)
    if role in set(Role.values) - {""}:
        found = found.filter(role=role)
    if install is not None:
        found = found.filter(pk__in=Grant.objects.filter(install=install).values("user"))
    return found


def _row(member: User, now: datetime) -> MemberRow:
    granted: int = getattr(member, "granted", 0)
    if not member.is_active:
        return MemberRow(member, "cancelled", "Deactivated", granted)
    if member.link_made_at is not None and member.last_login is None:
        expired = member.link_made_at + members.link_lasts() < now
        return MemberRow(
            member, "not_seen" if expired else "waiting", "Link expired" if expired else "Invited", granted
        )
    return MemberRow(member, "done", "Active", granted)


def _context(request: MemberRequest, member: User) -> dict[str, Any]:
    now = timezone.now()
    grants = member.grants.select_related("install").defer("install__token").order_by("install__name", "install__pk")
    row, factors, is_self = _row(member, now), factors_of(user=member), member.pk == request.user.pk
    owes_factor = member.role in settings.MFA_REQUIRED_ROLES and not factors.any and not is_self
    return _search(request, member) | {
        "row": row,
        "roles": [(role, role_words(role)) for role in Role],
        "grants": list(grants[:SHOWN]),
        "granted": grants.count(),
        "factors": factors,
        "sees": sees_words(member, granted=grants.count()),
        "owes_factor": owes_factor,
        "link_until": None if member.link_made_at is None else member.link_made_at + members.link_lasts(),
        "is_self": is_self,
        "now": now,
    }


def _search(request: MemberRequest, member: User) -> dict[str, Any]:
    """Return the installs that match the URL's search, and whether each is granted."""
    text = criteria_of(request).query
    found = find_installs(user=request.user, text=text, most=SHOWN) if text else ()
    granted = set(member.grants.filter(install__in=found).values_list("install", flat=True))
    context = {"member": member, "query": text, "more": len(found) == SHOWN, "operation": uuid.uuid4()}
    return context | {"found": [(install, install.pk in granted) for install in found]}


def _find(pk: int) -> User:
    return get_object_or_404(User, pk=pk)


def _install(pk: int) -> Install:
    return get_object_or_404(Install.objects.defer("token"), pk=pk)
