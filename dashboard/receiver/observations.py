"""The observations API: partners' handlers report deliveries in batches. See docs/observations.md.

A call is stored completely or not at all, and can be repeated: known observations are counted and change nothing.
Unlike a delivery, a call needs the database: the key is looked up there first, and while it is away a call gets a 503.

Each endpoint may make OBSERVATION_CALLS_PER_MINUTE calls, counted before the body is read and whatever their outcome.
The minute begins with its first call; calls over the limit get a Retry-After for its end. Calls of one endpoint are
stored one after the other, half a second each at most. Few calls are read and stored at once in a process (AT_ONCE),
each in a thread; further calls are told to retry.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web
from django.conf import settings
from django.db import Error as DatabaseFailed
from django.utils import timezone

from dashboard import metrics
from dashboard.actions import observation_keys
from dashboard.actions.deliveries import observations
from dashboard.models import Endpoint
from dashboard.models.pacing import count_call
from dashboard.receiver import db_threads
from dashboard.receiver.bodies import is_refused_as_plain, read_body
from dashboard.rules import observations as observed
from dashboard.rules import pasted
from dashboard.rules.secret_texts import OBSERVATION_KEY_START
from dashboard.services.bulkhead import Full, Waits
from dashboard.vault import Secret

BODY_LIMIT = 2 * 1024 * 1024
RETRY_AFTER_S = 5
AT_ONCE, AT_ONCE_OF_ENDPOINT = 8, 2
"""Concurrent calls per process, and per endpoint."""
THREADS, WAITING = 16, 64
"""Threads for calls, more than AT_ONCE so that a call is refused while others are read, and calls that wait for one."""
_waits = Waits()

logger = logging.getLogger(__name__)


class _Refused(Exception):
    """The call is refused. The text is for people."""

    def __init__(self, status: HTTPStatus, words: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(words)
        self.status, self.retry_after_s = status, retry_after_s


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the API. `headers` have names without case. `read_body` reads the body up to a limit; see bodies.py."""

    method: str
    headers: Mapping[str, str] = field(repr=False)
    is_plain: bool
    read_body: Callable[[int], tuple[bytes, bool]]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer: its status, its JSON, and its headers."""

    status: int
    said: dict[str, object]
    headers: dict[str, str] = field(default_factory=dict)


class Observations:
    """The API on one event loop."""

    def __init__(self) -> None:
        self._threads = db_threads.DatabaseThreads(name="observations", most=THREADS, waiting=WAITING)

    def close(self) -> None:
        """Let the threads end with the calls that they have."""
        self._threads.close()

    async def receive(self, request: web.BaseRequest) -> web.StreamResponse:
        """Take up to 1,000 observations. Always answers with JSON, never with a redirect or a page."""
        loop = asyncio.get_running_loop()

        def read(limit: int) -> tuple[bytes, bool]:
            return asyncio.run_coroutine_threadsafe(read_body(request, limit=limit), loop).result()

        call = Call(request.method, request.headers, is_refused_as_plain(request), read)
        try:
            answer = await self._threads.run(lambda: take(call))
        except db_threads.Full:
            answer = _full()
        metrics.count_observations(status=answer.status)
        return web.json_response(answer.said, status=answer.status, headers=answer.headers)


def take(call: Call) -> Answer:
    """Take the observations of a call."""
    try:
        endpoint = _endpoint(call)
        _keep_pace(endpoint)
        with _waits.one(name=str(endpoint.pk), most=AT_ONCE, most_of_name=AT_ONCE_OF_ENDPOINT):
            told = observed.read(_body(call), now=timezone.now())
            recorded = observations.record(endpoint=endpoint, observations=told)
    except _Refused as refused:
        return _no(refused.status, str(refused), retry_after_s=refused.retry_after_s)
    except Full:
        return _full()
    except observed.BadRequest as bad:
        return _no(HTTPStatus.BAD_REQUEST, str(bad), errors=bad.errors)
    except DatabaseFailed:
        logger.exception("observations could not be taken; the sender is asked to try again")
        words = "Redeliver cannot accept this now. Try again later."
        return _no(HTTPStatus.SERVICE_UNAVAILABLE, words, retry_after_s=RETRY_AFTER_S)
    return Answer(HTTPStatus.OK, {"stored": recorded.stored, "known": recorded.known})


def _endpoint(call: Call) -> Endpoint:
    """Return the endpoint whose key the call carries. Raises: _Refused."""
    if call.is_plain:
        raise _Refused(HTTPStatus.FORBIDDEN, "Observations are accepted over https only.")
    if call.method != "POST":
        raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED, "Observations are sent by POST.")
    given = _as_text(call.headers.get("Authorization", ""))
    scheme, _, key = given.partition(" ")
    endpoint = observation_keys.endpoint_of(key=Secret(key.strip())) if scheme.lower() == "bearer" else None
    if endpoint is None:
        raise _Refused(
            HTTPStatus.UNAUTHORIZED,
            f"Send the endpoint's key as 'Authorization: Bearer {OBSERVATION_KEY_START}…'. {pasted.not_a_key(given)}",
        )
    return endpoint


def _as_text(header: str) -> str:
    """Return a header whose bytes are UTF-8, or else Latin-1: aiohttp gives bytes that are not UTF-8 as surrogates."""
    try:
        header.encode()
    except UnicodeEncodeError:
        return header.encode("utf-8", "surrogateescape").decode("latin-1")
    return header


def _keep_pace(endpoint: Endpoint) -> None:
    """Count the call. Raises: _Refused if the endpoint has used up its calls for this minute."""
    most = settings.OBSERVATION_CALLS_PER_MINUTE
    calls, left = count_call(endpoint_id=endpoint.pk, now=timezone.now())
    if calls > most:
        wait_s = max(math.ceil(left.total_seconds()), 1)
        words = f"Limit: {most} calls a minute per endpoint. Retry in {wait_s} s, with more observations per call."
        raise _Refused(HTTPStatus.TOO_MANY_REQUESTS, words, retry_after_s=wait_s)


def _body(call: Call) -> bytes:
    """Return the JSON body. Raises: _Refused if it has another type, is too large or incomplete."""
    content_type = call.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if content_type != "application/json" or call.headers.get("Content-Encoding", "identity") != "identity":
        raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Observations are application/json, not compressed.")
    body, whole = call.read_body(BODY_LIMIT)
    if len(body) > BODY_LIMIT:
        raise _Refused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"The body is larger than {BODY_LIMIT} bytes. Send fewer observations per call.",
        )
    if not whole:
        raise _Refused(HTTPStatus.BAD_REQUEST, "The body was cut off on its way.")
    return body


def _full() -> Answer:
    return _no(HTTPStatus.TOO_MANY_REQUESTS, "Other calls are being stored. Try again.", retry_after_s=1)


def _no(
    status: HTTPStatus,
    words: str,
    *,
    errors: list[dict[str, object]] | None = None,
    retry_after_s: int | None = None,
) -> Answer:
    headers: dict[str, str] = {}
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = "POST"
    elif status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    return Answer(status, {"error": words, "errors": errors or []}, headers)
