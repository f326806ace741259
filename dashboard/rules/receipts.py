"""What the receiver decides about a request to a receiver URL: refuse it or take it, and what the log keeps of it.

- Form, signature and delivery ID are checked in this order; the first that fails is the reason of the refusal.
- A verified body that violates the contract is still taken: the log loses nothing.
- Of a request that is refused, only its headers and its body's size and hash are kept.
- An endpoint that is being routed through Redeliver ("waiting"), or whose secret nobody gave ("none"), passes on what
  is not verified. Its sender is a stranger, who is told the handler's status and no more.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus

from dashboard.rules import headers, json_limits
from dashboard.rules.attempts import BODY_LIMIT, AttemptResult, Event, Headers, Refusal
from dashboard.rules.causes import Cause, cause_of_answer
from dashboard.rules.outside_texts import moment, storable
from dashboard.signatures import HEADER as SIGNATURE
from dashboard.signatures import Verification, verify

HEADERS_KEPT = 60
VALUE_KEPT = 1000
ID_LIMIT = 200
TYPE_LIMIT = 100
NAME_KEPT = 200
ANSWER_HEAD = 4096
"""Bytes of the response kept with the attempt."""

REGISTERING = "registering"
"""Reason of a refusal that is not recorded: it ends within seconds, and OpenTrain tries again."""
REGISTERED_WITHIN = timedelta(minutes=1)
"""Time after which a registration has ended: a call to OpenTrain takes 15 s at most."""
REMADE = (
    "This endpoint was created outside Redeliver at the address of a deleted endpoint, so Redeliver does not know its "
    "signing secret. Enter the secret on the endpoint's page."
)

_FAILED_AS = {
    Cause.TIMEOUT: HTTPStatus.GATEWAY_TIMEOUT,
    Cause.LATE: HTTPStatus.GATEWAY_TIMEOUT,
    Cause.BUSY: HTTPStatus.SERVICE_UNAVAILABLE,
}

_Pairs = Sequence[tuple[str, str]]


class Refused(Exception):
    """The request is refused. `status` is the answer's, `reason` is for machines, and the text is for people.

    `endpoint_id` is the endpoint that it concerns, if that is not the one whose address it is.
    """

    def __init__(self, status: HTTPStatus, reason: str, explanation: str, *, endpoint_id: int | None = None) -> None:
        super().__init__(explanation)
        self.status = status
        self.reason = reason
        self.explanation = explanation
        self.endpoint_id = endpoint_id


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request to a known receiver URL: its headers in order, and its body, at most one byte over the limit.

    `whole` is False if the body ended before its announced length.
    """

    at: datetime
    headers: _Pairs
    body: bytes = field(repr=False)
    whole: bool

    def values(self, name: str) -> list[str]:
        return headers.values_of(self.headers, name)

    def claim(self, name: str, *, limit: int) -> str:
        """Return the first value of a header as storable text."""
        return storable("".join(self.values(name)[:1]), most=limit)


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to OpenTrain, and its cause. `handler_status` is None if the handler gave none."""

    status: int
    content_type: str
    body: bytes = field(repr=False)
    cause: Cause = Cause.NONE
    handler_status: int | None = None
    handler_headers: tuple[tuple[str, str], ...] = ()
    encoding: str = ""
    body_fault: Cause = Cause.NONE


RECEIPT = Reply(HTTPStatus.OK, "application/json", b'{"received": true}')
"""The answer where no handler is set."""


def check_form(arrival: Arrival) -> None:
    """Accept a request that can be a delivery by its type and length. Raises: Refused."""
    content_type = "".join(arrival.values("content-type")[:1]).partition(";")[0]
    if content_type.strip().lower() != "application/json":
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "content_type", "Deliveries are application/json.")
    if len(arrival.body) > BODY_LIMIT:
        words = f"The body is larger than {BODY_LIMIT} bytes."
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", words)
    if not arrival.whole:
        raise Refused(HTTPStatus.BAD_REQUEST, "cut_off", "The body was cut off on its way.")


def verified(arrival: Arrival, *, secret: str, others: Iterable[str] = ()) -> Verification:
    """Verify the signature with the endpoint's secret, and tell one of the install's `others` from an unknown one."""
    return verify(
        secret=secret,
        headers=arrival.values(SIGNATURE),
        body=arrival.body,
        now=int(arrival.at.timestamp()),
        other_secrets=others,
    )


def not_verified(found: Verification, *, remade: int | None) -> Refused:
    """Return the refusal of a request that failed verification; `remade` is the endpoint that is now at its URL."""
    explanation = found.explanation if remade is None else REMADE
    return Refused(HTTPStatus.UNAUTHORIZED, found.verdict.value, explanation, endpoint_id=remade)


def without_a_secret(arrival: Arrival, *, registering_since: datetime | None) -> Refused:
    """Return the refusal for an endpoint without a secret: it is being registered, or OpenTrain's answer was lost."""
    if registering_since is None or arrival.at - registering_since < REGISTERED_WITHIN:
        words = "This endpoint is still being registered. Try again later."
        return Refused(HTTPStatus.SERVICE_UNAVAILABLE, REGISTERING, words)
    words = "Redeliver does not know the signing secret of this endpoint. Rotate it on the endpoint's page."
    return Refused(HTTPStatus.SERVICE_UNAVAILABLE, "no_secret", words)


def event_of(arrival: Arrival) -> Event:
    """Return the event, as far as its body follows the contract; the signed body takes precedence over headers.

    Raises: Refused if the delivery has no usable ID.
    """
    ids = arrival.values("x-opentrain-delivery")
    delivery_id = ids[0] if ids else ""
    if not delivery_id.strip() or len(delivery_id) > ID_LIMIT or not delivery_id.isprintable():
        words = "X-OpenTrain-Delivery is missing, too long, or has invalid characters."
        raise Refused(HTTPStatus.BAD_REQUEST, "delivery_id", words)
    said = _parsed(arrival.body)
    return Event(
        delivery_id=delivery_id,
        event_id=_text(said, "id", limit=ID_LIMIT),
        event_type=_text(said, "type", limit=TYPE_LIMIT) or arrival.claim("x-opentrain-event", limit=TYPE_LIMIT),
        resource_id=_text(said, "resourceId", limit=ID_LIMIT),
        created_at=_moment(said, "createdAt"),
        body=arrival.body,
    )


def passed_back(
    *, status: int, answered: tuple[tuple[str, str], ...], body: bytes, body_fault: Cause = Cause.NONE
) -> Reply:
    """Return the handler's response as the answer: its status, its body, and the headers that describe the body."""
    content_type = _sendable(answered, "content-type") or "application/octet-stream"
    encoding = _sendable(answered, "content-encoding") if body else ""
    cause = cause_of_answer(status=status)
    return Reply(status, content_type, body, cause, status, answered, encoding, body_fault)


def failed(*, cause: Cause, words: str) -> Reply:
    """Return the answer where the handler gave none."""
    status = _FAILED_AS.get(cause, HTTPStatus.BAD_GATEWAY)
    return Reply(status, "application/json", _json({"error": words, "reason": cause.value}), cause)


def told_to_strangers(reply: Reply) -> Reply:
    """Return what the sender of a request that was not verified is told: the status, and nothing of the handler's."""
    body = _json({"signature": "not verified"})
    return Reply(reply.status, "application/json", body, reply.cause, reply.handler_status)


def result_of(
    arrival: Arrival, reply: Reply, *, handler_url: str, latency_ms: int, signature: str, is_gone: bool
) -> AttemptResult:
    """Return the attempt as the log keeps it. `is_gone` says that OpenTrain is known to get no answer."""
    return AttemptResult(
        received_at=arrival.at,
        request_headers=kept(arrival.headers),
        answered_status=reply.status,
        cause=Cause.GONE.value if is_gone and not reply.cause else reply.cause.value,
        handler_url=handler_url,
        handler_status=reply.handler_status,
        latency_ms=latency_ms,
        response_headers=kept(reply.handler_headers or (("Content-Type", reply.content_type),)),
        response_head=reply.body[:ANSWER_HEAD],
        signature=signature,
        body_fault=reply.body_fault.value,
        answered_in_time=False if is_gone else None,
    )


def refusal_of(arrival: Arrival, refused: Refused) -> Refusal:
    """Return the refused request as the log keeps it."""
    return Refusal(
        received_at=arrival.at,
        reason=refused.reason,
        explanation=refused.explanation,
        answered_status=refused.status,
        claimed_delivery_id=arrival.claim("x-opentrain-delivery", limit=ID_LIMIT),
        claimed_event_type=arrival.claim("x-opentrain-event", limit=TYPE_LIMIT),
        request_headers=kept(arrival.headers),
        body_size=len(arrival.body),
        body_sha256="" if len(arrival.body) > BODY_LIMIT else hashlib.sha256(arrival.body).hexdigest(),
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


def _sendable(given: _Pairs, name: str) -> str:
    """Return the first value of the handler's header if it can be forwarded, else an empty string."""
    value = headers.first_of(given, name) or ""
    return value if value.isascii() and value.isprintable() and len(value) <= VALUE_KEPT else ""


def kept(given: _Pairs) -> Headers:
    """Return headers for the log, limited in number and length. Their column hides secrets (db/fields.py)."""
    return [[storable(name, most=NAME_KEPT), storable(value, most=VALUE_KEPT)] for name, value in given[:HEADERS_KEPT]]


def _json(said: dict[str, object]) -> bytes:
    return json.dumps(said).encode()
