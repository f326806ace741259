"""The HTTP server of the receiver: one event loop, aiohttp's parser, and limits on what a connection may take.

A request must arrive completely within PATIENCE_S; a response of which nothing is read for that long is aborted.
Idle connections stay for KEEP_ALIVE_S, by default longer than a load balancer's 60 s, so that the balancer closes
first. When the descriptors get scarce, a new connection ends one that waits for its client. There is no access log: a
receiver's path contains its key.

A stopping server finishes what has begun: it accepts nothing more, answers with `Connection: close`, and gives idle
connections a moment, because a request may be on its way.
"""

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, EmptyStreamReader, StreamReader
from aiohttp.web_protocol import RequestHandler

PATIENCE_S = float(os.environ.get("WEB_PATIENCE_S", "30"))
"""Maximum time for a request to arrive, in seconds."""
KEEP_ALIVE_S = float(os.environ.get("WEB_KEEP_ALIVE_S", "75"))
"""Time that an idle connection is kept, in seconds, as that of gunicorn.conf.py."""
UNREAD_BYTES = 256 * 1024
"""Approximate send buffer of the kernel for an unread response, in bytes."""
HEADERS, HEADER_BYTES, LINE_BYTES = 100, 8192, 8190
"""Most header fields of a request, and the longest of them and of its first line in bytes.

They differ so that an error of aiohttp's parser, which names the limit, says which of them was too long.
"""
READ_BYTES = 16 * 1024
"""Most bytes read from a connection at a time. Between two reads, the loop goes on with the others."""
FRAMING_BYTES = 4 * 1024
"""Most bytes of the sizes and extensions of a body's chunks, beyond a quarter of what the chunks carry.

A chunk costs the parser as much as a kilobyte: a few clients that send chunks of one byte would stop all deliveries.
"""
LOOK_EVERY_S = 1.0
"""How often connections are looked at, in seconds. Looking costs microseconds each."""
LEAVE_S = 1.0
"""How long a stopping server leaves idle connections open, in seconds."""
BACKLOG = 4096
"""Connections that may wait to be accepted; the kernel has its own maximum (net.core.somaxconn)."""

SERVER = "redeliver"

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

logger = logging.getLogger(__name__)


class TooSlow(Exception):
    """The client has used up its time: abort its connection."""


class _NoBody(EmptyStreamReader):
    """The body of a request whose head has not come completely."""

    def is_eof(self) -> bool:
        return False


_NOT_BEGUN = _NoBody()


class Connection(RequestHandler):
    """One client's connection."""

    def __init__(self, manager: "Server", *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            manager,
            loop=loop,
            keepalive_timeout=KEEP_ALIVE_S,
            access_log=None,  # type: ignore[arg-type]  # as aiohttp documents
            max_line_size=LINE_BYTES,
            max_headers=HEADERS,
            max_field_size=HEADER_BYTES,
            auto_decompress=False,  # bodies are verified and passed on as they came
            lingering_time=2.0,
        )
        self._arriving_since: float | None = None
        self._body: StreamReader = EMPTY_PAYLOAD  # of the newest request
        self._came = 0  # bytes since the read that had its head
        self._unread, self._unread_since = 0, 0.0

    @property
    def is_working(self) -> bool:
        """Whether a request is being handled, or waits to be."""
        return self._request_in_progress or bool(self._messages)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection."""
        transport.max_size = READ_BYTES  # type: ignore[attr-defined]  # asyncio's own choice is 256 KiB
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Parse what has come."""
        before = self._request_count
        super().data_received(data)
        self._came += len(data)
        if self._request_count != before:
            self._body, self._came = self._messages[-1][1], 0
            self._arriving_since = self._loop.time()
        elif data and self._arriving_since is None:
            self._body = _NOT_BEGUN
            self._arriving_since = self._loop.time()
        if self._body.is_eof():
            self._arriving_since = None
        elif self._body is not _NOT_BEGUN and self._came > FRAMING_BYTES + self._body.total_bytes * 5 // 4:
            self._break_off("the body came in tiny pieces")

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._body = EMPTY_PAYLOAD  # it refers to this connection, and cycles wait in memory for a full collection

    def look(self, now: float, *, unread: int) -> None:
        """End what takes too long. `unread` is the number of bytes that wait for the client. Raises: TooSlow."""
        if not self._unread or unread < self._unread:
            self._unread_since = now
        self._unread = unread
        if unread and now - self._unread_since > PATIENCE_S:
            raise TooSlow
        if self._arriving_since is not None and now - self._arriving_since > PATIENCE_S:
            self._give_up()

    def _give_up(self) -> None:
        """End a request that arrives too slowly. One whose head has come is answered. Raises: TooSlow."""
        if self._body is _NOT_BEGUN or not self.is_working:
            raise TooSlow
        self._break_off("the body arrived too slowly")

    def _break_off(self, why: str) -> None:
        """Read no more of the body: it is cut off, and the request is answered."""
        self._arriving_since = None
        self._lingering_time = 0.0  # do not wait for the client any longer
        self.close()
        self._body.set_exception(web.RequestPayloadError(why))

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's, and it quotes the request
    ) -> web.StreamResponse:
        """Answer what is not HTTP, or larger than the limits. Nothing of it is logged: it may have a receiver's key."""
        if isinstance(exc, ConnectionError):
            raise exc  # the client has gone: aiohttp expects this, and ends the connection
        words = "Redeliver failed. Try again later."
        if status == HTTPStatus.BAD_REQUEST:
            logger.info("a request was refused: %s", type(exc).__name__)
            status, words = _refused(exc)
        else:
            logger.error("a request failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError  # a part of another answer is sent
        request._version = HttpVersion11  # noqa: SLF001 - of what is not HTTP, aiohttp says 1.0
        response = web.json_response({"error": words}, status=status, headers={"Server": SERVER})
        response.force_close()
        return response

    def log_exception(self, *args: object, **named: object) -> None:
        """Log an error of the server itself."""
        error = named.get("exc_info")
        logger.error("a connection failed: %s", args[0] % args[1:] if args else "", exc_info=error)  # type: ignore[arg-type,operator]


class Server(web.Server):
    """The connections of one event loop, `most` at once."""

    def __init__(self, handler: Handler, *, most: int) -> None:
        super().__init__(handler)
        self._most = most
        self._listeners: list[asyncio.Server] = []
        self._looking: asyncio.Task[None] | None = None

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self._connections) > self._most:
            self._end_one(handler)

    async def listen(self, *sockets: socket.socket) -> None:
        """Accept connections on these sockets, which are bound, until `drain`."""
        for one in sockets:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)  # connections inherit it
            self._listeners.append(await self._loop.create_server(self, sock=one, backlog=BACKLOG))
        self._looking = asyncio.create_task(self._look_now_and_then())

    async def drain(self, *, within_s: float) -> None:
        """Stop accepting, finish the requests that have begun, and close all connections.

        The handler's answers should have `Connection: close` from before this call.
        """
        await self._stop_accepting()
        began = self._loop.time()
        while (waited := self._loop.time() - began) < within_s and (waited < LEAVE_S or self._working()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        if left := self._working():
            logger.warning("%d requests were not finished within %d s", left, within_s)
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking
        await self.shutdown(0.1)

    async def _stop_accepting(self) -> None:
        """Accept what waits to be accepted, and nothing more. Asyncio drops what its server has not begun to serve."""
        await self._rounds(2)
        for one in self._listeners:
            for sock in one.sockets:
                self._loop.remove_reader(sock.fileno())
        await self._rounds(3)
        for one in self._listeners:
            one.close()

    @staticmethod
    async def _rounds(count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    def _working(self) -> int:
        return sum(1 for one in self._connections if isinstance(one, Connection) and one.is_working)

    async def _look_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(min(LOOK_EVERY_S, PATIENCE_S / 4))
            now = self._loop.time()
            for one, transport in list(self._connections.items()):
                try:
                    if isinstance(one, Connection):
                        one.look(now, unread=transport.get_write_buffer_size())
                except TooSlow:
                    _reset(transport)

    def _end_one(self, newest: RequestHandler) -> None:
        """End the oldest connection that waits for its client; the newest if there is none."""
        for one, transport in self._connections.items():
            if isinstance(one, Connection) and not one.is_working and one is not newest:
                _reset(transport)
                return
        _reset(self._connections[newest])


def _refused(error: BaseException | None) -> tuple[HTTPStatus, str]:
    """Return the status and the words for what the parser refuses."""
    if isinstance(error, LineTooLong) and error.args[1] == LINE_BYTES:
        return HTTPStatus.REQUEST_URI_TOO_LONG, f"The address is longer than {LINE_BYTES} bytes."
    if isinstance(error, LineTooLong):
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"A header is longer than {HEADER_BYTES} bytes."
    if isinstance(error, BadHttpMessage) and error.message == "Too many headers received":
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"There are more than {HEADERS} headers."
    return HTTPStatus.BAD_REQUEST, "Bad request."


def _reset(transport: asyncio.Transport) -> None:
    """End a connection at once. The reset has the kernel drop what a client does not read, too."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):  # it has ended already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def bound(address: str) -> list[socket.socket]:
    """Return listening sockets for "host:port", or the inherited one for "fd://3". Raises: OSError, ValueError."""
    if address.startswith("fd://"):
        return [socket.socket(fileno=int(address.removeprefix("fd://")))]
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"RECEIVER_BIND is {address!r}; it must be host:port or fd://N.")
    found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    with contextlib.ExitStack() as made:
        sockets = [_listening(family, where) for family, *_, where in dict.fromkeys(found)]
        made.pop_all()
    return sockets


def _listening(family: int, where: object) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    one.bind(where)  # type: ignore[arg-type]  # as getaddrinfo gave it
    return one
