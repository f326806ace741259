"""Errors of calls to OpenTrain, named for what the caller does about them, with messages for people.

`str(error)` is the full message: what happened, what it means, what to do. No message contains a token.

Only the message of a write says whether something was changed. A read changes nothing, and its message stands beside
that of a write whose outcome is unknown, on the same page.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from urllib.parse import urlsplit

from django.conf import settings

from dashboard.rules.causes import Cause
from dashboard.services.http.client import NoAnswer


class Reason(StrEnum):
    """Why OpenTrain is `Unavailable`."""

    ADDRESS = "address"
    DNS = "dns"
    REFUSED = "refused"
    TLS = "tls"
    CONNECTION = "connection"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"


class OpenTrainError(Exception):
    """A call without a successful response. `request_id` is the ID that OpenTrain's support asks for."""

    def __init__(self, message: str, *, request_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.request_id = request_id


class Unavailable(OpenTrainError):
    """Try again later: nothing was changed. `status` is None if there was no response."""

    def __init__(
        self, message: str, *, reason: Reason, status: int | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.reason = reason
        self.status = status


class RateLimited(Unavailable):
    """Try again after `retry_after_s` seconds; None if OpenTrain did not say when."""

    def __init__(self, message: str, *, retry_after_s: int | None, request_id: str | None = None) -> None:
        super().__init__(message, reason=Reason.RATE_LIMITED, status=429, request_id=request_id)
        self.retry_after_s = retry_after_s


class Rejected(OpenTrainError):
    """Show it: OpenTrain understood the call and refused it; nothing was changed.

    `said` is OpenTrain's own message, `code` its unchanged code, `details` its details with each value as text.
    """

    def __init__(self, message: str, *, refusal: "Refusal") -> None:
        super().__init__(message, request_id=refusal.request_id)
        self.status = refusal.status
        self.code = refusal.code
        self.said = refusal.said
        self.details = refusal.details


class Unauthorized(Rejected):
    """401: the token is missing, unknown or revoked. It must be replaced."""


class Forbidden(Rejected):
    """403: the token lacks the scope, or the install or the platform app is not active."""


class NotFound(Rejected):
    """404: this install has no such endpoint or delivery; another install may have."""


class BadResponse(OpenTrainError):
    """The response is not one of OpenTrain's; nothing was changed."""

    def __init__(self, message: str, *, status: int | None, request_id: str | None = None) -> None:
        super().__init__(message, request_id=request_id)
        self.status = status


class OutcomeUnknown(OpenTrainError):
    """A write that may or may not have taken effect. Tell the user; never repeat it automatically.

    `status` is None without a response, otherwise that of the response, which was a 5xx or could not be read.
    """

    def __init__(self, message: str, *, status: int | None = None, request_id: str | None = None) -> None:
        super().__init__(message, request_id=request_id)
        self.status = status


@dataclass(frozen=True, slots=True)
class Refusal:
    """OpenTrain's error envelope, made safe to show."""

    status: int
    code: str
    said: str
    request_id: str | None
    details: Mapping[str, str] = field(default_factory=dict)


_REFUSALS: Mapping[int, tuple[type[Rejected], str]] = {
    401: (Unauthorized, "Ask the customer to connect again, then replace this install's token."),
    403: (Forbidden, "Check that the install is active and that its token has the scope this needs."),
    404: (NotFound, "It may have been deleted since this page was loaded: reload the page."),
    409: (Rejected, "Something else changed it at the same time: reload the page and look again."),
}
_CORRECT_IT = "Correct it, then send it again."
_ASK_SUPPORT = "Try again in a minute; if that does not help, ask OpenTrain's support."
_UNUSABLE = {
    Cause.GARBLED: "it is not HTTP",
    Cause.CUT_OFF: "it was cut off",
    Cause.TOO_LARGE: "it is too large",
}


def unanswered(no_answer: NoAnswer, *, look: str | None, elapsed_ms: int, request_id: str | None) -> OpenTrainError:
    """Return the exception for a call without a complete response.

    `look` is given for a write, and only for a write: what to check if it is unknown whether OpenTrain processed it.
    """
    cause, status = no_answer.cause, no_answer.status
    if cause in _UNUSABLE:
        return _unusable(_UNUSABLE[cause], look=look, status=status, request_id=request_id)
    what = _what_happened(no_answer, elapsed_ms=elapsed_ms)
    if look and no_answer.sent:
        message = f"{what} The request may have been taken. {look}"
        return OutcomeUnknown(message, status=status, request_id=request_id)
    stays = cause in {Cause.TLS, Cause.ADDRESS}
    advice = "Check" if stays else "Try again in a minute; if that does not help, check"
    message = f"{what}{_unchanged(look)} {advice} this server's network and its OPENTRAIN_BASE_URL."
    return Unavailable(message, reason=Reason(cause), status=status, request_id=request_id)


def failed(
    status: int,
    refusal: Refusal | None,
    *,
    why: str,
    look: str | None,
    request_id: str | None,
    retry_after_s: int | None,
) -> OpenTrainError:
    """Return the exception for a response that is not a success: a `refusal`, or `why` the response is unreadable.

    `look` is the same as in `unanswered`.
    """
    request_id = refusal.request_id if refusal else request_id
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return _rate_limited(refusal, look=look, retry_after_s=retry_after_s, request_id=request_id)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _broken(status, refusal, look=look, request_id=request_id)
    if refusal:
        return _rejected(refusal, look=look)
    return _unusable(why, look=look, status=status, request_id=request_id)


def too_long(*, things: str, limit: str, request_id: str | None) -> BadResponse:
    """Return the exception for a list of `things` that is longer than Redeliver reads; `limit` says in what way."""
    message = (
        f"OpenTrain's list of {things} {limit}, the most that Redeliver reads "
        f"{_label(HTTPStatus.OK, None, request_id)}. "
        f"Redeliver keeps the last list that it read. Delete {things} that are no longer used: "
        "Redeliver reads the list again when it is small enough."
    )
    return BadResponse(message, status=HTTPStatus.OK, request_id=request_id)


def _what_happened(no_answer: NoAnswer, *, elapsed_ms: int) -> str:
    host = urlsplit(settings.OPENTRAIN_BASE_URL).hostname
    detail = f" ({no_answer.detail})" if no_answer.detail else ""
    return {
        Cause.TIMEOUT: f"OpenTrain did not answer within {max(1, round(elapsed_ms / 1000))} s.",
        Cause.DNS: f"OpenTrain cannot be reached: the name {host} could not be found.",
        Cause.REFUSED: f"OpenTrain cannot be reached: {host} refused the connection.",
        Cause.TLS: f"OpenTrain cannot be reached safely: {host} could not be verified{detail}.",
        Cause.ADDRESS: "OpenTrain cannot be reached: its address is not a valid URL.",
    }.get(no_answer.cause, f"The connection to OpenTrain broke before its answer came{detail}.")


def _unchanged(look: str | None) -> str:
    """Return the sentence that only a write that had no effect says; empty for a read."""
    return " Nothing was changed." if look else ""


def _rate_limited(
    refusal: Refusal | None, *, look: str | None, retry_after_s: int | None, request_id: str | None
) -> RateLimited:
    when = "in a minute" if retry_after_s is None else f"in {_span(retry_after_s)}"
    message = (
        f"OpenTrain gets too many requests from this install {_label(429, refusal, request_id)}."
        f"{_unchanged(look)} Try again {when}."
    )
    return RateLimited(message, retry_after_s=retry_after_s, request_id=request_id)


def _broken(status: int, refusal: Refusal | None, *, look: str | None, request_id: str | None) -> OpenTrainError:
    said = f": {_quoted(refusal)}" if refusal else "."
    where = _label(status, refusal, request_id)
    if look:
        message = f"OpenTrain failed to complete the request {where}{said} It may have taken effect anyway. {look}"
        return OutcomeUnknown(message, status=status, request_id=request_id)
    message = f"OpenTrain failed to answer {where}{said} {_ASK_SUPPORT}"
    return Unavailable(message, reason=Reason.SERVER_ERROR, status=status, request_id=request_id)


def _rejected(refusal: Refusal, *, look: str | None) -> Rejected:
    """Return the exception for a 4xx response, by its status. An unknown code is shown unchanged."""
    kind, advice = _REFUSALS.get(refusal.status, (Rejected, _CORRECT_IT if look else _ASK_SUPPORT))
    where = _label(refusal.status, refusal, refusal.request_id)
    message = f"OpenTrain refused: {_quoted(refusal)} {where}.{_unchanged(look)} {advice}"
    return kind(message, refusal=refusal)


def _unusable(why: str, *, look: str | None, status: int | None, request_id: str | None) -> OpenTrainError:
    """Return the exception for an unreadable response. Only a 4xx status proves that a write had no effect."""
    what = f"OpenTrain's answer cannot be used: {why} {_label(status, None, request_id)}."
    if look and (status is None or not 400 <= status < 500):  # noqa: PLR2004
        message = f"{what} The request may have been taken. {look}"
        return OutcomeUnknown(message, status=status, request_id=request_id)
    message = (
        f"{what}{_unchanged(look)} Something between this server and OpenTrain may have answered instead. "
        "Try again in a minute; if that does not help, check OPENTRAIN_BASE_URL."
    )
    return BadResponse(message, status=status, request_id=request_id)


def _quoted(refusal: Refusal) -> str:
    """Return OpenTrain's own words in quotation marks."""
    return f"“{refusal.said}”" if refusal.said else "no reason given"


def _label(status: int | None, refusal: Refusal | None, request_id: str | None) -> str:
    """Return `(403 FORBIDDEN, request 9d1f…)`, without the parts that are unknown."""
    words = "no status" if status is None else f"{status} {refusal.code}" if refusal else f"status {status}"
    return f"({words}, request {request_id})" if request_id else f"({words})"


def _span(seconds: int) -> str:
    """Return a waiting time in words: in seconds up to two minutes, then in minutes, then in hours."""
    if seconds <= 120:  # noqa: PLR2004
        return f"{seconds} s"
    return f"about {-(-seconds // 60)} min" if seconds <= 7200 else f"about {-(-seconds // 3600)} h"  # noqa: PLR2004
