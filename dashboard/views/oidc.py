"""Sign-in with the company's OpenID Connect provider. Without one, these pages don't exist."""

import logging
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Concatenate, ParamSpec

from allauth.account.internal.flows.reauthentication import raise_if_reauthentication_required
from allauth.socialaccount.internal.flows.connect import disconnect, validate_disconnect
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.base import AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from allauth.utils import get_request_param
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard.config.oidc import PROVIDER
from dashboard.services.oidc import Provider

logger = logging.getLogger(__name__)
P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def _where_set(view: View[P]) -> View[P]:
    """Answer 404 unless OIDC_ISSUER is set."""

    @wraps(view)
    def found(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not settings.OIDC_NAME or kwargs.get("provider_id", PROVIDER) != PROVIDER:
            raise Http404
        return view(request, *args, **kwargs)

    return found


@never_cache
@require_POST
@_where_set
def login(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Send the user to the provider, to sign in or to connect their identity to their account.

    This uses an intermediate page: `form-action 'self'` also forbids a form to redirect to another site.
    """
    process = get_request_param(request, "process", AuthProcess.LOGIN)
    if process not in {AuthProcess.LOGIN, AuthProcess.CONNECT}:
        raise Http404
    if process == AuthProcess.CONNECT:
        raise_if_reauthentication_required(request, app="allauth.socialaccount")
    try:
        answer: HttpResponse = OAuth2LoginView.adapter_view(Provider(request, provider_id))(request)
    except (OSError, ValueError, KeyError, OAuth2Error) as error:  # requests' errors are OSErrors
        logger.warning("the OIDC provider cannot be used: %s", type(error).__name__)
        return render(request, "socialaccount/authentication_error.html", status=HTTPStatus.BAD_GATEWAY)
    if answer.status_code != HTTPStatus.FOUND:
        return answer
    return render(request, "socialaccount/leave.html", {"address": answer["Location"], "name": settings.OIDC_NAME})


@never_cache
@require_safe
@_where_set
def callback(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Complete the sign-in of a user who returns from the provider."""
    try:
        answer: HttpResponse = OAuth2CallbackView.adapter_view(Provider(request, provider_id))(request)
    except (OSError, ValueError, KeyError, OAuth2Error) as error:
        logger.warning("the OIDC provider gave an answer that cannot be used: %s", type(error).__name__)
        return render(request, "socialaccount/authentication_error.html", status=HTTPStatus.BAD_GATEWAY)
    return answer


@require_safe
@_where_set
def cancelled(request: HttpRequest) -> HttpResponse:
    """Say that the sign-in was cancelled."""
    return render(request, "socialaccount/login_cancelled.html", {"name": settings.OIDC_NAME})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@_where_set
@login_required
def connection(request: HttpRequest) -> HttpResponse:
    """Show the identity connected to the user's account; on POST, disconnect it."""
    if request.method != "POST":
        context = {"identity": SocialAccount.objects.filter(user=request.user).first(), "name": settings.OIDC_NAME}
        return render(request, "socialaccount/connections.html", context)
    identity = get_object_or_404(SocialAccount, user=request.user)
    try:
        validate_disconnect(request, identity)
    except ValidationError:
        messages.error(request, "Not disconnected: without a password you could no longer sign in.")
    else:
        disconnect(request, identity)
    return redirect("socialaccount_connections")
