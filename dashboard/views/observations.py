"""The observations API: partners' handlers report deliveries in batches. See docs/observations.md.

A call is stored completely or not at all, and can be repeated: known observations are counted and change nothing. Like
the receiver, it queries the database first, so a database that is down gives a 503 before anything is read.

Each endpoint may make OBSERVATION_CALLS_PER_MINUTE calls, counted before the body is read and whatever their outcome.
The minute begins with its first call; calls over the limit get a Retry-After for its end. Calls of one endpoint are
stored one after the other, half a second each at most. Waiting threads are not available to the receiver, so few may
wait in a process (AT_ONCE); further calls are told to retry.
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
from dashboard.rules import pasted
from dashboard.rules.secret_texts import OBSERVATION_KEY_START
from dashboard.services.bulkhead import Full, Waits
from dashboard.vault import Secret

BODY_LIMIT = 2 * 1024 * 1024
RETRY_AFTER_S = 5
AT_ONCE, AT_ONCE_OF_ENDPOINT = 8, 2
"""Concurrent calls per process, which has 16 threads, and per endpoint."""
_waits = Waits()

logger = logging.getLogger(__name__)


class _Refused(Exception):
    """The call is refused. The text is for people."""

    def __init__(self, status: HTTPStatus, words: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(words)
        self.status, self.retry_after_s = status, retry_after_s


@csrf_exempt
def receive(request: WSGIRequest) -> HttpResponse:
    """Take up to 1,000 observations. Always answers with JSON, never with a redirect or a page."""
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
        return _no(HTTPStatus.TOO_MANY_REQUESTS, "Other calls are being stored. Try again.", retry_after_s=1)
    except observed.BadRequest as bad:
        return _no(HTTPStatus.BAD_REQUEST, str(bad), errors=bad.errors)
    except DatabaseFailed:
        logger.exception("observations could not be taken; the sender is asked to try again")
        words = "Redeliver cannot accept this now. Try again later."
        return _no(HTTPStatus.SERVICE_UNAVAILABLE, words, retry_after_s=RETRY_AFTER_S)
    return JsonResponse({"stored": recorded.stored, "known": recorded.known})


def _endpoint(request: WSGIRequest) -> Endpoint:
    """Return the endpoint whose key the call carries. Raises: _Refused."""
    if settings.SECURE_SSL_REDIRECT and not request.is_secure():
        raise _Refused(HTTPStatus.FORBIDDEN, "Observations are accepted over https only.")
    if request.method != "POST":
        raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED, "Observations are sent by POST.")
    given = request.META.get("HTTP_AUTHORIZATION", "")
    scheme, _, key = given.partition(" ")
    endpoint = observation_keys.endpoint_of(key=Secret(key.strip())) if scheme.lower() == "bearer" else None
    if endpoint is None:
        raise _Refused(
            HTTPStatus.UNAUTHORIZED,
            f"Send the endpoint's key as 'Authorization: Bearer {OBSERVATION_KEY_START}…'. "
            f"{pasted.not_a_key(_as_utf8(given))}",
        )
    return endpoint


def _as_utf8(header: str) -> str:
    """Return a header as its sender wrote it, if that was UTF-8: WSGI gives each byte as a character."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header


def _keep_pace(endpoint: Endpoint) -> None:
    """Count the call. Raises: _Refused if the endpoint has used up its calls for this minute."""
    most = settings.OBSERVATION_CALLS_PER_MINUTE
    calls, left = count_call(endpoint_id=endpoint.pk, now=timezone.now())
    if calls > most:
        wait_s = max(math.ceil(left.total_seconds()), 1)
        words = f"Limit: {most} calls a minute per endpoint. Retry in {wait_s} s, with more observations per call."
        raise _Refused(HTTPStatus.TOO_MANY_REQUESTS, words, retry_after_s=wait_s)


def _body(request: WSGIRequest) -> bytes:
    """Return the JSON body. Raises: _Refused if it has another type, is too large or incomplete."""
    if (
        request.content_type != "application/json"
        or request.META.get("HTTP_CONTENT_ENCODING", "identity") != "identity"
    ):
        raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Observations are application/json, not compressed.")
    body, whole = read_body(request, limit=BODY_LIMIT)
    if len(body) > BODY_LIMIT:
        raise _Refused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"The body is larger than {BODY_LIMIT} bytes. Send fewer observations per call.",
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
