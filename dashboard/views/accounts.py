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
from django.views.decorators.http import require_POST, require_safe

from dashboard.actions import accounts, audit
from dashboard.auth.permissions import MemberRequest
from dashboard.forms.time_zones import TimeZoneForm
from dashboard.middleware.time_zones import IN_UTC_COOKIE, browsers_zone, is_browsers_zone_known, is_in_utc
from dashboard.queries.second_factors import factors_of
from dashboard.rules.time_zones import time_zones
from dashboard.views import sessions

YOUR_BROWSERS = "your browser's time zone"
RETRY_AFTER_S = 300
"""The longest time, in seconds, that an attempt counts (allauth's `login_failed`)."""


@never_cache
@require_safe
@login_required
def index(request: MemberRequest) -> HttpResponse:
    """Show how the user signs in and in which time zone they read, with ways to change each part."""
    return _page(request, TimeZoneForm(initial={"time_zone": request.user.time_zone}))


@never_cache
@require_POST
@login_required
def choose_time_zone(request: MemberRequest) -> HttpResponse:
    """Show times in the chosen zone from now on."""
    form = TimeZoneForm(request.POST)
    if not form.is_valid():
        return _page(request, form)
    name = form.cleaned_data["time_zone"]
    try:
        accounts.choose_time_zone(user=request.user, name=name, operation=form.cleaned_data["operation"])
        messages.success(request, f"Times are now shown in {name or YOUR_BROWSERS}.")
    except audit.NotedBefore:
        pass  # already done and reported
    response = redirect("account")
    response.delete_cookie(IN_UTC_COOKIE)  # else the choice would not be seen
    return response


def _page(request: MemberRequest, form: TimeZoneForm) -> HttpResponse:
    factors = factors_of(user=request.user)
    context = {
        "now": timezone.now(),
        "totp": factors.app,
        "passkeys": factors.passkeys,
        "codes_left": factors.codes_left,
        "sessions": len(sessions.living(request)),
        "identity": SocialAccount.objects.filter(user=request.user).first(),
        "oidc": settings.OIDC_NAME,
        "form": form,
        "time_zones": time_zones(),
        "browsers_zone": browsers_zone(request),
        "is_browsers_zone_known": is_browsers_zone_known(request),
        "in_utc_for_now": is_in_utc(request),
        "owes_factor": request.user.role in settings.MFA_REQUIRED_ROLES and not factors.any,
    }
    return render(request, "account/index.html", context, status=422 if form.errors else 200)


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
