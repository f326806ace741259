"""One's own account: how one signs in, and what else is allauth's but for which it has no page of ours."""

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
"""The longest that a try is counted (allauth's `login_failed`)."""


@never_cache
@require_safe
@login_required
def index(request: MemberRequest) -> HttpResponse:
    """Show how one signs in, and lead to where each part is changed."""
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
    """Lead on from where allauth has its own overview."""
    return redirect("account")


@login_required
def has_no_password(request: MemberRequest) -> HttpResponse:
    """Say why there is no password to change: an account that was made without one does not get one by the way."""
    if not request.user.has_usable_password():
        words = "Your account has no password: you sign in without one. If you need one, ask whoever runs Redeliver."
        messages.info(request, words)
    return redirect("account")


def too_many(request: HttpRequest) -> HttpResponse:
    """Say that there were too many tries. The same words, whether or not there is such an account."""
    response = render(request, "429.html", status=HTTPStatus.TOO_MANY_REQUESTS)
    response["Retry-After"] = str(RETRY_AFTER_S)
    return response
