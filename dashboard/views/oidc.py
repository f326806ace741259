"""Sign-in by the company's OpenID Connect provider, where one is set; otherwise none of these pages is there."""

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
    """Have the page only where OIDC_ISSUER is set."""

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
    """Send somebody to the provider, to sign in or to connect what they are there to their account here.

    By a page that leads on: browsers let a form lead to no other site (`form-action 'self'`), also not by a redirect.
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
    """Take somebody who comes back from the provider."""
    try:
        answer: HttpResponse = OAuth2CallbackView.adapter_view(Provider(request, provider_id))(request)
    except (OSError, ValueError, KeyError, OAuth2Error) as error:
        logger.warning("the OIDC provider gave an answer that cannot be used: %s", type(error).__name__)
        return render(request, "socialaccount/authentication_error.html", status=HTTPStatus.BAD_GATEWAY)
    return answer


@require_safe
@_where_set
def cancelled(request: HttpRequest) -> HttpResponse:
    """Say that nothing was done."""
    return render(request, "socialaccount/login_cancelled.html", {"name": settings.OIDC_NAME})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@_where_set
@login_required
def connection(request: HttpRequest) -> HttpResponse:
    """Show the identity that one's account is connected to; by POST, disconnect it."""
    if request.method != "POST":
        context = {"identity": SocialAccount.objects.filter(user=request.user).first(), "name": settings.OIDC_NAME}
        return render(request, "socialaccount/connections.html", context)
    identity = get_object_or_404(SocialAccount, user=request.user)
    try:
        validate_disconnect(request, identity)
    except ValidationError:
        messages.error(request, "Not disconnected: without a password you could not sign in any more.")
    else:
        disconnect(request, identity)
    return redirect("socialaccount_connections")
