"""The response to a form whose CSRF token is out of date: someone signed in again in another tab since it was opened.

Only a form of our own pages gets more than a refusal, which the browser's Origin header proves.
"""

from http import HTTPStatus

from allauth.account.utils import get_next_redirect_url
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render

SIGN_IN = frozenset({"account_login", "mfa_login_webauthn", "mfa_authenticate", "openid_connect_login"})
NOT_REPEATED = frozenset({"password", "password1", "password2", "oldpassword", "secret", "token", "code", "credential"})
"""Fields that no page may hold in plain text; a form with one of them has to be filled in again."""


def explain(request: HttpRequest, reason: str = "") -> HttpResponseBase:  # noqa: ARG001 - Django passes it
    """Say what happened and what to do; nothing was done."""
    name = request.resolver_match.url_name if request.resolver_match else ""
    if not _is_ours(request):
        return render(request, "403_csrf.html", status=HTTPStatus.FORBIDDEN)
    if name in SIGN_IN:
        return _sign_in(request)
    if name == "account_logout":  # it asks once more, or leads to the sign-in page
        return redirect("account_logout")
    if getattr(request, "htmx", False):
        response = render(request, "components/_expired.html", status=HTTPStatus.FORBIDDEN)
        response["HX-Reswap"] = "innerHTML"
        response["X-Not-Allowed"] = "shown"  # app.js shows it where the result would appear
        return response
    return render(request, "403_csrf.html", {"again": _fields(request)}, status=HTTPStatus.FORBIDDEN)


def _is_ours(request: HttpRequest) -> bool:
    own = f"{request.scheme}://{request.get_host()}"
    return request.headers.get("Origin", "") in {own, *settings.CSRF_TRUSTED_ORIGINS}


def _sign_in(request: HttpRequest) -> HttpResponse:
    """Go where the form would have led, if the other tab has signed in; else ask again, for what it did may be over."""
    target = get_next_redirect_url(request) or "/"
    if request.user.is_authenticated:
        return redirect(target)
    messages.info(request, "This page was out of date. Sign in again.")
    return redirect_to_login(target)


def _fields(request: HttpRequest) -> list[tuple[str, str]]:
    """Return what was typed, to be sent again; nothing if a part of it must not be in a page."""
    if request.FILES or NOT_REPEATED & set(request.POST):
        return []
    return [(name, value) for name, values in request.POST.lists() for value in values if name != "csrfmiddlewaretoken"]
