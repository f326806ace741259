"""The door that OpenTrain's deliveries come in by: verify, ask the partner's handler, record, answer.

What is chosen here, and why:
- The attempt is committed before OpenTrain is answered: what was answered 2xx is in the log.
- The first thing is to look up the key in the database, so that a database that is down is noticed before the handler
  is called: OpenTrain gets a 503 and tries again.
- An attempt that cannot be recorded after the handler was called is answered 503, whatever the handler said, so that
  nothing is believed that was not stored. OpenTrain sends it again, and the handler knows it by its delivery ID.
- The database's connection goes back to the pool while the handler is asked: slow handlers use up no connections.
- Only so many threads wait for handlers, and for one endpoint's (HANDLER_WAITS), so that a hanging handler takes down
  neither the pages nor the other endpoints. A delivery beyond that is answered 503 with Retry-After at once, and
  recorded as an attempt (cause `busy`): OpenTrain counts it as a failure, and the log says what OpenTrain counts.
- A verified body that is not what the contract promises is recorded and passed on all the same: the log loses nothing.
"""

import hashlib
import json
import logging
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.db import Error as DatabaseFailed
from django.db import connection
from django.http import HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from dashboard import metrics
from dashboard.actions.deliveries import record
from dashboard.actions.deliveries.record import Refusal
from dashboard.middleware.request_body import read_body
from dashboard.models import Endpoint
from dashboard.rules import headers, json_limits
from dashboard.rules.attempts import BODY_LIMIT, AttemptResult, Event, Headers
from dashboard.rules.causes import Cause, cause_of_answer
from dashboard.rules.schedule import HANDLER_DEADLINE
from dashboard.services import handler
from dashboard.services.handler import HandlerAnswer, HandlerFailed
from dashboard.signatures import HEADER as SIGNATURE
from dashboard.signatures import OTHERS_TRIED, Verdict, verify
from dashboard.vault import Unreadable

DEADLINE_S = HANDLER_DEADLINE.total_seconds()
RESERVE_S = 0.05
"""What of it is kept for recording the attempt."""
HEADERS_KEPT = 60
VALUE_KEPT = 1000
ID_LIMIT = 200
ANSWER_HEAD = 4096
"""How many bytes of the answer are kept with the attempt."""
RETRY_AFTER_S = 5
"""What a 503 says about coming again. OpenTrain keeps its own schedule; others in between may read it."""

_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FAILED_AS = {Cause.TIMEOUT: HTTPStatus.GATEWAY_TIMEOUT, Cause.BUSY: HTTPStatus.SERVICE_UNAVAILABLE}

logger = logging.getLogger(__name__)


class _Refused(Exception):
    """The request is not taken. `status` is the answer's, `reason` a word for machines, the text is for people."""

    def __init__(self, status: HTTPStatus, reason: str, explanation: str) -> None:
        super().__init__(explanation)
        self.status = status
        self.reason = reason
        self.explanation = explanation


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A request to a known door: when it came (on both clocks), and its bytes, one more than the limit at most.

    `whole` is False for a body that ended before its announced end.
    """

    endpoint: Endpoint
    at: datetime
    started: float
    headers: list[tuple[str, str]]
    body: bytes = field(repr=False)
    whole: bool

    def values(self, name: str) -> list[str]:
        return headers.values_of(self.headers, name)

    def claim(self, name: str, *, limit: int) -> str:
        """Return the first value of a header as text that can be stored."""
        return _storable("".join(self.values(name)[:1]), limit=limit)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started


@dataclass(frozen=True, slots=True)
class _Reply:
    """What OpenTrain is answered, and how it came about."""

    status: int
    content_type: str
    body: bytes = field(repr=False)
    cause: Cause = Cause.NONE
    handler_status: int | None = None
    handler_headers: tuple[tuple[str, str], ...] = ()
    encoding: str = ""


@csrf_exempt
def receive(request: WSGIRequest, key: str) -> HttpResponse:
    """Take one delivery. Always an answer with the right status; never a redirect, never a page."""
    started, at = time.monotonic(), timezone.now()
    if settings.SECURE_SSL_REDIRECT and not request.is_secure():
        return _no(HTTPStatus.FORBIDDEN, "plain_http", "Deliveries are taken over https only.")
    try:
        return _answer(request, key=key, started=started, at=at)
    except (DatabaseFailed, Unreadable):
        logger.exception("a delivery could not be taken; OpenTrain is asked to try again")
        return _no(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "Redeliver cannot take this now. Try again later.")


def _answer(request: WSGIRequest, *, key: str, started: float, at: datetime) -> HttpResponse:
    endpoint = Endpoint.objects.at_door(key) if _KEY.fullmatch(key) else None
    if endpoint is None:
        return _no(HTTPStatus.NOT_FOUND, "not_found", "Not found.")
    if request.method != "POST":
        response = _no(HTTPStatus.METHOD_NOT_ALLOWED, "method", "Deliveries are sent by POST.")
        response["Allow"] = "POST"
        return response
    body, whole = read_body(request, limit=BODY_LIMIT)
    arrival = _Arrival(endpoint, at, started, _headers(request), body, whole)
    try:
        event = _accept(arrival, content_type=request.content_type or "")
    except _Refused as refused:
        if refused.status is not HTTPStatus.SERVICE_UNAVAILABLE:
            record.record_refusal(endpoint=endpoint, refusal=_refusal(arrival, refused))
        return _no(refused.status, refused.reason, refused.explanation)
    reply = _ask(arrival)
    record.record_attempt(endpoint=endpoint, event=event, result=_result(arrival, reply))
    metrics.count_receipt(result=reply.cause.value or "delivered", seconds=arrival.elapsed_s)
    return _response(reply)


def _headers(request: WSGIRequest) -> list[tuple[str, str]]:
    """Return the headers in their order. WSGI forgets how names are spelled; OpenTrain's own are spelled as it does."""
    return [(name.replace("Opentrain", "OpenTrain"), value) for name, value in request.headers.items()]


def _accept(arrival: _Arrival, *, content_type: str) -> Event:
    """Return what the delivery is about, once it is known to be OpenTrain's. Raises: _Refused."""
    if content_type != "application/json":
        raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "content_type", "Deliveries are application/json.")
    if len(arrival.body) > BODY_LIMIT:
        words = f"The body is larger than {BODY_LIMIT} bytes."
        raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", words)
    if not arrival.whole:
        raise _Refused(HTTPStatus.BAD_REQUEST, "cut_off", "The body was cut off on its way.")
    _verify(arrival)
    ids = arrival.values("x-opentrain-delivery")
    delivery_id = ids[0] if ids else ""
    if not delivery_id.strip() or len(delivery_id) > ID_LIMIT or not delivery_id.isprintable():
        words = "X-OpenTrain-Delivery is missing, too long, or has characters that an ID does not have."
        raise _Refused(HTTPStatus.BAD_REQUEST, "delivery_id", words)
    return _event(arrival, delivery_id=delivery_id)


def _verify(arrival: _Arrival) -> None:
    endpoint = arrival.endpoint
    if endpoint.secret is None:
        words = "This endpoint is still being registered. Try again later."
        raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, "registering", words)
    found = verify(
        secret=endpoint.secret.reveal(),
        headers=arrival.values(SIGNATURE),
        body=arrival.body,
        now=int(arrival.at.timestamp()),
        other_secrets=_other_secrets(endpoint),
    )
    if found.verdict is not Verdict.VERIFIED:
        raise _Refused(HTTPStatus.UNAUTHORIZED, found.verdict.value, found.explanation)


def _other_secrets(endpoint: Endpoint) -> Iterator[str]:
    """Give the secrets of the install's other endpoints, the newest; the database is asked only when one is wanted."""
    others = Endpoint.objects.filter(install=endpoint.install_id, secret__isnull=False).exclude(pk=endpoint.pk)
    for other in others.order_by("-id")[:OTHERS_TRIED]:
        if other.secret is not None:
            yield other.secret.reveal()


def _event(arrival: _Arrival, *, delivery_id: str) -> Event:
    """Read a verified body as far as it is what the contract promises; the signed body is believed before headers."""
    said = _parsed(arrival.body)
    return Event(
        delivery_id=delivery_id,
        event_id=_text(said, "id", limit=200),
        event_type=_text(said, "type", limit=100) or arrival.claim("x-opentrain-event", limit=100),
        resource_id=_text(said, "resourceId", limit=200),
        created_at=_moment(said, "createdAt"),
        body=arrival.body,
    )


def _parsed(body: bytes) -> dict[str, object]:
    try:
        said = json_limits.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _text(said: dict[str, object], name: str, *, limit: int) -> str:
    value = said.get(name)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return _storable(str(value), limit=limit) if isinstance(value, str) or is_whole else ""


def _moment(said: dict[str, object], name: str) -> datetime | None:
    """Return a time of the contract's form; anything else is no time, and the delivery is kept all the same."""
    try:
        moment = datetime.fromisoformat(str(said.get(name)))
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _storable(text: str, *, limit: int) -> str:
    """Return text that PostgreSQL can hold: no NUL, no lone surrogate, no longer than its column."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()[:limit]


def _ask(arrival: _Arrival) -> _Reply:
    """Return what the handler says to it; a plain receipt when there is none."""
    if not arrival.endpoint.handler_url:
        return _Reply(HTTPStatus.OK, "application/json", b'{"received": true}')
    _release_connection()
    try:
        answer = handler.ask(
            url=arrival.endpoint.handler_url,
            headers=arrival.headers,
            body=arrival.body,
            deadline_s=max(DEADLINE_S - RESERVE_S - arrival.elapsed_s, 0),
            owner=str(arrival.endpoint.pk),
        )
    except HandlerFailed as failed:
        status = _FAILED_AS.get(failed.cause, HTTPStatus.BAD_GATEWAY)
        body = json.dumps({"error": failed.words, "reason": failed.cause.value}).encode()
        return _Reply(status, "application/json", body, failed.cause)
    return _passed_back(answer)


def _release_connection() -> None:
    """Give the connection back to the pool; the next query takes one again."""
    if not connection.in_atomic_block:
        connection.close()


def _passed_back(answer: HandlerAnswer) -> _Reply:
    content_type = _header(answer, "content-type") or "application/octet-stream"
    cause = cause_of_answer(status=answer.status)
    encoding = _header(answer, "content-encoding") if answer.body else ""
    return _Reply(answer.status, content_type, answer.body, cause, answer.status, answer.headers, encoding)


def _header(answer: HandlerAnswer, name: str) -> str:
    """Return the first value of the handler's header if it can be sent on, else nothing."""
    value = headers.first_of(answer.headers, name) or ""
    return value if value.isascii() and value.isprintable() and len(value) <= VALUE_KEPT else ""


def _result(arrival: _Arrival, reply: _Reply) -> AttemptResult:
    return AttemptResult(
        received_at=arrival.at,
        request_headers=_kept(arrival.headers),
        answered_status=reply.status,
        cause=reply.cause.value,
        handler_url=arrival.endpoint.handler_url,
        handler_status=reply.handler_status,
        latency_ms=round(arrival.elapsed_s * 1000),
        response_headers=_kept(reply.handler_headers or (("Content-Type", reply.content_type),)),
        response_head=reply.body[:ANSWER_HEAD],
    )


def _refusal(arrival: _Arrival, refused: _Refused) -> Refusal:
    return Refusal(
        received_at=arrival.at,
        reason=refused.reason,
        explanation=refused.explanation,
        answered_status=refused.status,
        claimed_delivery_id=arrival.claim("x-opentrain-delivery", limit=200),
        claimed_event_type=arrival.claim("x-opentrain-event", limit=100),
        request_headers=_kept(arrival.headers),
        body_size=len(arrival.body),
        body_sha256="" if len(arrival.body) > BODY_LIMIT else hashlib.sha256(arrival.body).hexdigest(),
    )


def _kept(given: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> Headers:
    """Return headers for the log: so many, so long, and without the values that let somebody in somewhere."""
    return [
        [
            _storable(name, limit=200),
            headers.REDACTED if name.lower() in headers.CREDENTIALS else _storable(value, limit=VALUE_KEPT),
        ]
        for name, value in given[:HEADERS_KEPT]
    ]


def _response(reply: _Reply) -> HttpResponse:
    response = HttpResponse(reply.body, status=reply.status, content_type=reply.content_type)
    if reply.encoding:
        response["Content-Encoding"] = reply.encoding
    if reply.cause is Cause.BUSY:
        response["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _no(status: HTTPStatus, reason: str, explanation: str) -> HttpResponse:
    metrics.count_receipt(result=f"not taken: {reason}")
    response = JsonResponse({"error": explanation, "reason": reason}, status=status)
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = str(RETRY_AFTER_S)
    return response
