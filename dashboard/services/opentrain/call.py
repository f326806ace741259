"""One call to OpenTrain within limits, with retries of a GET, and its response or error.

Choices that the contract leaves open:
- A GET is retried at most twice: without a response (except after a TLS error, which persists) and on 429, 502, 503 and
  504, after `Retry-After` or a jittered pause, and never past the deadline. A write is sent once.
- Any 5xx to a write is `OutcomeUnknown`, with or without OpenTrain's envelope: it does not say what the server did
  before it failed, and it may fail after its commit. A 4xx means that nothing was done.
- An unreadable 2xx or 3xx to a write is `OutcomeUnknown` too: a proxy in front of OpenTrain may have sent it, before or
  after OpenTrain got the request.
- The response is requested uncompressed, and a compressed one is refused: nothing is ever decompressed.

It does not use urllib3's Retry, which waits as long as `Retry-After` says and has no deadline over all tries.
"""

import email.utils
import json
import logging
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from django.conf import settings

from dashboard import logs, metrics
from dashboard.rules import json_limits
from dashboard.rules.causes import Cause
from dashboard.rules.headers import first_of
from dashboard.services.http import client as http_client
from dashboard.services.http.client import HttpAnswer, NoAnswer
from dashboard.services.opentrain import types
from dashboard.services.opentrain.errors import (
    NotFound,
    OpenTrainError,
    Refusal,
    Unauthorized,
    failed,
    too_long,
    unanswered,
)
from dashboard.services.opentrain.types import Malformed, TooLong
from dashboard.vault import Secret

logger = logging.getLogger("dashboard.services.opentrain")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a call: seconds, bytes of the response, tries. `total_s` includes all tries and pauses."""

    connect_s: float = 3.05
    read_s: float = 10
    total_s: float = 15
    max_bytes: int = 1024 * 1024
    tries: int = 3
    pause_s: float = 0.5


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class LongList:
    """Limits of a list that OpenTrain never pages: bytes of the response, and the seconds beyond LIMITS for its body.
    It is the list of these `things`.

    10,000 endpoints take 4.1 MiB with usual URLs and 23.6 MiB with the longest ones; reading the latter takes 92 MiB of
    memory (docs/measured.md).
    """

    things: str
    max_bytes: int = 32 * 1024 * 1024
    body_s: float = 30


_RETRIED_CAUSES = {Cause.DNS, Cause.REFUSED, Cause.CONNECTION, Cause.TIMEOUT}
_RETRIED_STATUSES = {429, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class Call:
    """One operation. `look` says what to check if it is unknown whether OpenTrain processed a write.

    `long` is given if the response may be a long list. `resource_id` takes the place of {id} in the path; `noun` says
    what it is the ID of.
    """

    method: str
    path: str
    resource_id: str | None = None
    noun: str = "endpoint"
    query: Mapping[str, str] | None = None
    payload: Mapping[str, Any] | None = None
    look: str | None = None
    long: LongList | None = None

    @property
    def max_bytes(self) -> int:
        return self.long.max_bytes if self.long else LIMITS.max_bytes

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    @property
    def url(self) -> str:
        path = self.path.replace("{id}", quote(self.resource_id or "", safe=""))
        query = f"?{urlencode(self.query)}" if self.query else ""
        return settings.OPENTRAIN_BASE_URL.rstrip("/") + path + query


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The result of the last try, the number of tries, and their total duration."""

    last: HttpAnswer | NoAnswer
    tries: int
    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class _Parsed:
    """The JSON object of a response, or `why` it has none."""

    body: Mapping[str, Any] = field(repr=False)
    why: str = ""
    is_too_long: bool = False


def call(operation: Call, *, token: Secret, read: Callable[[Mapping[str, Any]], T]) -> T:
    """Make the call and return the JSON object of its response, converted by `read`. Raises: OpenTrainError."""
    _check(operation, token)
    outcome = _ask(operation, token)
    parsed = _parsed(outcome.last, token)
    request_id = _request_id(outcome.last, parsed, token)
    _log(operation, outcome, request_id)
    if operation.long and (limit := _limit_passed(operation, outcome.last, parsed)):
        raise too_long(things=operation.long.things, limit=limit, request_id=request_id)
    if isinstance(outcome.last, NoAnswer):
        raise unanswered(outcome.last, look=operation.look, elapsed_ms=outcome.elapsed_ms, request_id=request_id)
    result = _result(operation, outcome.last, parsed=parsed, read=read, request_id=request_id)
    if isinstance(result, OpenTrainError):
        raise result  # Outside of a handler: a chained exception's frames would hold the response and its secrets.
    return result


def _parsed(last: HttpAnswer | NoAnswer, token: Secret) -> _Parsed:
    if isinstance(last, NoAnswer):
        return _Parsed({})
    try:
        return _Parsed(_body(last, token))
    except Malformed as error:
        return _Parsed({}, why=str(error), is_too_long=isinstance(error, TooLong))


def _limit_passed(operation: Call, last: HttpAnswer | NoAnswer, parsed: _Parsed) -> str:
    """Return in what way a list is longer than Redeliver reads; empty if it is not."""
    if last.status != HTTPStatus.OK:
        return ""
    if isinstance(last, NoAnswer) and last.cause is Cause.TOO_LARGE:
        return f"is larger than {operation.max_bytes // 2**20} MiB"
    return f"has more than {json_limits.VALUES:,} values" if parsed.is_too_long else ""


def _result(
    operation: Call,
    answer: HttpAnswer,
    *,
    parsed: _Parsed,
    read: Callable[[Mapping[str, Any]], T],
    request_id: str | None,
) -> T | OpenTrainError:
    refusal, why = None, parsed.why
    try:
        if not why and 200 <= answer.status < 300:  # noqa: PLR2004
            return read(parsed.body)
        refusal = None if why else types.refusal(answer.status, parsed.body, request_id=request_id)
    except Malformed as error:
        why = str(error)
    return failed(
        answer.status,
        refusal,
        why=why,
        look=operation.look,
        request_id=request_id,
        retry_after_s=_retry_after_s(answer),
    )


def _check(operation: Call, token: Secret) -> None:
    """Refuse a token or ID that cannot be sent. Raises: Unauthorized, NotFound."""
    if not re.fullmatch(r"[\x21-\x7e]+", token.reveal()):
        said = "This is not a token: it is empty or contains a space or another invalid character."
        raise Unauthorized(said, refusal=Refusal(401, "UNAUTHORIZED", said, None))
    if operation.resource_id in {"", ".", ".."}:  # As path segments these would address another resource.
        said = f"OpenTrain has no {operation.noun} with this ID."
        raise NotFound(said, refusal=Refusal(404, "NOT_FOUND", said, None))


def _ask(operation: Call, token: Secret) -> _Outcome:
    """Send the call, and repeat a GET that may succeed, until there is a final result or no time left."""
    started = time.monotonic()
    tries = 0
    while True:
        tries += 1
        last = _once(operation, token, left_s=started + LIMITS.total_s - time.monotonic())
        pause_s = _pause_s(operation, last, tries)
        elapsed_s = time.monotonic() - started
        if pause_s is None or elapsed_s + pause_s >= LIMITS.total_s:
            return _Outcome(last, tries, round(elapsed_s * 1000))
        time.sleep(pause_s)


def _once(operation: Call, token: Secret, *, left_s: float) -> HttpAnswer | NoAnswer:
    headers: list[tuple[str, str | Secret]] = [
        ("Authorization", Secret(f"Bearer {token.reveal()}")),
        ("Accept", "application/json"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", "Redeliver"),
    ]
    if operation.payload is not None:
        headers.append(("Content-Type", "application/json"))
    try:
        return http_client.exchange(
            method=operation.method,
            url=operation.url,
            headers=headers,
            body=None if operation.payload is None else json.dumps(operation.payload).encode(),
            connect_s=LIMITS.connect_s,
            read_s=LIMITS.read_s,
            total_s=left_s,
            max_bytes=operation.max_bytes,
            body_s=operation.long.body_s if operation.long else 0,
        )
    except NoAnswer as error:
        return error


def _pause_s(operation: Call, last: HttpAnswer | NoAnswer, tries: int) -> float | None:
    """Return the pause before the next try, in seconds; None if there is no next try."""
    if operation.writes or tries >= LIMITS.tries:
        return None
    jittered_s: float = LIMITS.pause_s * 2 ** (tries - 1) * random.uniform(0.5, 1)  # noqa: S311 - no secret
    if isinstance(last, NoAnswer):
        return jittered_s if last.cause in _RETRIED_CAUSES else None
    if last.status not in _RETRIED_STATUSES:
        return None
    after_s = _retry_after_s(last)
    return jittered_s if after_s is None else max(after_s, jittered_s)


def _retry_after_s(answer: HttpAnswer) -> int | None:
    """Return Retry-After in seconds from now; None if it is missing or invalid."""
    value = (answer.header("Retry-After") or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return int(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0, round((moment - datetime.now(UTC)).total_seconds()))
    except (ValueError, OverflowError):
        return None


def _body(answer: HttpAnswer, token: Secret) -> Mapping[str, Any]:
    """Return the response's JSON object, with the token redacted in case a server echoes it. Raises: Malformed."""
    if 300 <= answer.status < 400:  # noqa: PLR2004
        raise Malformed("it is a redirect, which is not followed")
    if (answer.header("Content-Encoding") or "identity").lower() != "identity":
        raise Malformed("it is compressed, which was not requested")
    return types.parse(answer.body.replace(token.reveal().encode(), b"[secret]"))


def _request_id(last: HttpAnswer | NoAnswer, parsed: _Parsed, token: Secret) -> str | None:
    """Return the request ID for support, from the body or else from the header."""
    value = (first_of(last.headers, "X-Request-Id") or "").replace(token.reveal(), "[secret]")
    from_header = types.clean(value, most=types.REQUEST_ID_CHARS) or None
    return types.request_id_of(parsed.body) or from_header


def _log(operation: Call, outcome: _Outcome, request_id: str | None) -> None:
    """Log and count the result of a call, with OpenTrain's request ID, which its support asks for."""
    last = outcome.last
    result = last.cause.value if isinstance(last, NoAnswer) else str(last.status)
    name = f"{operation.method} {operation.path}"
    metrics.count_call(call=name, result=result, seconds=outcome.elapsed_ms / 1000)
    well = isinstance(last, HttpAnswer) and last.status < 400  # noqa: PLR2004
    logger.log(
        logging.INFO if well else logging.WARNING,
        "%s: %s in %d ms, tries: %d, request %s",
        name,
        result,
        outcome.elapsed_ms,
        outcome.tries,
        request_id or "unknown",
        extra={logs.OPENTRAIN_REQUEST_ID: request_id},
    )
