"""The observations API: partners' handlers tell what they saw, in batches. README, "Two ways to feed the log".

A call is stored whole or not at all, and may be sent again: what is known already is counted and changes nothing. Like
the receiver it asks the database first, so that one that is down is a 503 before anything was read.
"""

import logging
from http import HTTPStatus

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.db import Error as DatabaseFailed
from django.http import HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from dashboard.actions import observation_keys, observations
from dashboard.models import Endpoint
from dashboard.vault import Secret
from dashboard.views import observed
from dashboard.views.request_body import read_body

BODY_LIMIT = 2 * 1024 * 1024
RETRY_AFTER_S = 5

logger = logging.getLogger(__name__)


class _Refused(Exception):
    """The call is not taken. The text is for people."""

    def __init__(self, status: HTTPStatus, words: str) -> None:
        super().__init__(words)
        self.status = status


@csrf_exempt
def receive(request: WSGIRequest) -> HttpResponse:
    """Take up to 1,000 observations. Always JSON; never a redirect, never a page."""
    try:
        endpoint = _endpoint(request)
        recorded = observations.record(
            endpoint=endpoint, observations=observed.read(_body(request), now=timezone.now())
        )
    except _Refused as refused:
        return _no(refused.status, str(refused))
    except observed.BadRequest as bad:
        return _no(HTTPStatus.BAD_REQUEST, str(bad), errors=bad.errors)
    except DatabaseFailed:
        logger.exception("observations could not be taken; the sender is asked to try again")
        return _no(HTTPStatus.SERVICE_UNAVAILABLE, "Redeliver cannot take this now. Send it again later.")
    return JsonResponse({"stored": recorded.stored, "known": recorded.known})


def _endpoint(request: WSGIRequest) -> Endpoint:
    """Return the endpoint whose key the call carries. Raises: _Refused."""
    if settings.SECURE_SSL_REDIRECT and not request.is_secure():
        raise _Refused(HTTPStatus.FORBIDDEN, "Observations are taken over https only.")
    if request.method != "POST":
        raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED, "Observations are sent by POST.")
    scheme, _, key = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    endpoint = observation_keys.endpoint_of(key=Secret(key.strip())) if scheme.lower() == "bearer" else None
    if endpoint is None:
        raise _Refused(
            HTTPStatus.UNAUTHORIZED,
            f"Send the endpoint's key as 'Authorization: Bearer {observation_keys.KEY_START}…'; this one is not known.",
        )
    return endpoint


def _body(request: WSGIRequest) -> bytes:
    """Return the body, if it is JSON that may be read. Raises: _Refused."""
    if (
        request.content_type != "application/json"
        or request.META.get("HTTP_CONTENT_ENCODING", "identity") != "identity"
    ):
        raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Observations are application/json, not compressed.")
    body, whole = read_body(request, limit=BODY_LIMIT)
    if len(body) > BODY_LIMIT:
        raise _Refused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {BODY_LIMIT} bytes: send fewer at once."
        )
    if not whole:
        raise _Refused(HTTPStatus.BAD_REQUEST, "The body was cut off on its way.")
    return body


def _no(status: HTTPStatus, words: str, *, errors: list[dict[str, object]] | None = None) -> HttpResponse:
    response = JsonResponse({"error": words, "errors": errors or []}, status=status)
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        response["Allow"] = "POST"
    elif status is HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    elif status is HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = str(RETRY_AFTER_S)
    return response
