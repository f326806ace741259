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
from django.utils import timezone

from dashboard.auth import kept_forms
from dashboard.middleware.kept_forms import SIGN_IN, lead_back, page_of


def explain(request: HttpRequest, reason: str = "") -> HttpResponseBase:  # noqa: ARG001 - Django passes it
    """Say what happened and what to do; nothing was done."""
    name = request.resolver_match.url_name if request.resolver_match else ""
    if not _is_ours(request):
        return render(request, "403_csrf.html", status=HTTPStatus.FORBIDDEN)
    if name in SIGN_IN:
        return _sign_in(request)
    if name == "account_logout":  # it asks once more, or leads to the sign-in page
        return redirect("account_logout")
    again = None if getattr(request, "htmx", False) else kept_forms.fields_of(request)
    if again is None and request.user.is_authenticated:
        return _back(request)
    if getattr(request, "htmx", False):
        response = render(request, "components/_expired.html", status=HTTPStatus.FORBIDDEN)
        response["HX-Reswap"] = "innerHTML"
        response["X-Not-Allowed"] = "shown"  # app.js shows it where the result would appear
        return response
    return render(request, "403_csrf.html", {"again": again}, status=HTTPStatus.FORBIDDEN)


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


def _back(request: HttpRequest) -> HttpResponse:
    """Lead to the form's page, where the form is back, without its secrets: no page may hold those in plain text."""
    page = page_of(request)
    kept_forms.keep(request, page=page, now=timezone.now())
    return lead_back(request, page=page)
