"""Ask the partner's own handler: the delivery as it came, one time, within a deadline.

What is passed on is every byte of the body and every end-to-end header, so that the handler verifies the signature
itself. Hop-by-hop headers stay on their hop (RFC 9110, 7.6.1), Host is the handler's own, and only `Via` is added.
A redirect is an answer like any other, because OpenTrain follows none.

The URL is a partner's, so only public addresses are dialled, unless HANDLER_PRIVATE_ADDRESSES allows all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.conf import settings

from dashboard.rules.causes import Cause
from dashboard.rules.headers import is_name, is_value
from dashboard.services.bulkhead import Full, Waits
from dashboard.services.http.client import HttpAnswer, NoAnswer, exchange

ANSWER_LIMIT = 1024 * 1024
"""An answer's body over this many bytes is refused: nobody reads so long an answer to a webhook."""
ANSWER_KEPT = 64 * 1024
"""How many bytes of an answer's body are given back; the rest is cut off."""
VIA = "1.1 redeliver"

_NOT_PASSED_ON = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "expect", "host", "content-length",
}  # fmt: skip
_STATUSES = range(200, 600)

_waits = Waits()

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class HandlerAnswer:
    """What the handler answered. `body` is as it came on the wire, cut to ANSWER_KEPT bytes."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    latency_ms: int


class HandlerFailed(Exception):
    """The handler gave no answer that can be passed on. `words` say why, for a person."""

    def __init__(self, *, cause: Cause, words: str) -> None:
        super().__init__(words)
        self.cause = cause
        self.words = words


def ask(*, url: str, headers: Headers, body: bytes, deadline_s: float, owner: str = "") -> HandlerAnswer:
    """POST the delivery to the handler and return its answer, whatever its status.

    `headers` are those that came to us; those that go on are chosen here. The call is over within `deadline_s` seconds.
    Where as many threads wait for handlers as may (HANDLER_WAITS), or for those of this `owner`
    (HANDLER_WAITS_OF_ENDPOINT), it fails at once with BUSY.

    Raises: HandlerFailed.
    """
    try:
        with _waits.one(name=owner, most=settings.HANDLER_WAITS, most_of_name=settings.HANDLER_WAITS_OF_ENDPOINT):
            sent = passed_on(headers=headers)
            answer = _call(method="POST", url=url, headers=sent, body=body, deadline_s=deadline_s)
    except Full as error:
        words = "Your handler was not called: too many earlier calls are still waiting for an answer."
        raise HandlerFailed(cause=Cause.BUSY, words=words) from error
    except NoAnswer as error:
        raise HandlerFailed(cause=error.cause, words=f"Your handler: {error}.") from error
    if answer.status not in _STATUSES:
        raise HandlerFailed(cause=Cause.GARBLED, words="Your handler: the answer's status is not a final one.")
    return _given_back(answer)


def probe(*, url: str, deadline_s: float) -> HandlerAnswer:
    """Ask the handler whether it answers at all, by a HEAD request, and return what it answered.

    HEAD, because it asks for nothing to be done: an unsigned POST would be counted as an attack by a handler that
    verifies, and taken for an event by one that does not. Most handlers answer 405, which is an answer; a proxy whose
    handler is down answers 502 to 504. What a handler does with a delivery is only told by a delivery.

    Raises: HandlerFailed.
    """
    try:
        answer = _call(method="HEAD", url=url, headers=[("Via", VIA)], body=None, deadline_s=deadline_s)
    except NoAnswer as error:
        raise HandlerFailed(cause=error.cause, words=f"Your handler: {error}.") from error
    return _given_back(answer)


def _call(
    *, method: str, url: str, headers: list[tuple[str, str]], body: bytes | None, deadline_s: float
) -> HttpAnswer:
    return exchange(
        method=method,
        url=url,
        headers=headers,
        body=body,
        connect_s=deadline_s,
        read_s=deadline_s,
        total_s=deadline_s,
        max_bytes=ANSWER_LIMIT,
        public_only=not settings.HANDLER_PRIVATE_ADDRESSES,
    )


def passed_on(*, headers: Headers) -> list[tuple[str, str]]:
    """Return the end-to-end headers, in their order, with our hop added to Via."""
    named = {name for key, value in headers if key.lower() == "connection" for name in _listed(value)}
    stopped = _NOT_PASSED_ON | named
    kept = [(key, value) for key, value in headers if key.lower() not in stopped and _sendable(key, value)]
    hops = [value for key, value in kept if key.lower() == "via"]
    return [(key, value) for key, value in kept if key.lower() != "via"] + [("Via", ", ".join([*hops, VIA]))]


def _listed(value: str) -> list[str]:
    return [name.strip().lower() for name in value.split(",")]


def _sendable(name: str, value: str) -> bool:
    """Whether it can be sent as a header at all; a server in front of us should have refused it otherwise."""
    return is_name(name) and is_value(value)


def _given_back(answer: HttpAnswer) -> HandlerAnswer:
    body = answer.body
    if len(body) > ANSWER_KEPT:
        # The half of a compressed body is no body: whoever inflates it would take the whole answer for broken.
        body = b"" if answer.header("Content-Encoding") else body[:ANSWER_KEPT]
    return HandlerAnswer(answer.status, answer.headers, body, answer.elapsed_ms)
