"""One safe POST and its outcome.

It is sent as calls to handlers are (services/http/connections.py): the URL as it was written, no redirects, no cookies,
no proxies from the environment, no decompression. A host's next address is tried beside one that does not answer. The
status decides: once it has arrived within the time-out, a body that is slow, cut off or endless does not change the
outcome.

Connections are kept for a second, because a TLS handshake costs more than a delivery. If the receiver has closed a kept
connection, that is no failure of the receiver: the POST is repeated at once on another connection, as part of the same
attempt. (It may then arrive twice; deliveries can, and receivers deduplicate by delivery ID.)

`egress` checks addresses where sockets are created, so it checks the address that is actually connected to.
"""

import ssl
from collections.abc import Mapping
from datetime import timedelta
from typing import Self
from urllib.parse import urlsplit

from dashboard import addresses
from dashboard.addresses import LOCAL_HOSTS
from dashboard.partner_api import egress
from dashboard.partner_api.policy import RESPONSE_HEAD_BYTES, Cause, Outcome, answered
from dashboard.services.http import connections
from dashboard.services.http.client import NoAnswer

USER_AGENT = "OpenTrain-Partner-Webhooks/1.0"
BODY_BYTES = 64 * 1024
"""How much of a response's body is read, in bytes. A connection with more of it is closed."""

_OF_US = [("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Accept-Encoding", "identity")]
_CAUSES = {cause.value: cause for cause in (Cause.TIMEOUT, Cause.REFUSED, Cause.DNS, Cause.TLS, Cause.DENIED)}
_DETAILS = {
    "connection": "closed without an answer",
    "cut_off": "closed within the headers of the answer",
    "garbled": "what came was not HTTP",
    "too_large": "the headers of the answer were too large",
    "address": "the URL cannot be called",
}
"""Details of failures for which the system has no words, by the name of their cause."""
_BUSY = "busy"


class NotSent(Exception):
    """This machine could not send, for example with too many open files. The receiver did not fail; try again later."""


class Session:
    """The connections of one delivery run, an async context manager. The engine limits the POSTs in flight."""

    def __init__(self, *, ssl_context: ssl.SSLContext) -> None:
        self.ssl_context = ssl_context

    async def __aenter__(self) -> Self:
        self.connections = connections.Connections()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.connections.close()


def open_session(*, ssl_context: ssl.SSLContext | None = None) -> Session:
    """Return a session for one delivery run. `ssl_context` replaces the system's certificate authorities."""
    return Session(ssl_context=ssl_context or ssl.create_default_context())


async def post(
    *, session: Session, url: str, headers: Mapping[str, str], body: bytes, within: timedelta, allow_localhost: bool
) -> Outcome:
    """POST `body` and return the outcome. Network errors are outcomes too, not exceptions.

    `within` limits the total time: name lookup, connection, TLS, sending and response. `allow_localhost` lets URLs with
    the host localhost reach this machine; a name that only resolves to it never does.

    Raises: NotSent.
    """
    allow_loopback = allow_localhost and _host(url) in LOCAL_HOSTS

    def check(address: str) -> None:
        reason = egress.denial(address, allow_loopback=allow_loopback)
        if reason is not None:
            raise addresses.Denied(reason)

    try:
        answer = await session.connections.post(
            url=url,
            headers=[*_OF_US, *headers.items()],
            body=body,
            total_s=within.total_seconds(),
            max_bytes=BODY_BYTES,
            kept_bytes=RESPONSE_HEAD_BYTES,
            check=check,
            context=session.ssl_context,
        )
    except NoAnswer as error:
        if error.cause.value == _BUSY:
            raise NotSent(f"This machine could not open a connection: {error.detail}.") from error
        detail = error.detail or _DETAILS.get(error.cause.value, "")
        return Outcome(status=None, cause=_CAUSES.get(error.cause.value, Cause.CONNECTION), detail=detail)
    return answered(status=answer.status, response_head=answer.body)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
