"""Requests as they come to the receiver: their bodies up to a limit, what they ask for, and how they came."""

import asyncio
from collections.abc import Callable

from aiohttp import web
from django.conf import settings

_READ_ON = 4
"""An oversized body is read up to this multiple of its limit, then abandoned."""


async def read_body(
    request: web.BaseRequest,
    *,
    limit: int,
    within_s: float | None = None,
    counted: Callable[[int], None] = lambda _size: None,
) -> tuple[bytes, bool]:
    """Return the body, or `limit` + 1 bytes of a larger one, and whether it is complete.

    What has not arrived `within_s` seconds is left out. `counted` is told how many bytes are kept, as they arrive, and
    may raise.

    The rest of an oversized body is read for a while and dropped: a response sent while the client is still sending is
    lost with the connection.
    """
    body, size = bytearray(), 0
    try:
        # What is here is not waited for: a timer that never fires costs as much as the rest of this function.
        async with asyncio.timeout(None if request.content.is_eof() else within_s):
            while size <= _READ_ON * limit and (piece := await request.content.readany()):
                size += len(piece)
                kept = piece[: max(limit + 1 - len(body), 0)]
                counted(len(kept))
                body += kept
    except (OSError, web.PayloadAccessError, web.RequestPayloadError):
        came = request.content._read_nowait(-1)  # noqa: SLF001 - of a broken body, aiohttp gives nothing
        kept = came[: max(limit + 1 - len(body), 0)]
        counted(len(kept))
        return bytes(body + kept), False
    return bytes(body), len(body) > limit or request.content.at_eof()


def written_target(request: web.BaseRequest) -> bytes:
    """Return what the request asks for as the client wrote it: aiohttp's `path` is decoded."""
    return request._message.path.encode("utf-8", "surrogateescape")  # noqa: SLF001


def is_secure(request: web.BaseRequest) -> bool:
    """Return whether the request came by https, as the trusted proxy says; the receiver itself has no TLS."""
    return settings.BEHIND_PROXY and request.headers.get("X-Forwarded-Proto", "").strip() == "https"


def is_refused_as_plain(request: web.BaseRequest) -> bool:
    """Return whether https is required and the request came without. It is refused, never redirected."""
    return bool(settings.SECURE_SSL_REDIRECT) and not is_secure(request)
