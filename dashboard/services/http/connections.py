"""Many POSTs at once on one event loop, each with a deadline, over connections that are kept for a second.

The status decides: once the head of the response has arrived in time, a body that breaks, drips or is too large is a
note in the answer (`HttpAnswer.fault`), not a failure. A kept connection that the server closed before the first byte
of its response is dialled again, once, within the same call; the POST may then arrive twice.

aiohttp's connector dials (Happy Eyeballs, RFC 8305), does TLS, and keeps connections. Requests are written and
responses are read by our own code: aiohttp's client drops a lone "?" from URLs, sends header values as UTF-8, and its
parser refuses a 204 with a body and two equal Content-Length. Addresses are checked where sockets are created, so the
address that is dialled is the one that was checked.
"""

import asyncio
import errno
import logging
import socket
import ssl
import time
from asyncio import sslproto
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Self

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from dashboard import addresses
from dashboard.rules.causes import Cause
from dashboard.services.http.answers import AnswerReader, HeadCutOff, HeadTooLarge, NotHttp
from dashboard.services.http.client import (
    BadAddress,
    HttpAnswer,
    NoAnswer,
    cause_before_the_head,
    checked,
    detail,
    parts_as_written,
)
from dashboard.services.http.deadline_socket import HEAD_BYTES, NEXT_ADDRESS_S, tls_context
from dashboard.services.http.lookups import LookUp, Lookups, of_system

logger = logging.getLogger(__name__)

KEEP_S = 1.0
"""How long an idle connection is kept, in seconds. Common servers keep theirs longer (2 s and more)."""
BODY_S = 2.0
"""Seconds that a body may take after its head. The head has decided; the body is for people."""

READ_BYTES = 16 * 1024
"""Most bytes read from a connection without TLS at a time. Between two reads, the loop goes on with the others."""
TLS_READ_BYTES = 4 * 1024
"""Size of asyncio's read buffer of a TLS connection, in bytes. Its own choice, 256 KiB for each, is for transfers, not
for thousands of connections that wait."""

_WITHOUT_LIMITS = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
_ONE_WRITE = 16 * 1024
"""Bytes of a body up to which it is copied behind its head, to go out as one packet."""
_OF_THIS_MACHINE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}

_AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[str | int, ...]]

Headers = list[tuple[str, str]]
Check = Callable[[str], None]
"""Accepts an address that may be called. Raises: addresses.Denied."""


_FAILURES = (OSError, aiohttp.ClientError, NotHttp, HeadTooLarge, HeadCutOff, BadAddress)


_CAUSES: dict[type[BaseException], Cause] = {
    BadAddress: Cause.ADDRESS,
    aiohttp.InvalidURL: Cause.ADDRESS,
    addresses.Denied: Cause.DENIED,
    TimeoutError: Cause.TIMEOUT,
    HeadTooLarge: Cause.TOO_LARGE,
    HeadCutOff: Cause.CUT_OFF,
}


@dataclass(slots=True)
class _Dial:
    """What a call shares with the callback that creates its sockets."""

    check: Check | None
    sockets: int = 0
    denied: addresses.Denied | None = None


_dial: ContextVar[_Dial] = ContextVar("dial")


@dataclass(slots=True)
class _Call:
    """One POST and its progress. `started` is on the monotonic clock, `deadline` on the loop's."""

    origin: URL
    context: ssl.SSLContext | None
    head: bytes = field(repr=False)
    body: bytes = field(repr=False)
    started: float
    deadline: float
    reader_limits: dict[str, int]
    dial: _Dial
    wire: "_Wire | None" = None


class Connections:
    """The connections of one event loop: create it there, and close it with `close` or as an async context manager."""

    def __init__(self, *, look_up: LookUp = of_system) -> None:
        sslproto.SSLProtocol.max_size = TLS_READ_BYTES
        self._lookups = Lookups(look_up)
        self._kept = _connector(self._lookups)
        self._single = _connector(self._lookups, force_close=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections, those in use too."""
        await self._kept.close()
        await self._single.close()
        await self._lookups.close()

    async def post(
        self,
        *,
        url: str,
        headers: Headers,
        body: bytes,
        total_s: float,
        max_bytes: int,
        kept_bytes: int,
        check: Check | None,
        context: ssl.SSLContext | None = None,
        extra_ca_file: str = "",
    ) -> HttpAnswer:
        """POST once and return the response, with any status. Redirects are not followed.

        `headers` are sent as they are and in their order, between Host and Content-Length. The call ends within
        `total_s` seconds; without time left nobody is called. At most `kept_bytes` of the body are returned, and it is
        not read beyond `max_bytes`. An address is dialled if `check` accepts it; without one, any is. TLS is verified
        with `context`; without one, with the public authorities and those of `extra_ca_file`.

        Raises: NoAnswer; ValueError for a header that cannot be sent.
        """
        started, dial = time.monotonic(), _Dial(check=check)
        deadline = asyncio.get_running_loop().time() + total_s
        checked(headers)
        call = None
        try:
            if total_s <= 0:
                raise TimeoutError
            origin, head = _target(url, headers, body)
            call = _Call(
                origin=origin,
                context=(context or _context(extra_ca_file)) if origin.scheme == "https" else None,
                head=head,
                body=body,
                started=started,
                deadline=deadline,
                reader_limits={"head_bytes": HEAD_BYTES, "max_bytes": max_bytes, "kept_bytes": kept_bytes},
                dial=dial,
            )
            return await self._answer(call)
        except _FAILURES as error:
            sent = call is not None and call.wire is not None
            failure = _failure(error, dial=dial, sent=sent, elapsed_ms=_ms_since(started))
        raise failure  # Outside the handler: a chained exception's frames would hold the request's headers.

    async def _answer(self, call: _Call) -> HttpAnswer:
        """Send the request and read the response, by the deadline. Raises: one of _FAILURES."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(call.deadline) as limit:
                wire = await self._head(call)
                limit.reschedule(min(call.deadline, loop.time() + BODY_S))
                await wire.whole
        except TimeoutError:
            if call.wire is None:
                self._lookups.forget(call.origin.raw_host or "", found_before=call.started)
            if call.wire is None or call.wire.reader.status is None:
                raise
            wire = call.wire
        finally:
            if call.wire is not None:
                call.wire.end()
        return wire.answer(elapsed_ms=_ms_since(call.started))

    async def _head(self, call: _Call) -> "_Wire":
        """Return the connection on which the response's head has arrived."""
        wire = await self._send(call, self._kept)
        try:
            await wire.head
        except OSError:
            if not wire.was_stale:
                raise
            wire.drop()
            wire = await self._send(call, self._single)
            await wire.head
        return wire

    async def _send(self, call: _Call, connector: aiohttp.TCPConnector) -> "_Wire":
        sockets = call.dial.sockets
        connection = await self._connect(call, connector)
        reused = call.dial.sockets == sockets
        protocol, transport = connection.protocol, connection.transport
        if reused and (protocol is None or protocol.should_close):
            connection.close()  # The server wrote or closed while the connection was idle.
            return await self._send(call, self._single)
        if protocol is None or transport is None:
            connection.close()
            raise ConnectionError
        if protocol.should_close:
            connection.close()
            raise NotHttp  # The server spoke before it was asked.
        if asyncio.get_running_loop().time() >= call.deadline:
            connection.release()
            raise TimeoutError
        reader = AnswerReader(**call.reader_limits)
        reader.reusable = connector is self._kept  # The other connector would close it with a farewell, and wait.
        call.wire = _Wire(connection, transport, reader, reused=reused)
        call.wire.write(call.head, call.body)
        return call.wire

    async def _connect(self, call: _Call, connector: aiohttp.TCPConnector) -> Connection:
        """Return a connection to the call's host. Addresses from an earlier lookup that fail are looked up again."""
        try:
            return await _connect(call, connector)
        except aiohttp.ClientConnectorError:
            if not self._lookups.forget(call.origin.raw_host or "", found_before=call.started):
                raise
        return await _connect(call, connector)


class _Wire(asyncio.Protocol):
    """One request and its response on one connection, which aiohttp's protocol gets back afterwards.

    `head` ends when the response's head has arrived, or fails; `whole` ends when no more of it is needed.
    """

    def __init__(
        self, connection: Connection, transport: asyncio.Transport, reader: AnswerReader, *, reused: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        self.reader = reader
        self.head: asyncio.Future[None] = loop.create_future()
        self.whole: asyncio.Future[None] = loop.create_future()
        self._connection = connection
        self._idle = connection.protocol
        self._transport = transport
        self._reused = reused
        self._ended = False
        transport.max_size = READ_BYTES  # type: ignore[attr-defined]  # asyncio's own choice is 256 KiB
        transport.set_protocol(self)

    @property
    def was_stale(self) -> bool:
        """Whether it was a kept connection that ended before the first byte of the response."""
        return self._reused and self.reader.untouched

    def write(self, head: bytes, body: bytes) -> None:
        if len(body) <= _ONE_WRITE:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)

    def data_received(self, data: bytes) -> None:
        try:
            self.reader.feed(data)
        except (NotHttp, HeadTooLarge) as error:
            self._fail(error)
        else:
            self._tell()

    def eof_received(self) -> None:
        self._end_of_data(ConnectionError())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._idle is not None:
            self._idle.connection_lost(exc)
        self._end_of_data(exc or ConnectionError())

    def end(self) -> None:
        """Keep the connection if it can carry another request, else close it."""
        if self._ended:
            return
        if self.reader.done and self.reader.reusable and not self._transport.get_write_buffer_size():
            self._ended = True
            self._transport.set_protocol(self._idle)  # type: ignore[arg-type]
            self._connection.release()
        else:
            self.drop()

    def drop(self) -> None:
        self._ended = True
        self._transport.abort()
        self._connection.close()

    def answer(self, *, elapsed_ms: int) -> HttpAnswer:
        reader = self.reader
        fault = reader.fault if reader.done else Cause.TIMEOUT
        return HttpAnswer(reader.status or 0, reader.headers, bytes(reader.body), elapsed_ms, bool(fault), fault)

    def _end_of_data(self, error: Exception) -> None:
        try:
            self.reader.end()
        except HeadCutOff as cut_off:
            self._fail(error if self.reader.untouched else cut_off)
        else:
            self._tell()

    def _tell(self) -> None:
        if self.reader.status is not None and not self.head.done():
            self.head.set_result(None)
        if self.reader.done and not self.whole.done():
            self.whole.set_result(None)
        if self.reader.fault:
            self._transport.abort()

    def _fail(self, error: Exception) -> None:
        if not self.head.done():
            self.head.set_exception(error)
        self._transport.abort()


def _connector(lookups: Lookups, *, force_close: bool = False) -> aiohttp.TCPConnector:
    """Return a connector without limits of its own: the receiver limits the calls."""
    return aiohttp.TCPConnector(
        resolver=lookups,
        use_dns_cache=False,
        limit=0,
        force_close=force_close,
        keepalive_timeout=None if force_close else KEEP_S,
        happy_eyeballs_delay=NEXT_ADDRESS_S,
        socket_factory=_checked_socket,
    )


def _context(extra_ca_file: str) -> ssl.SSLContext:
    """Return the TLS context to verify with. Raises: ssl.SSLError."""
    try:
        return tls_context(extra_ca_file=extra_ca_file)
    except OSError as error:
        logger.exception("the certificate authorities cannot be read, so no server can be verified")
        raise ssl.SSLError from error


async def _connect(call: _Call, connector: aiohttp.TCPConnector) -> Connection:
    loop = asyncio.get_running_loop()
    request = aiohttp.ClientRequest("POST", call.origin, loop=loop, ssl=call.context or True)
    _dial.set(call.dial)
    return await connector.connect(request, traces=[], timeout=_WITHOUT_LIMITS)


def _checked_socket(info: _AddressInfo) -> socket.socket:
    """Return a socket for an address, if it may be called. Raises: OSError."""
    family, kind, protocol, _, address = info
    dial = _dial.get()
    if dial.check is not None:
        try:
            dial.check(str(address[0]))
        except addresses.Denied as denied:
            dial.denied = denied
            raise
    dial.sockets += 1
    return socket.socket(family, kind, protocol)


def _target(url: str, headers: Headers, body: bytes) -> tuple[URL, bytes]:
    """Return where to connect to, and the request's head. Raises: BadAddress."""
    scheme, authority, target = parts_as_written(url)
    try:
        origin = URL(f"{scheme}://{authority}")
    except ValueError as error:
        raise BadAddress from error
    host = origin.host_port_subcomponent
    if not origin.raw_host or not host or not origin.port:
        raise BadAddress
    lines = [f"POST {target} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers)]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return origin, "\r\n".join(lines).encode("latin-1")


def _failure(error: Exception, *, dial: _Dial, sent: bool, elapsed_ms: int) -> NoAnswer:
    root = error.__cause__ if isinstance(error, aiohttp.ClientError) and error.__cause__ else error
    if dial.denied is not None and not dial.sockets:
        root = dial.denied
    return NoAnswer(cause=_cause(root, sent=sent), sent=sent, elapsed_ms=elapsed_ms, detail=detail(root))


def _cause(root: BaseException, *, sent: bool) -> Cause:
    if isinstance(root, OSError) and root.errno in _OF_THIS_MACHINE and not sent:
        return Cause.BUSY
    named = next((cause for kind, cause in _CAUSES.items() if isinstance(root, kind)), None)
    return named or cause_before_the_head(root)


def _ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
