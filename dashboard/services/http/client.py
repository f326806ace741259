"""One HTTP exchange with limits on time, bytes and destination.

Whatever the server does (sends a byte a second of the status line, never stops sending, redirects, resets), the call
ends by its deadline, keeps no more than its byte limit, and reports whether the request may have arrived.

It uses requests' adapter with our own connection, whose socket enforces the deadline (deadline_socket.py): requests
limits only each recv, not the total. It does not use requests' session, which adds headers, cookies, netrc passwords
and proxies, and which reads the whole decompressed body of a redirect into memory even if it does not follow it. Its
exceptions contain the request with the token, so they do not leave this module. Each connection is used once: a write
on a kept connection that the server has just closed would look like a lost response.
"""

import errno
import http.client
import logging
import os
import re
import socket
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from typing import Any, cast
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.util import SKIP_HEADER, Url, parse_url

from dashboard import addresses
from dashboard.rules.causes import Cause, no_answer_words
from dashboard.rules.headers import first_of, is_name, is_value
from dashboard.services.http.deadline_socket import BoundSocket, Clock, TooLarge, dial, secure, tls_context
from dashboard.vault import Secret

logging.getLogger("urllib3").setLevel(logging.ERROR)  # Lower levels log URLs, and a handler's may be secret.
http.client._MAXHEADERS = 10_000  # type: ignore[attr-defined]  # noqa: SLF001 - 100; HEAD_BYTES limits their size

_PORTS = {"http": 80, "https": 443}
_PIECE = 64 * 1024
_URL = re.compile(r"(https?)://([^/?#\\@\s]+)((?:[/?][^#]*)?)(?:#.*)?", re.DOTALL | re.IGNORECASE)
_AS_WRITTEN = "".join(map(chr, range(0x21, 0x7F)))
_OURS = {"host", "content-length", "transfer-encoding", "connection"}

Headers = Sequence[tuple[str, str | Secret]]


class NoAnswer(Exception):
    """The exchange ended without a complete response.

    `sent`: False means that the request was certainly not sent (no connection was made); True means that the server may
    have received and processed it. `detail` is the system's own reason, if it adds something. `status` and `headers`
    are set if the response's head had arrived.
    """

    def __init__(
        self,
        *,
        cause: Cause,
        sent: bool,
        elapsed_ms: int,
        detail: str = "",
        status: int | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        words = no_answer_words(cause)
        super().__init__(f"{words} ({detail})" if detail else words)
        self.cause = cause
        self.sent = sent
        self.elapsed_ms = elapsed_ms
        self.detail = detail
        self.status = status
        self.headers = headers


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A response. `body` has the raw bytes, still content-encoded; `headers` keep their order and repetitions."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    elapsed_ms: int
    truncated: bool
    fault: Cause = Cause.NONE
    """What was wrong with the body, where the head alone decides what the response means (connections.py)."""

    def header(self, name: str) -> str | None:
        """Return the first value of a header, by its name in any case."""
        return first_of(self.headers, name)


def exchange(
    *,
    method: str,
    url: str,
    headers: Headers,
    body: bytes | None,
    connect_s: float,
    read_s: float,
    total_s: float,
    max_bytes: int,
    body_s: float = 0,
    cap: bool = False,
    ca_file: str | None = None,
    extra_ca_file: str = "",
    public_only: bool = False,
) -> HttpAnswer:
    """Send one request and return its response, with any status. Redirects are not followed; nothing is retried.

    Exactly `headers` are sent, repeated names joined into one, plus Host, Content-Length and Connection. These three
    and Transfer-Encoding cannot be passed. A value may be a `Secret`, which is revealed only for sending.
    The path and query go out as they were written (`parts_as_written`).
    `connect_s` limits connecting (deadline_socket.py) and the TLS handshake, `read_s` each wait for data, `total_s`
    everything, except that the body may take `body_s` longer once the head has arrived.
    A body over `max_bytes` is refused, or with `cap` cut there and marked `truncated`. `ca_file` replaces the
    trusted certificates (tests), `extra_ca_file` adds to them; they are always verified. `public_only` allows only
    public addresses: use it for URLs that someone else entered.

    Raises: NoAnswer; ValueError for a header that cannot be sent (never with its value).
    """
    stage, handled = _Stage(Clock(total_s=total_s)), sys.exception()
    most = _Most(max_bytes=max_bytes, body_s=body_s, cap=cap)
    request = _Request(method=method, url=url, headers=checked(headers), body=body, most=most)
    try:
        target = _target(url)
        reach = _Reach(
            connect_s=connect_s,
            clock=stage.clock,
            ca_file=ca_file,
            extra_ca_file=extra_ca_file,
            public_only=public_only,
        )
        with _connect(target, reach) as sock:
            return _converse(request, target, BoundSocket(sock, stage.clock, read_s=read_s), stage)
    except (OSError, HTTPException, HTTPError, TooLarge) as error:  # requests' exceptions are OSErrors
        failure = _failure(_root(error, handled=handled), stage)
    raise failure  # Outside the handler: a chained exception's frames would hold the request's headers.


@dataclass(slots=True)
class _Stage:
    """The progress of the exchange."""

    clock: Clock
    sent: bool = False
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: str
    headers: Headers
    body: bytes | None
    most: "_Most"


@dataclass(frozen=True, slots=True)
class _Most:
    """The limits on reading the response's body."""

    max_bytes: int
    body_s: float
    cap: bool


@dataclass(frozen=True, slots=True)
class _Reach:
    """The limits on making a connection."""

    connect_s: float
    clock: Clock
    ca_file: str | None
    extra_ca_file: str
    public_only: bool


class BadAddress(HTTPError):
    """The URL cannot be called."""


def checked(headers: Headers) -> Headers:
    """Return the headers. Raises: ValueError for one that cannot be sent (never with its value)."""
    for name, value in headers:
        if not is_name(name) or name.lower() in _OURS:
            raise ValueError(f"The header {name!r} cannot be sent: not a valid name, or one that frames the request.")
        if not is_value(value.reveal() if isinstance(value, Secret) else value):
            raise ValueError(f"The value of the header {name!r} has a line break or another character not allowed.")
    return headers


def parts_as_written(url: str) -> tuple[str, str, str]:
    """Return an http(s) URL's scheme, its host with the port, and the target of a request line for it.

    The path and query are as they were written, except that what no request line can contain is percent-encoded.

    Raises: BadAddress for another URL.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise BadAddress
    scheme, authority, path = found.groups()
    return scheme, authority, quote(path if path.startswith("/") else f"/{path}", safe=_AS_WRITTEN)


def _target(url: str) -> Url:
    parts_as_written(url)
    target = parse_url(url)
    if target.scheme not in _PORTS or not target.host or target.auth:
        raise BadAddress
    return target


def _connect(target: Url, reach: _Reach) -> socket.socket:
    host, port = cast("str", target.host).strip("[]"), target.port or _PORTS[cast("str", target.scheme)]
    is_tls = target.scheme == "https"
    context = tls_context(ca_file=reach.ca_file, extra_ca_file=reach.extra_ca_file) if is_tls else None
    sock = dial(host, port, connect_s=reach.connect_s, clock=reach.clock, public_only=reach.public_only)
    if context is None:
        return sock
    return secure(sock, host, connect_s=reach.connect_s, clock=reach.clock, context=context)


class _Adapter(HTTPAdapter):
    """requests' adapter over one socket that is already connected, with TLS if required."""

    def __init__(self, target: Url, sock: BoundSocket, *, as_written: str) -> None:
        super().__init__(max_retries=0)
        self._pool = HTTPConnectionPool(cast("str", target.host), target.port, maxsize=1)
        self._pool.ConnectionCls = partial(_Connection, bound=sock, as_written=as_written)  # type: ignore[assignment]

    def get_connection_with_tls_context(self, *_: object, **__: object) -> HTTPConnectionPool:
        return self._pool

    def cert_verify(self, *_: object, **__: object) -> None:
        """Do nothing: `secure` has verified the certificate."""


class _Connection(HTTPConnection):
    """A connection for one request, to a target that requests and urllib3 would have rewritten."""

    def __init__(self, *, bound: BoundSocket, as_written: str, **options: Any) -> None:  # noqa: ANN401 - urllib3's
        super().__init__(**options)
        self._bound = bound
        self._as_written = as_written

    def connect(self) -> None:
        self.sock = self._bound

    def putrequest(self, method: str, url: str, *args: Any, **options: Any) -> None:  # noqa: ANN401, ARG002 - urllib3's
        super().putrequest(method, self._as_written, *args, **options)


def _converse(request: _Request, target: Url, sock: BoundSocket, stage: _Stage) -> HttpAnswer:
    headers = _revealed(request.headers, host=_host(target))
    prepared = requests.Request(request.method, request.url, headers=headers, data=request.body).prepare()
    stage.sent = True
    adapter = _Adapter(target, sock, as_written=parts_as_written(request.url)[2])
    response = adapter.send(prepared, stream=True)
    sock.head_allowance = None
    sock.extend(request.most.body_s)
    stage.status = response.status_code
    stage.headers = tuple(response.raw.headers.items())
    body, truncated = _read(response, request.most)
    return HttpAnswer(response.status_code, stage.headers, body, stage.clock.elapsed_ms, truncated)


def _host(target: Url) -> str:
    default = target.port in (None, _PORTS[cast("str", target.scheme)])
    return cast("str", target.host) if default else f"{target.host}:{target.port}"


def _revealed(headers: Headers, *, host: str) -> CaseInsensitiveDict[str | bytes]:
    """Return the headers to send, with values as bytes and without surrounding blanks, which are not part of a value.
    SKIP_HEADER keeps urllib3 from adding its own headers.
    """
    revealed: CaseInsensitiveDict[str | bytes] = CaseInsensitiveDict({"Host": host, "Connection": "close"})
    for name, value in headers:
        text = (value.reveal() if isinstance(value, Secret) else value).strip(" \t").encode("latin-1")
        before = revealed.get(name)
        revealed[name] = before + b", " + text if isinstance(before, bytes) else text
    for name in ("User-Agent", "Accept-Encoding"):
        revealed.setdefault(name, SKIP_HEADER)
    return revealed


def _read(response: requests.Response, most: _Most) -> tuple[bytes, bool]:
    """Return the raw bytes of the body, without decompression, and whether they were capped."""
    body = bytearray()
    while len(body) <= most.max_bytes:
        piece = response.raw.read(min(_PIECE, most.max_bytes + 1 - len(body)), decode_content=False)
        if not piece:
            return bytes(body), False
        body += piece
    if not most.cap:
        raise TooLarge
    return bytes(body[: most.max_bytes]), True


def _root(error: BaseException, *, handled: BaseException | None) -> BaseException:
    """Return the original error inside the exceptions of urllib3 and requests.

    `handled` is what the caller of the exchange is handling: the context of each error, and no part of it.
    """
    inside = [*error.args, error.__cause__, error.__context__]
    inner = next((one for one in inside if isinstance(one, BaseException) and one is not handled), None)
    return error if inner is None else _root(inner, handled=handled)


def _failure(error: BaseException, stage: _Stage) -> NoAnswer:
    return NoAnswer(
        cause=_cause(error, stage),
        sent=stage.sent,
        elapsed_ms=stage.clock.elapsed_ms,
        detail=detail(error),
        status=stage.status,
        headers=stage.headers,
    )


def _cause(error: BaseException, stage: _Stage) -> Cause:
    if isinstance(error, TooLarge):
        return Cause.TOO_LARGE
    if isinstance(error, TimeoutError):
        return Cause.TIMEOUT
    if isinstance(error, addresses.Denied):
        return Cause.DENIED
    if stage.status is not None:
        return Cause.CUT_OFF
    return cause_before_the_head(error)


def cause_before_the_head(error: BaseException) -> Cause:
    """Return the cause of a failure before the response's head had arrived."""
    if isinstance(error, BadAddress | LocationParseError | requests.exceptions.InvalidURL):
        return Cause.ADDRESS
    if isinstance(error, ssl.SSLError):
        return Cause.TLS
    if isinstance(error, socket.gaierror):
        return Cause.DNS
    if isinstance(error, ConnectionRefusedError):
        return Cause.REFUSED
    if isinstance(error, OSError):  # RemoteDisconnected too: closed without a response.
        return Cause.CONNECTION
    return Cause.GARBLED


def detail(error: BaseException) -> str:
    """Return the system's reason in words, never text from the server."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (getattr(error, "reason", None) or "").lower().replace("_", " ")
    if isinstance(error, addresses.Denied):
        return error.kind
    number = error.errno if isinstance(error, OSError) else None
    if number is not None and number in errno.errorcode:
        return os.strerror(number)  # The error's own text may name the address.
    return ""
