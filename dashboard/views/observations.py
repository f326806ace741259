"""The observations API: partners' handlers tell what they saw, in batches. docs/observations.md describes it.

A call is stored whole or not at all, and may be sent again: what is known already is counted and changes nothing. Like
the receiver it asks the database first, so that one that is down is a 503 before anything was read.

An endpoint has so many calls a minute (OBSERVATION_CALLS_PER_MINUTE), counted before the body is read and whatever
becomes of them. The minute begins with its first call; one call too many is told by Retry-After when it ends. Calls of
one endpoint are stored one after the other, half a second each at most, and threads that wait are not there for the
receiver: so few may wait in a process (AT_ONCE), and others are told to come again.
"""

import logging
import math
from http import HTTPStatus

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.db import Error as DatabaseFailed
from django.http import HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from dashboard import metrics
from dashboard.actions import observation_keys
from dashboard.actions.deliveries import observations
from dashboard.middleware.request_body import read_body
from dashboard.models import Endpoint
from dashboard.models.pacing import count_call
from dashboard.rules import observations as observed
from dashboard.rules.secret_texts import OBSERVATION_KEY_START
from dashboard.services.bulkhead import Full, Waits
from dashboard.vault import Secret

BODY_LIMIT = 2 * 1024 * 1024
RETRY_AFTER_S = 5
AT_ONCE, AT_ONCE_OF_ENDPOINT = 8, 2
"""Calls that a process takes at once, of its 16 threads, and those of one endpoint."""
_waits = Waits()

logger = logging.getLogger(__name__)


class _Refused(Exception):
    """The call is not taken. The text is for people."""

    def __init__(self, status: HTTPStatus, words: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(words)
        self.status, self.retry_after_s = status, retry_after_s


@csrf_exempt
def receive(request: WSGIRequest) -> HttpResponse:
    """Take up to 1,000 observations. Always JSON; never a redirect, never a page."""
    response = _answer(request)
    metrics.count_observations(status=response.status_code)
    return response


def _answer(request: WSGIRequest) -> HttpResponse:
    try:
        endpoint = _endpoint(request)
        _keep_pace(endpoint)
        with _waits.one(name=str(endpoint.pk), most=AT_ONCE, most_of_name=AT_ONCE_OF_ENDPOINT):
            told = observed.read(_body(request), now=timezone.now())
            recorded = observations.record(endpoint=endpoint, observations=told)
    except _Refused as refused:
        return _no(refused.status, str(refused), retry_after_s=refused.retry_after_s)
    except Full:
        return _no(HTTPStatus.TOO_MANY_REQUESTS, "Others are being stored. Send this again.", retry_after_s=1)
    except observed.BadRequest as bad:
        return _no(HTTPStatus.BAD_REQUEST, str(bad), errors=bad.errors)
    except DatabaseFailed:
        logger.exception("observations could not be taken; the sender is asked to try again")
        words = "Redeliver cannot take this now. Send it again later."
        return _no(HTTPStatus.SERVICE_UNAVAILABLE, words, retry_after_s=RETRY_AFTER_S)
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
            f"Send the endpoint's key as 'Authorization: Bearer {OBSERVATION_KEY_START}…'; this one is not known.",
        )
    return endpoint


def _keep_pace(endpoint: Endpoint) -> None:
    """Count the call. Raises: _Refused, when the endpoint has had its calls of this minute."""
    most = settings.OBSERVATION_CALLS_PER_MINUTE
    calls, left = count_call(endpoint_id=endpoint.pk, now=timezone.now())
    if calls > most:
        wait_s = max(math.ceil(left.total_seconds()), 1)
        words = (
            f"An endpoint has {most} calls a minute. Send this again in {wait_s} s, with more observations in a call."
        )
        raise _Refused(HTTPStatus.TOO_MANY_REQUESTS, words, retry_after_s=wait_s)


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


def _no(
    status: HTTPStatus,
    words: str,
    *,
    errors: list[dict[str, object]] | None = None,
    retry_after_s: int | None = None,
) -> HttpResponse:
    response = JsonResponse({"error": words, "errors": errors or []}, status=status)
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        response["Allow"] = "POST"
    elif status is HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    if retry_after_s is not None:
        response["Retry-After"] = str(retry_after_s)
    return response
