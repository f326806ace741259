"""The front: passes what is not the receiver's to the console, which listens on a private Unix socket.

A request is read completely before the console hears of it, and its answer goes into the client's buffer as far as
there is room: the console's few threads never wait for slow clients. The body goes on with its length and the answer's
end is read from its head, so both sides agree where messages end. Each request has a connection of its own: opening one
costs less than finding out that a kept one has been closed.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from aiohttp import web
from django.conf import settings

from dashboard.receiver.bodies import read_body
from dashboard.rules import forwarding

BODY_LIMIT = 4 * 1024 * 1024
"""Largest body for the console, in bytes. Django refuses what is over DATA_UPLOAD_MAX_MEMORY_SIZE, with a page."""
BODIES_LIMIT = 64 * 1024 * 1024
"""Most bytes of bodies that are announced or held at once."""
AT_ONCE = 256
"""Most requests that wait for the console at once."""
CONNECT_S, HEAD_S, PIECE_S = 5.0, 120.0, 120.0
"""Seconds to connect, for the console to answer, and for each further piece of its answer."""
HEAD_BYTES = 64 * 1024
AHEAD_BYTES = 256 * 1024
"""How much of an answer is taken from the console before its client has read it."""
RETRY_AFTER_S = 5

_WITHOUT_BODY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
_PIECE = 64 * 1024

logger = logging.getLogger(__name__)


class _Away(Exception):
    """The console cannot be asked."""


class _Broken(Exception):
    """The console's answer breaks off, or is none."""


@dataclass(frozen=True, slots=True)
class _Head:
    """The head of an answer. `length` is None if the answer has none, as with chunks."""

    status: int
    line: bytes
    headers: forwarding.Headers = field(repr=False)
    length: int | None
    is_chunked: bool


class Front:
    """Passes requests to the console at `upstream`, the path of its socket."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._places = asyncio.Semaphore(AT_ONCE)
        self._bodies = 0

    async def pass_on(
        self, request: web.BaseRequest, *, target: forwarding.Target, request_id: str, is_last: bool
    ) -> web.StreamResponse:
        """Return the console's answer to a request for `target`. With `is_last`, the connection ends with it."""
        expected = min(request.content_length or 0 if request.can_read_body else 0, BODY_LIMIT)
        if request.can_read_body and request.content_length is None:
            expected = BODY_LIMIT
        if (request.content_length or 0) > BODY_LIMIT:
            return _plain(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is too large.")
        if self._bodies + expected > BODIES_LIMIT or self._places.locked():
            return _busy()
        self._bodies += expected
        try:
            body, whole = await read_body(request, limit=BODY_LIMIT) if expected else (b"", True)
            if len(body) > BODY_LIMIT:
                return _plain(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is too large.")
            if not whole:
                return _plain(HTTPStatus.BAD_REQUEST, "The request was cut off on its way.")
            async with self._places:
                written = _written(request, body, target=target, request_id=request_id)
                return await self._ask(request, written, is_last=is_last)
        finally:
            self._bodies -= expected

    async def _ask(self, request: web.BaseRequest, written: bytes, *, is_last: bool) -> web.StreamResponse:
        try:
            async with _connected(self._upstream) as (reader, writer):
                writer.write(written)
                async with asyncio.timeout(HEAD_S):
                    head = await _read_head(reader, method=request.method)
                answer = _Relayed(head, request=request, is_last=is_last)
                await answer.relay(reader)
                return answer
        except _Away as away:
            logger.warning("the console cannot be asked: %s", away)
            return _away()
        except TimeoutError:
            logger.warning("the console did not answer within %d s", HEAD_S)
            return _page(HTTPStatus.GATEWAY_TIMEOUT, "The console took too long to answer.")
        except _Broken as broken:
            logger.warning("the console gave no answer: %s", broken)
            return _page(HTTPStatus.BAD_GATEWAY, "The console ended before it answered.")


class _Relayed(web.StreamResponse):
    """The console's answer on its way to the client, with the console's own bytes as its head."""

    def __init__(self, head: _Head, *, request: web.BaseRequest, is_last: bool) -> None:
        super().__init__(status=head.status)
        self._head = head
        self._request = request
        self._chunks = head.length is None and request.version >= (1, 1)
        keeps = request.keep_alive and not is_last and (head.length is not None or self._chunks)
        self._keep_alive = keeps
        self._begun = False

    @property
    def prepared(self) -> bool:
        return self._begun

    async def prepare(self, request: web.BaseRequest) -> None:
        """Do nothing: `relay` has written the head."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: `relay` has written the end."""

    async def relay(self, reader: asyncio.StreamReader) -> None:
        """Write the head and the body. A body that breaks off ends the connection, so that it does not seem whole.

        Raises: ConnectionError if the client has gone, _Broken if nothing has been written.
        """
        transport = self._request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone")
        transport.set_write_buffer_limits(high=AHEAD_BYTES)
        writer = self._request.writer
        waiting = self._written_head()  # goes out with the first piece
        try:
            async for piece in _pieces(reader, self._head):
                self._begun = True
                data = b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunks else piece
                await writer.write(waiting + data)
                waiting = b""
        except _Broken as broken:
            if not self._begun:
                raise
            logger.warning("the console's answer broke off: %s", broken)
            self._keep_alive = False
            transport.abort()
            return
        self._begun = True
        await writer.write(waiting + (b"0\r\n\r\n" if self._chunks else b""))

    def _written_head(self) -> bytes:
        version = b"HTTP/1.1 " if self._request.version >= (1, 1) else b"HTTP/1.0 "
        lines = [version + self._head.line, *(b"%b: %b" % pair for pair in self._head.headers)]
        if self._chunks:
            lines.append(b"Transfer-Encoding: chunked")
        if not self._keep_alive:
            lines.append(b"Connection: close")
        elif self._request.version < (1, 1):
            lines.append(b"Connection: keep-alive")
        return b"\r\n".join([*lines, b"", b""])


def _written(request: web.BaseRequest, body: bytes, *, target: forwarding.Target, request_id: str) -> bytes:
    """Return the request for the console."""
    headers = forwarding.request_headers(
        request.raw_headers,
        host=target.host,
        peer=request.remote or "",
        request_id=request_id,
        behind_proxy=settings.BEHIND_PROXY,
    )
    lines = [b"%b %b HTTP/1.1" % (request.method.encode(), target.path), *(b"%b: %b" % pair for pair in headers)]
    lines.append(b"Connection: close")
    if body or request.can_read_body or request.method in {"POST", "PUT", "PATCH"}:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, b"", body])


@contextlib.asynccontextmanager
async def _connected(path: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Yield a connection to the console. Raises: _Away."""
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_unix_connection(path, limit=HEAD_BYTES)
    except (OSError, TimeoutError) as error:
        raise _Away(getattr(error, "strerror", None) or type(error).__name__) from error
    try:
        yield reader, writer
    finally:
        writer.close()


async def _read_head(reader: asyncio.StreamReader, *, method: str) -> _Head:
    """Return the head of the final answer. Raises: _Broken."""
    while True:
        try:
            text = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
            raise _Broken(type(error).__name__) from error
        head = _parsed(text, method=method)
        if head.status >= HTTPStatus.OK:
            return head


def _parsed(text: bytes, *, method: str) -> _Head:
    first, *lines = text[:-4].split(b"\r\n")
    version, _, line = first.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not line[:3].isdigit():
        raise _Broken("no HTTP")
    status = int(line[:3])
    given = [(name, value.strip()) for name, _, value in (one.partition(b":") for one in lines)]
    named = {name.lower(): value for name, value in given}
    length: int | None = None
    if method == "HEAD" or status in _WITHOUT_BODY:
        length = 0
    elif b"transfer-encoding" not in named and named.get(b"content-length", b"").isdigit():
        length = int(named[b"content-length"])
    return _Head(
        status=status,
        line=line,
        headers=forwarding.answer_headers(given),
        length=length,
        is_chunked=b"transfer-encoding" in named,
    )


async def _pieces(reader: asyncio.StreamReader, head: _Head) -> AsyncIterator[bytes]:
    """Yield the body of an answer. Raises: _Broken."""
    try:
        if head.length is not None:
            left = head.length
            while left:
                piece = await _soon(reader.read(min(left, _PIECE)))
                if not piece:
                    raise _Broken("it ended before its length")
                left -= len(piece)
                yield piece
        elif head.is_chunked:
            while size := int((await _soon(reader.readuntil(b"\r\n"))).partition(b";")[0], 16):
                yield (await _soon(reader.readexactly(size + 2)))[:-2]
        else:
            while piece := await _soon(reader.read(_PIECE)):
                yield piece
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ValueError) as error:
        raise _Broken(type(error).__name__) from error


async def _soon(reading: Coroutine[Any, Any, bytes]) -> bytes:
    """Return what is read. Raises: TimeoutError, so that a console that hangs occupies no place for good."""
    async with asyncio.timeout(PIECE_S):
        return await reading


def _away() -> web.Response:
    return _page(HTTPStatus.SERVICE_UNAVAILABLE, "The console is not running at the moment, or it is starting.")


def _busy() -> web.Response:
    return _page(HTTPStatus.SERVICE_UNAVAILABLE, "The console has more requests than it can answer.")


def _page(status: HTTPStatus, words: str) -> web.Response:
    """Return a plain page. Requests that act are not repeated by anyone: whether they acted is not known."""
    text = (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Redeliver</title>\n'
        f"<h1>Redeliver's console does not answer</h1>\n<p>{words} Reload this page in a few seconds.</p>\n"
        "<p>If you pressed a button, check the endpoint's activity before you press it again.</p></html>\n"
    )
    response = web.Response(status=status, text=text, content_type="text/html")
    response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _plain(status: HTTPStatus, words: str) -> web.Response:
    response = web.Response(status=status, text=f"{words}\n")
    response.force_close()
    return response
