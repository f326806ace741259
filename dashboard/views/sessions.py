"""The user's own sessions, and how to end them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from allauth.usersessions.internal.flows.sessions import end_other_sessions, end_sessions
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from dashboard.actions import audit
from dashboard.auth.permissions import MemberRequest
from dashboard.rules.user_agents import device


@dataclass(frozen=True, slots=True)
class Shown:
    """A session as shown. `seen_at` is accurate to a minute."""

    pk: int
    device: str
    ip: str
    began_at: datetime
    seen_at: datetime
    is_current: bool

    @property
    def button(self) -> str:
        return "Sign out here" if self.is_current else "End"

    @property
    def button_of(self) -> str:
        """Which session the button ends, for screen readers."""
        return "" if self.is_current else f"the session of {self.device} from {self.ip}"


def living(request: HttpRequest) -> list[Shown]:
    """Return the usable sessions: the current one first, then by last use."""
    since = timezone.now() - timedelta(minutes=settings.SESSION_IDLE_MINUTES)
    kept = UserSession.objects.purge_and_list(request.user)
    shown = [
        Shown(one.pk, device(one.user_agent), one.ip, one.created_at, one.last_seen_at, one.is_current())
        for one in kept
        if one.is_current() or one.last_seen_at > since
    ]
    return sorted(shown, key=lambda one: (one.is_current, one.seen_at), reverse=True)


@never_cache
@require_safe
@login_required
def index(request: HttpRequest) -> HttpResponse:
    """Show the user's sessions."""
    found = living(request)
    context = {"sessions": found, "has_others": len(found) > 1, "now": timezone.now()}
    return render(request, "account/sessions.html", context)


@require_POST
@login_required
def end(request: MemberRequest, pk: int) -> HttpResponse:
    """End one session; its browser is signed out at its next request."""
    session = get_object_or_404(UserSession, pk=pk, user=request.user)
    is_current = session.is_current()
    words = f"The session of {device(session.user_agent)} from {session.ip} was ended."
    audit.note(actor=request.user, action="end session", words=words)
    end_sessions(request, [session])
    if is_current:
        return redirect("account_login")
    messages.success(request, f"Ended: {device(session.user_agent)} from {session.ip} is signed out.")
    return redirect("session-list")


@require_POST
@login_required
def end_others(request: MemberRequest) -> HttpResponse:
    """End all sessions except this one."""
    audit.note(actor=request.user, action="end session", words="Every other session was ended.")
    end_other_sessions(request, request.user)
    messages.success(request, "All other sessions were ended. You are signed in only here.")
    return redirect("session-list")
