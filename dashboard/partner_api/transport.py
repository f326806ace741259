"""One safe POST, and what it came to.

No redirects, no cookies, no proxies from the environment, no decompression; a new connection for each, because a kept
one that the receiver has closed meanwhile would count as a failure of the receiver's. The status decides: once it has
come within the time-out, an answer whose body drips, breaks off or never ends changes nothing about it.

Where addresses are to be refused (private networks), it is done here, by the connector, on the address that is dialled.
"""

import asyncio
import errno
import ssl
from collections.abc import Mapping
from datetime import timedelta

import aiohttp

from dashboard.partner_api.policy import RESPONSE_HEAD_BYTES, Cause, Outcome, answered

USER_AGENT = "OpenTrain-Partner-Webhooks/1.0"

Session = aiohttp.ClientSession
"""The connections of one run; only this module knows whose they are."""


def open_session(*, ssl_context: ssl.SSLContext | None = None) -> Session:
    """Return a session for one delivery run, to be used as an async context manager.

    How many requests are in flight is the engine's to bound, not the connector's. `ssl_context` replaces the system's
    certificate authorities.
    """
    connector = aiohttp.TCPConnector(
        ssl=ssl_context or True, limit=0, force_close=True, use_dns_cache=False, enable_cleanup_closed=False
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        trust_env=False,
        auto_decompress=False,
        headers={"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"},
    )


async def post(*, session: Session, url: str, headers: Mapping[str, str], body: bytes, within: timedelta) -> Outcome:
    """POST `body` and return the outcome; whatever goes wrong on the way is one, not an exception.

    `within` is for everything together: name lookup, connection, TLS, sending, and the answer.
    """
    status = None
    head = bytearray()
    try:
        async with (
            asyncio.timeout(within.total_seconds()),
            session.post(url, data=body, headers=headers, allow_redirects=False) as response,
        ):
            status = response.status
            await _read_head(response, into=head)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if status is None:
            return Outcome(status=None, cause=_classify(error))
    return answered(status=status, response_head=bytes(head))


async def _read_head(response: aiohttp.ClientResponse, *, into: bytearray) -> None:
    while len(into) < RESPONSE_HEAD_BYTES:
        chunk = await response.content.read(RESPONSE_HEAD_BYTES - len(into))
        if not chunk:
            return
        into += chunk


def _classify(error: Exception) -> Cause:
    reason = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Cause.DNS
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)) or isinstance(reason, ssl.SSLError):
        return Cause.TLS
    if isinstance(reason, TimeoutError):
        return Cause.TIMEOUT
    if isinstance(reason, OSError) and reason.errno == errno.ECONNREFUSED:
        return Cause.REFUSED
    return Cause.CONNECTION
