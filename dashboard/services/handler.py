"""Calls to the partner's handler: the unchanged delivery, or an event that Redeliver built, once, within a deadline.

All bytes of the body and all end-to-end headers are forwarded, so that the handler can verify the signature itself.
Hop-by-hop headers are not forwarded (RFC 9110, 7.6.1), Host is the handler's, and only `Via` is added. A redirect is
returned like any other response, because OpenTrain does not follow redirects.

Partners enter the URL, so only public addresses are allowed unless HANDLER_PRIVATE_ADDRESSES allows all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.conf import settings

from dashboard.rules.causes import Cause
from dashboard.rules.forwarding import HOP_BY_HOP
from dashboard.rules.headers import is_name, is_value, values_of
from dashboard.services.http.client import HttpAnswer, NoAnswer, exchange

ANSWER_LIMIT = 1024 * 1024
"""Maximum number of bytes of a response's body; a longer response is refused. Webhooks need far less."""
ANSWER_KEPT = 64 * 1024
"""Maximum number of bytes of a response's body to return; the rest is cut off."""
VIA = "1.1 redeliver"

_NOT_PASSED_ON = HOP_BY_HOP | {"expect", "host", "content-length"}
STATUSES = range(200, 600)
"""Statuses that a response can end with."""

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class HandlerAnswer:
    """The handler's response. `body` has the raw bytes, cut to ANSWER_KEPT.

    `body_fault` says what was wrong with the body, where the status decided anyway: TIMEOUT, CUT_OFF, TOO_LARGE or
    GARBLED (handler_calls.py).
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    latency_ms: int
    body_fault: Cause = Cause.NONE


class HandlerFailed(Exception):
    """The handler returned no response that can be forwarded. `words` explain why to people.

    `sent` is False if the request was certainly not sent; otherwise the handler may have processed it.
    """

    def __init__(self, *, cause: Cause, words: str, sent: bool = True) -> None:
        super().__init__(words)
        self.cause = cause
        self.words = words
        self.sent = sent


def probe(*, url: str, deadline_s: float) -> HandlerAnswer:
    """Send a HEAD request to check that the handler responds, and return its response.

    HEAD requests no action: a handler that verifies signatures may treat an unsigned POST as an attack, and one that
    does not may treat it as an event. Most handlers return 405, which is a response; a proxy whose handler is down
    returns 502 to 504. Only a delivery shows what a handler does with a delivery.

    Raises: HandlerFailed.
    """
    try:
        answer = _call(method="HEAD", url=url, headers=[("Via", VIA)], body=None, deadline_s=deadline_s)
    except NoAnswer as error:
        raise HandlerFailed(cause=error.cause, words=f"The handler: {error}.") from error
    return given_back(answer)


def send(*, url: str, headers: Headers, body: bytes, deadline_s: float) -> HandlerAnswer:
    """POST a body of Redeliver's own to the handler once, with exactly these headers and Via; return its response.

    The limits are those of a forwarded delivery. The status decides: what is wrong with the response's body is noted in
    the answer.

    Raises: HandlerFailed.
    """
    try:
        answer = _call(
            method="POST", url=url, headers=[*headers, ("Via", VIA)], body=body, deadline_s=deadline_s, cap=True
        )
    except NoAnswer as error:
        if error.status is None:
            words = f"The handler: {error}."
            raise HandlerFailed(cause=error.cause, words=words, sent=error.sent) from error
        answer = HttpAnswer(error.status, error.headers, b"", error.elapsed_ms, truncated=False, fault=error.cause)
    if answer.status not in STATUSES:
        raise HandlerFailed(cause=Cause.GARBLED, words="The handler: the answer's status is not a final status.")
    return given_back(answer)


def _call(
    *, method: str, url: str, headers: list[tuple[str, str]], body: bytes | None, deadline_s: float, cap: bool = False
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
        cap=cap,
        extra_ca_file=settings.EXTRA_CA_BUNDLE,
        public_only=not settings.HANDLER_PRIVATE_ADDRESSES,
    )


def passed_on(*, headers: Headers) -> list[tuple[str, str]]:
    """Return the end-to-end headers, in their order, with Redeliver added to Via."""
    named = {name for key, value in headers if key.lower() == "connection" for name in _listed(value)}
    stopped = _NOT_PASSED_ON | named
    kept = [(key, value) for key, value in headers if key.lower() not in stopped and _sendable(key, value)]
    hops = [value for key, value in kept if key.lower() == "via"]
    return [(key, value) for key, value in kept if key.lower() != "via"] + [("Via", ", ".join([*hops, VIA]))]


def _listed(value: str) -> list[str]:
    return [name.strip().lower() for name in value.split(",")]


def _sendable(name: str, value: str) -> bool:
    """Return whether it is a valid header; a server in front of Redeliver should refuse any other."""
    return is_name(name) and is_value(value)


def refuse_loop(*, headers: Headers) -> None:
    """Accept a request that has not passed through Redeliver before. Raises: HandlerFailed for one that has."""
    hops = [hop.split() for value in values_of(headers, "via") for hop in value.split(",")]
    if any(hop[1:2] == VIA.split()[1:] for hop in hops):
        words = f"The handler was not called: its URL leads back to Redeliver (Via: {VIA})."
        raise HandlerFailed(cause=Cause.LOOP, words=words)


def given_back(answer: HttpAnswer) -> HandlerAnswer:
    """Return the response as it is passed back and recorded."""
    body = answer.body
    if len(body) > ANSWER_KEPT or answer.fault:
        # Drop a compressed body that is not whole: clients that decompress it would reject the whole response.
        body = b"" if answer.header("Content-Encoding") else body[:ANSWER_KEPT]
    return HandlerAnswer(answer.status, answer.headers, body, answer.elapsed_ms, answer.fault)
