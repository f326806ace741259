"""The error envelope, and the exceptions that it is made from.

Source: partner-api, "Error envelope". It has no code for a wrong method or an unusable body. A wrong method gets 405
and `Allow` with the code BAD_REQUEST, because the status says more than a code can. A body that is missing, too large
or of the wrong type gets a plain 400.
"""

import functools
import logging
import uuid
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase

logger = logging.getLogger(__name__)

CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "BAD_REQUEST",
    409: "CONFLICT",
    429: "RATE_LIMITED",
    500: "INTERNAL_ERROR",
}


class ApiError(Exception):
    """A response that is not 2xx. The message is for people; `details` is for programs."""

    status = 500

    def __init__(self, message: str, *, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details or {}


class BadRequest(ApiError):
    status = 400


class Unauthorized(ApiError):
    status = 401


class Forbidden(ApiError):
    status = 403


class NotFound(ApiError):
    status = 404


class Conflict(ApiError):
    """What the request is about is not in the state that it needs."""

    status = 409


class RateLimited(ApiError):
    """Too many calls; `retry_after` is in seconds."""

    status = 429

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message, details={"retryAfter": retry_after})
        self.retry_after = retry_after


def request_id(request: HttpRequest) -> str:
    """Return the request's ID; the first call creates it."""
    found: str | None = getattr(request, "partner_api_request_id", None)
    if found is None:
        found = str(uuid.uuid4())
        request.partner_api_request_id = found  # type: ignore[attr-defined]
    return found


def envelope(request: HttpRequest, *, status: int, message: str, details: dict[str, Any] | None = None) -> HttpResponse:
    """Return an error response in the shape that all errors have."""
    body = {"error": message, "code": CODES[status], "requestId": request_id(request), "details": details or {}}
    return stamped(request, JsonResponse(body, status=status))


def stamped(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Add the request's ID to a response, whatever its status: support asks for it."""
    response["X-Request-Id"] = request_id(request)
    return response


def from_exception(request: HttpRequest, error: ApiError) -> HttpResponse:
    response = envelope(request, status=error.status, message=error.message, details=error.details)
    if isinstance(error, Unauthorized):
        response["WWW-Authenticate"] = "Bearer"
    if isinstance(error, RateLimited):
        response["Retry-After"] = str(error.retry_after)
    return response


def crashed(request: HttpRequest, error: Exception) -> HttpResponse:
    """Return a 500 for an unexpected exception. The log gets the traceback and the request's ID, the caller the ID."""
    logger.error("Request %s failed", request_id(request), exc_info=error)
    return internal(request)


def internal(request: HttpRequest) -> HttpResponse:
    message = "Something went wrong on our side. Try again; if that does not help, quote the requestId to support."
    return envelope(request, status=500, message=message)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:  # noqa: ARG001 - Django's signature
    return envelope(request, status=404, message="There is no such path. GET openapi.json lists all operations.")


def server_error(request: HttpRequest) -> HttpResponse:
    return internal(request)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django's signature
    return envelope(request, status=400, message="The request could not be understood.")


def enveloped(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponse]:
    """Wrap a ninja view: ninja answers a wrong method in plain text, and adds no request ID."""

    @functools.wraps(view)
    def wrapper(request: HttpRequest, **captured: str) -> HttpResponse:
        response = view(request, **captured)
        if response.status_code == 405:  # noqa: PLR2004 - method not allowed
            allow = ", ".join(sorted(part.strip() for part in response["Allow"].split(",")))
            message = f"{request.method} is not possible here; use {allow}."
            response = envelope(request, status=405, message=message, details={"allow": allow.split(", ")})
            response["Allow"] = allow
        assert isinstance(response, HttpResponse)  # noqa: S101 - nothing here streams
        return stamped(request, response)

    return wrapper
