"""The receiver for OpenTrain's deliveries: verify, forward to the partner's handler, record, answer.

Design choices:
- The attempt is committed before OpenTrain is answered, so everything answered 2xx is in the log.
- The key is looked up in the database first, so a database that is down is noticed before the handler is called:
  OpenTrain gets a 503 and retries.
- An attempt that can't be recorded after the handler was called is answered 503, whatever the handler said, so nothing
  counts as delivered that was not stored. OpenTrain retries, and the handler recognizes it by its delivery ID.
- The database connection returns to the pool during the call to the handler: slow handlers use no connections.
- The number of threads waiting for handlers is limited, in total and per endpoint (HANDLER_WAITS), so a hanging handler
  affects neither the pages nor other endpoints. A delivery over the limit is answered 503 with Retry-After at once and
  recorded as an attempt (cause `busy`): OpenTrain counts it as a failure, so the log does too.
- A verified body that violates the contract is still recorded and forwarded: the log loses nothing.
"""

import hashlib
import json
import logging
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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
from dashboard.middleware.request_body import read_body
from dashboard.models import Endpoint
from dashboard.rules import headers, json_limits
from dashboard.rules.attempts import BODY_LIMIT, AttemptResult, Event, Headers, Refusal
from dashboard.rules.causes import Cause, cause_of_answer
from dashboard.rules.outside_texts import moment, storable
from dashboard.rules.schedule import HANDLER_DEADLINE
from dashboard.services import handler
from dashboard.services.handler import HandlerAnswer, HandlerFailed
from dashboard.signatures import HEADER as SIGNATURE
from dashboard.signatures import OTHERS_TRIED, Verdict, verify
from dashboard.vault import Unreadable

DEADLINE_S = HANDLER_DEADLINE.total_seconds()
RESERVE_S = 0.05
"""Seconds of the deadline reserved for recording the attempt."""
HEADERS_KEPT = 60
VALUE_KEPT = 1000
ID_LIMIT = 200
TYPE_LIMIT = 100
NAME_KEPT = 200
ANSWER_HEAD = 4096
"""Bytes of the response kept with the attempt."""
RETRY_AFTER_S = 5
"""Retry-After of a 503, in seconds. OpenTrain has its own schedule, but proxies may use it."""

REGISTERING = "registering"
"""Reason of a refusal that is not recorded: it ends within seconds, and OpenTrain tries again."""
REGISTERED_WITHIN = timedelta(minutes=1)
"""Time after which a registration has ended: a call to OpenTrain takes 15 s at most."""
REMADE = (
    "This endpoint was created outside Redeliver at the address of a deleted endpoint, so Redeliver does not know its "
    "signing secret. Enter the secret on the endpoint's page."
)

_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FAILED_AS = {Cause.TIMEOUT: HTTPStatus.GATEWAY_TIMEOUT, Cause.BUSY: HTTPStatus.SERVICE_UNAVAILABLE}

logger = logging.getLogger(__name__)


class _Refused(Exception):
    """The request is refused. `status` is the answer's, `reason` is for machines, and the text is for people.

    `endpoint` is the endpoint that it concerns, if that is not the one whose address it is.
    """

    def __init__(self, status: HTTPStatus, reason: str, explanation: str, *, endpoint: Endpoint | None = None) -> None:
        super().__init__(explanation)
        self.status = status
        self.reason = reason
        self.explanation = explanation
        self.endpoint = endpoint


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A request to a known receiver URL: its time (on both clocks) and body, at most one byte over the limit.

    `whole` is False if the body ended before its announced length.
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
        """Return the first value of a header as storable text."""
        return storable("".join(self.values(name)[:1]), most=limit)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started


@dataclass(frozen=True, slots=True)
class _Reply:
    """The answer to OpenTrain, and its cause."""

    status: int
    content_type: str
    body: bytes = field(repr=False)
    cause: Cause = Cause.NONE
    handler_status: int | None = None
    handler_headers: tuple[tuple[str, str], ...] = ()
    encoding: str = ""


@csrf_exempt
def receive(request: WSGIRequest, key: str) -> HttpResponse:
    """Take one delivery. Always answers with the right status, never with a redirect or a page."""
    started, at = time.monotonic(), timezone.now()
    if settings.SECURE_SSL_REDIRECT and not request.is_secure():
        return _no(HTTPStatus.FORBIDDEN, "plain_http", "Deliveries are accepted over https only.")
    try:
        return _answer(request, key=key, started=started, at=at)
    except (DatabaseFailed, Unreadable):
        logger.exception("a delivery could not be taken; OpenTrain is asked to try again")
        return _no(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "Redeliver cannot accept this now. Try again later.")


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
        if refused.reason != REGISTERING:
            record.record_refusal(endpoint=refused.endpoint or endpoint, refusal=_refusal(arrival, refused))
        return _no(refused.status, refused.reason, refused.explanation)
    reply = _ask(arrival)
    record.record_attempt(endpoint=endpoint, event=event, result=_result(arrival, reply))
    metrics.count_receipt(result=reply.cause.value or "delivered", seconds=arrival.elapsed_s)
    return _response(reply)


def _headers(request: WSGIRequest) -> list[tuple[str, str]]:
    """Return the headers in order. WSGI loses the case of names; OpenTrain's own get their original case back."""
    return [(name.replace("Opentrain", "OpenTrain"), value) for name, value in request.headers.items()]


def _accept(arrival: _Arrival, *, content_type: str) -> Event:
    """Return the event, after verifying that the delivery is OpenTrain's. Raises: _Refused."""
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
        words = "X-OpenTrain-Delivery is missing, too long, or has invalid characters."
        raise _Refused(HTTPStatus.BAD_REQUEST, "delivery_id", words)
    return _event(arrival, delivery_id=delivery_id)


def _verify(arrival: _Arrival) -> None:
    endpoint = arrival.endpoint
    if endpoint.secret is None:
        raise _without_a_secret(arrival)
    found = verify(
        secret=endpoint.secret.reveal(),
        headers=arrival.values(SIGNATURE),
        body=arrival.body,
        now=int(arrival.at.timestamp()),
        other_secrets=_other_secrets(endpoint),
    )
    if found.verdict is Verdict.VERIFIED:
        return
    remade = Endpoint.objects.remade_at(endpoint) if found.verdict is Verdict.MISMATCH else None
    explanation = found.explanation if remade is None else REMADE
    raise _Refused(HTTPStatus.UNAUTHORIZED, found.verdict.value, explanation, endpoint=remade)


def _without_a_secret(arrival: _Arrival) -> _Refused:
    """Return the refusal for an endpoint without a secret: it is being registered, or OpenTrain's answer was lost."""
    since = arrival.endpoint.registering_since
    if since is None or arrival.at - since < REGISTERED_WITHIN:
        words = "This endpoint is still being registered. Try again later."
        return _Refused(HTTPStatus.SERVICE_UNAVAILABLE, REGISTERING, words)
    words = "Redeliver does not know the signing secret of this endpoint. Rotate it on the endpoint's page."
    return _Refused(HTTPStatus.SERVICE_UNAVAILABLE, "no_secret", words)


def _other_secrets(endpoint: Endpoint) -> Iterator[str]:
    """Yield the secrets of the install's other endpoints, newest first; queries the database only when used."""
    others = Endpoint.objects.filter(install=endpoint.install_id, secret__isnull=False).exclude(pk=endpoint.pk)
    for other in others.order_by("-id")[:OTHERS_TRIED]:
        if other.secret is not None:
            yield other.secret.reveal()


def _event(arrival: _Arrival, *, delivery_id: str) -> Event:
    """Read a verified body as far as it follows the contract; the signed body takes precedence over headers."""
    said = _parsed(arrival.body)
    return Event(
        delivery_id=delivery_id,
        event_id=_text(said, "id", limit=ID_LIMIT),
        event_type=_text(said, "type", limit=TYPE_LIMIT) or arrival.claim("x-opentrain-event", limit=TYPE_LIMIT),
        resource_id=_text(said, "resourceId", limit=ID_LIMIT),
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
    return storable(str(value), most=limit) if isinstance(value, str) or is_whole else ""


def _moment(said: dict[str, object], name: str) -> datetime | None:
    """Return a time in the contract's format, else None: the delivery is kept anyway."""
    return moment(str(said.get(name)))


def _ask(arrival: _Arrival) -> _Reply:
    """Return the handler's response; a plain receipt if no handler is set."""
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
    """Return the connection to the pool; the next query takes one again."""
    if not connection.in_atomic_block:
        connection.close()


def _passed_back(answer: HandlerAnswer) -> _Reply:
    content_type = _header(answer, "content-type") or "application/octet-stream"
    cause = cause_of_answer(status=answer.status)
    encoding = _header(answer, "content-encoding") if answer.body else ""
    return _Reply(answer.status, content_type, answer.body, cause, answer.status, answer.headers, encoding)


def _header(answer: HandlerAnswer, name: str) -> str:
    """Return the first value of the handler's header if it can be forwarded, else an empty string."""
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
        claimed_delivery_id=arrival.claim("x-opentrain-delivery", limit=ID_LIMIT),
        claimed_event_type=arrival.claim("x-opentrain-event", limit=TYPE_LIMIT),
        request_headers=_kept(arrival.headers),
        body_size=len(arrival.body),
        body_sha256="" if len(arrival.body) > BODY_LIMIT else hashlib.sha256(arrival.body).hexdigest(),
    )


def _kept(given: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> Headers:
    """Return headers for the log, limited in number and length. Their column hides secrets (db/fields.py)."""
    return [[storable(name, most=NAME_KEPT), storable(value, most=VALUE_KEPT)] for name, value in given[:HEADERS_KEPT]]


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
