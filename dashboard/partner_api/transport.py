"""One safe POST and its outcome.

No redirects, no cookies, no proxies from the environment, no decompression. The status decides: once it has arrived
within the time-out, a body that is slow, cut off or endless does not change the outcome.

Connections are kept for a second, because a TLS handshake costs more than a delivery. If the receiver has closed a kept
connection, that is no failure of the receiver: the POST is repeated at once on another connection, as part of the same
attempt. (It may then arrive twice; deliveries can, and receivers deduplicate by delivery ID.)

`egress` checks addresses where sockets are created, so it checks the address that is actually connected to.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from dashboard.addresses import LOCAL_HOSTS
from dashboard.partner_api import egress
from dashboard.partner_api.policy import RESPONSE_HEAD_BYTES, Cause, Outcome, answered

USER_AGENT = "OpenTrain-Partner-Webhooks/1.0"
KEEP_S = 1.0
"""How long an idle connection is kept, in seconds. Common servers keep theirs longer (2 s and more)."""

HEADER_BYTES = 64 * 1024
HEADERS = 1000
"""Limits on one header of a response, and on their number. Receivers set large cookies, and many headers."""

_DETAIL_MAX = 200
_WORDS: dict[type[BaseException], str] = {
    aiohttp.ServerDisconnectedError: "closed without an answer",
    aiohttp.ClientResponseError: "what came was not HTTP, or had too many or too large headers",
    TimeoutError: "",
}
_OURS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
_AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[str | int, ...]]

Session = aiohttp.ClientSession
"""The connections of one delivery run. Only this module knows that they are aiohttp's."""


class NotSent(Exception):
    """This machine could not send, for example with too many open files. The receiver did not fail; try again later."""


@dataclass(slots=True)
class _Dial:
    """State that one POST shares with the callbacks that open its socket."""

    allow_loopback: bool
    denied: str | None = None
    reused: bool = False


_dial: ContextVar[_Dial] = ContextVar("dial")


def open_session(*, ssl_context: ssl.SSLContext | None = None) -> Session:
    """Return a session for one delivery run, to be used as an async context manager.

    The engine limits the number of requests in flight, not the connector. `ssl_context` replaces the system's
    certificate authorities.
    """
    connector = aiohttp.TCPConnector(
        ssl=ssl_context or True,
        limit=0,
        keepalive_timeout=KEEP_S,
        use_dns_cache=False,
        enable_cleanup_closed=False,
        socket_factory=_guarded_socket,
    )
    tracing = aiohttp.TraceConfig()
    tracing.on_connection_reuseconn.append(_note_reuse)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        trust_env=False,
        auto_decompress=False,
        headers={"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"},
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
        max_headers=HEADERS,
        trace_configs=[tracing],
    )


async def post(
    *, session: Session, url: str, headers: Mapping[str, str], body: bytes, within: timedelta, allow_localhost: bool
) -> Outcome:
    """POST `body` and return the outcome. Network errors are outcomes too, not exceptions.

    `within` limits the total time: name lookup, connection, TLS, sending and response. `allow_localhost` lets URLs with
    the host localhost reach this machine; a name that only resolves to it never does.

    Raises: NotSent.
    """
    dial = _Dial(allow_loopback=allow_localhost and _host(url) in LOCAL_HOSTS)
    _dial.set(dial)
    deadline = asyncio.get_running_loop().time() + within.total_seconds()
    while True:
        dial.reused = False
        outcome = await _post_once(session, url, headers, body, deadline=deadline)
        if outcome.cause is not Cause.CONNECTION or not dial.reused:
            return outcome


async def _post_once(
    session: Session, url: str, headers: Mapping[str, str], body: bytes, *, deadline: float
) -> Outcome:
    status = None
    head = bytearray()
    try:
        as_written = URL(url, encoded=True)
        async with (
            asyncio.timeout_at(deadline),
            session.post(as_written, data=body, headers=headers, allow_redirects=False) as response,
        ):
            status = response.status
            await _read_head(response, into=head)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if status is None:
            return _failed(error)
    return answered(status=status, response_head=bytes(head))


def _guarded_socket(info: _AddressInfo) -> socket.socket:
    family, kind, protocol, _, address = info
    dial = _dial.get()
    reason = egress.denial(str(address[0]), allow_loopback=dial.allow_loopback)
    if reason is not None:
        dial.denied = reason
        raise PermissionError(errno.EACCES, reason)
    return socket.socket(family, kind, protocol)


async def _note_reuse(_session: Session, _context: SimpleNamespace, _params: object) -> None:
    _dial.get().reused = True


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


async def _read_head(response: aiohttp.ClientResponse, *, into: bytearray) -> None:
    while len(into) < RESPONSE_HEAD_BYTES:
        chunk = await response.content.read(RESPONSE_HEAD_BYTES - len(into))
        if not chunk:
            return
        into += chunk


def _failed(error: Exception) -> Outcome:
    reason = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(reason, OSError) and reason.errno in _OURS:
        raise NotSent(f"This machine could not open a connection: {reason.strerror}.") from error
    denied = _dial.get().denied
    if denied is not None:
        return Outcome(status=None, cause=Cause.DENIED, detail=denied)
    return Outcome(status=None, cause=_classify(error, reason), detail=_detail(reason))


def _classify(error: Exception, reason: BaseException) -> Cause:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Cause.DNS
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)) or isinstance(reason, ssl.SSLError):
        return Cause.TLS
    if isinstance(reason, TimeoutError):
        return Cause.TIMEOUT
    if isinstance(reason, OSError) and reason.errno == errno.ECONNREFUSED:
        return Cause.REFUSED
    return Cause.CONNECTION


def _detail(reason: BaseException) -> str:
    """Return details of a failure, if there are any. Never aiohttp's own message, which repeats the URL."""
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {reason.verify_message}"[:_DETAIL_MAX]
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror[:_DETAIL_MAX]
    # A parser's message quotes the receiver's bytes, so use our own words.
    return _WORDS.get(type(reason), type(reason).__name__)
