"""One call to OpenTrain: asked within its limits, a GET again where that helps, and read or refused.

Choices where the contract is silent:
- A GET is tried again, at most twice, when no answer came (not after a TLS fault, which stays) and on 429, 502, 503
  and 504, after `Retry-After` or a jittered pause; never past the deadline. A write is sent once.
- Any 5xx on a write is `OutcomeUnknown`, with OpenTrain's envelope or without: a server that failed says nothing on
  what it had done by then, and it may fail after its commit. A 4xx says by itself that nothing was done.
- A 2xx or 3xx to a write that cannot be read is `OutcomeUnknown` too: something in front of OpenTrain may have
  written it, before or after OpenTrain saw the request.
- The answer is asked for uncompressed, and a compressed one refused: nothing is ever inflated.

The loop is our own and not urllib3's Retry: that one waits as long as a `Retry-After` tells it to and knows no
deadline over all tries.
"""

import email.utils
import json
import logging
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote

from django.conf import settings

from dashboard import logs, metrics
from dashboard.rules.causes import Cause
from dashboard.rules.headers import first_of
from dashboard.services.http import client as http_client
from dashboard.services.http.client import HttpAnswer, NoAnswer
from dashboard.services.opentrain import types
from dashboard.services.opentrain.errors import NotFound, OpenTrainError, Refusal, Unauthorized, failed, unanswered
from dashboard.services.opentrain.types import Malformed
from dashboard.vault import Secret

logger = logging.getLogger("dashboard.services.opentrain")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a call may take and how much it may bring. `total_s` is over all tries and the pauses between them."""

    connect_s: float = 3.05
    read_s: float = 10
    total_s: float = 15
    max_bytes: int = 1024 * 1024
    tries: int = 3
    pause_s: float = 0.5


LIMITS = Limits()

_RETRIED_CAUSES = {Cause.DNS, Cause.REFUSED, Cause.CONNECTION, Cause.TIMEOUT}
_RETRIED_STATUSES = {429, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class Call:
    """One operation. `look` is what the person is to look at when nobody knows whether a write was taken."""

    method: str
    path: str
    endpoint_id: str | None = None
    payload: Mapping[str, Any] | None = None
    look: str | None = None

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    @property
    def url(self) -> str:
        path = self.path.replace("{id}", quote(self.endpoint_id or "", safe=""))
        return settings.OPENTRAIN_BASE_URL.rstrip("/") + path


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What the last try came to, and how long all of them took."""

    last: HttpAnswer | NoAnswer
    tries: int
    elapsed_ms: int


def call(operation: Call, *, token: Secret, read: Callable[[Mapping[str, Any]], T]) -> T:
    """Make the call and return what `read` makes of its answer's object. Raises: OpenTrainError."""
    _check(operation, token)
    outcome = _ask(operation, token)
    request_id = _request_id(outcome.last, token)
    _log(operation, outcome, request_id)
    if isinstance(outcome.last, NoAnswer):
        raise unanswered(outcome.last, look=operation.look, elapsed_ms=outcome.elapsed_ms, request_id=request_id)
    result = _result(operation, outcome.last, token=token, read=read, request_id=request_id)
    if isinstance(result, OpenTrainError):
        raise result  # Here, where no handler is: a chained exception's frames would hold the answer and its secrets.
    return result


def _result(
    operation: Call,
    answer: HttpAnswer,
    *,
    token: Secret,
    read: Callable[[Mapping[str, Any]], T],
    request_id: str | None,
) -> T | OpenTrainError:
    refusal, why = None, ""
    try:
        body = _body(answer, token)
        if 200 <= answer.status < 300:  # noqa: PLR2004
            return read(body)
        refusal = types.refusal(answer.status, body, request_id=request_id)
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
    """Refuse here what cannot even be asked. Raises: Unauthorized, NotFound."""
    if not re.fullmatch(r"[\x21-\x7e]+", token.reveal()):
        said = "This is not a token: it is empty, or has a space or another character that no token has."
        raise Unauthorized(said, refusal=Refusal(401, "UNAUTHORIZED", said, None))
    if operation.endpoint_id in {"", ".", ".."}:  # As a part of a path these would name something else.
        said = "OpenTrain has no endpoint with this ID."
        raise NotFound(said, refusal=Refusal(404, "NOT_FOUND", said, None))


def _ask(operation: Call, token: Secret) -> _Outcome:
    """Send the call, a GET again where that may help, until there is an answer to keep or no time left."""
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
            max_bytes=LIMITS.max_bytes,
        )
    except NoAnswer as error:
        return error


def _pause_s(operation: Call, last: HttpAnswer | NoAnswer, tries: int) -> float | None:
    """Return how long to wait before the next try, in seconds; None when there is to be none."""
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
    """Return what Retry-After says, in seconds from now; None when it is missing or makes no sense."""
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
    """Return the answer's object, without the token should a server echo it. Raises: Malformed."""
    if 300 <= answer.status < 400:  # noqa: PLR2004
        raise Malformed("it is a redirect, and those are not followed")
    if (answer.header("Content-Encoding") or "identity").lower() != "identity":
        raise Malformed("it is compressed, which was not asked for")
    return types.parse(answer.body.replace(token.reveal().encode(), b"[secret]"))


def _request_id(last: HttpAnswer | NoAnswer, token: Secret) -> str | None:
    """Return the request ID for support: the answer's own, or that of its header."""
    value = (first_of(last.headers, "X-Request-Id") or "").replace(token.reveal(), "[secret]")
    from_header = types.clean(value, most=types.ID_CHARS) or None
    if isinstance(last, NoAnswer):
        return from_header
    try:
        return types.request_id_of(_body(last, token)) or from_header
    except Malformed:
        return from_header


def _log(operation: Call, outcome: _Outcome, request_id: str | None) -> None:
    """Tell what a call came to, with OpenTrain's own request ID: its support asks for that one."""
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
