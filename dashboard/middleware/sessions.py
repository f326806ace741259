"""Session limits and the required second factor.

- A session ends SESSION_IDLE_MINUTES after its last use (720: people sign in again the next morning), and
  SESSION_MAX_HOURS after it began (168: once a week) even when in use.
- Background polling (`POLLED`) does not count as use, or a forgotten tab would keep a session alive forever. Every
  other request that reaches a view does.
- The last use is written at most once per MINUTE, which keeps pages cheap.
- After the session ends, the view sees an anonymous user and redirects to sign-in as usual, htmx by HX-Redirect.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django_htmx.http import HttpResponseClientRedirect

from dashboard.auth.adapters import ACTIVE_AT, SIGNED_IN_AT
from dashboard.models import Role
from dashboard.rules.durations import span

Answering = Callable[[HttpRequest], HttpResponseBase]

MINUTE = timedelta(minutes=1)
STRANGERS = timedelta(minutes=15)
"""Lifetime of a session before sign-in: anyone can create these, any number of times."""
POLLED = frozenset({"operation-progress"})
"""URL names that pages poll, beside every name that ends in -live.

A page that polls its own URL marks these requests with the header X-Redeliver-Poll.
"""
TO_SET_UP = frozenset({
    "account", "mfa_index", "mfa_activate_totp", "mfa_add_webauthn", "mfa_view_recovery_codes",
    "account_reauthenticate", "mfa_reauthenticate", "mfa_reauthenticate_webauthn", "account_logout",
})  # fmt: skip
"""URL names that stay open to users who still have to set up a second factor."""
SECOND_FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


class SessionLimits:
    """Ends sessions that were idle for too long or have reached their maximum age."""

    def __init__(self, get_response: Answering) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if request.session.modified and not request.user.is_authenticated:
            request.session.set_expiry(STRANGERS)
        return response

    def process_view(self, request: HttpRequest, *_: object) -> None:
        if not is_signed_in(request):
            return
        now = timezone.now()
        began, active = (_read(request, name) for name in (SIGNED_IN_AT, ACTIVE_AT))
        idle, longest = timedelta(minutes=settings.SESSION_IDLE_MINUTES), timedelta(hours=settings.SESSION_MAX_HOURS)
        if began is None or active is None or now - began >= longest:
            _end(request, f"You were signed out: a session lasts {span(duration=longest)} at most. Sign in again.")
        elif now - active >= idle:
            _end(request, f"You were signed out after {span(duration=idle)} without use. Sign in to continue.")
        elif now - active >= MINUTE and not is_polled(request):
            request.session[ACTIVE_AT] = now.isoformat()
            seen = UserSession.objects.filter(session_key=request.session.session_key)
            seen.update(last_seen_at=now)


class SecondFactor:
    """Redirects users whose role requires a second factor, and who have none, to its setup.

    Raises: ImproperlyConfigured at startup for an unknown role: a mistyped one would require nothing.
    """

    def __init__(self, get_response: Answering) -> None:
        self.get_response = get_response
        if unknown := set(settings.MFA_REQUIRED_ROLES) - set(filter(None, Role.values)):
            raise ImproperlyConfigured(f"MFA_REQUIRED_ROLES has unknown roles: {', '.join(sorted(unknown))}.")

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_: object) -> HttpResponseBase | None:
        if not settings.MFA_REQUIRED_ROLES or not is_signed_in(request):
            return None
        match = request.resolver_match
        if (match and match.url_name in TO_SET_UP) or not needs_second_factor(request):
            return None
        if getattr(request, "htmx", False):
            return HttpResponseClientRedirect(reverse("account"), status=200)
        return redirect("account")


def needs_second_factor(request: HttpRequest) -> bool:
    """Return whether the user's role requires a second factor and they have none."""
    role = getattr(request.user, "role", "")
    return role in settings.MFA_REQUIRED_ROLES and not is_mfa_enabled(request.user, SECOND_FACTORS)


def is_polled(request: HttpRequest) -> bool:
    """Return whether this request is background polling of a page."""
    name = (request.resolver_match and request.resolver_match.url_name) or ""
    return name.endswith("-live") or name in POLLED or "X-Redeliver-Poll" in request.headers


def is_signed_in(request: HttpRequest) -> bool:
    """Return whether a user is signed in. Without a session cookie this costs no query: deliveries have none."""
    return settings.SESSION_COOKIE_NAME in request.COOKIES and request.user.is_authenticated


def _read(request: HttpRequest, name: str) -> datetime | None:
    kept = request.session.get(name)
    return datetime.fromisoformat(kept) if kept else None


def _end(request: HttpRequest, words: str) -> None:
    request.session.flush()  # not `logout`, which the audit records as the user's own action
    request.user = AnonymousUser()
    messages.info(request, words)
