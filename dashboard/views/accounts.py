"""The "Your account" page, and pages that replace or extend allauth's."""

from http import HTTPStatus

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dashboard.auth.permissions import MemberRequest
from dashboard.queries.second_factors import factors_of
from dashboard.views import sessions

RETRY_AFTER_S = 300
"""The longest time, in seconds, that an attempt counts (allauth's `login_failed`)."""


@never_cache
@require_safe
@login_required
def index(request: MemberRequest) -> HttpResponse:
    """Show how the user signs in, with links to change each part."""
    factors = factors_of(user=request.user)
    context = {
        "now": timezone.now(),
        "totp": factors.app,
        "passkeys": factors.passkeys,
        "codes_left": factors.codes_left,
        "sessions": len(sessions.living(request)),
        "identity": SocialAccount.objects.filter(user=request.user).first(),
        "oidc": settings.OIDC_NAME,
        "owes_factor": request.user.role in settings.MFA_REQUIRED_ROLES and not factors.any,
    }
    return render(request, "account/index.html", context)


@login_required
def to_index(_request: HttpRequest) -> HttpResponse:
    """Redirect from allauth's own overview."""
    return redirect("account")


@login_required
def has_no_password(request: MemberRequest) -> HttpResponse:
    """Say why there is no password to change: an account created without one does not get one here."""
    if not request.user.has_usable_password():
        words = "Your account has no password: you sign in without one. If you need one, ask your administrator."
        messages.info(request, words)
    return redirect("account")


def too_many(request: HttpRequest) -> HttpResponse:
    """Answer 429 after too many attempts, with the same words whether or not the account exists."""
    response = render(request, "429.html", status=HTTPStatus.TOO_MANY_REQUESTS)
    response["Retry-After"] = str(RETRY_AFTER_S)
    return response
