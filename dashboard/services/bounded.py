"""One HTTP exchange that is bounded in every direction: time, bytes, and where it may go.

Whatever the other side does (drips a byte a second into the status line, never stops sending, redirects, resets),
the call is over by its deadline, holds no more than its byte limit, and says whether the request may have arrived.

requests, with what it does of its own accord taken away: the headers, cookies, netrc passwords and proxies that it
adds, and its exceptions, which carry the request with the token in it. It bounds each recv and not the whole, so its
adapter is given connections whose socket knows the deadline (bounded_socket.py). A connection is used once: a write on
a kept one that the other side has just closed would look like a lost answer.
"""

import errno
import logging
import re
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from http.client import HTTPException
from typing import Any, cast

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError
from urllib3.util import SKIP_HEADER, Url, parse_url

from dashboard.services.bounded_socket import BoundSocket, Clock, TooLarge, dial, secure
from dashboard.vault import Secret

logging.getLogger("urllib3").setLevel(logging.ERROR)  # What it says more shows URLs, and a handler's may be secret.

_PORTS = {"http": 80, "https": 443}
_PIECE = 64 * 1024
_OURS = {"host", "content-length", "transfer-encoding", "connection"}
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

Headers = Sequence[tuple[str, str | Secret]]


class Cause(StrEnum):
    """Why there is no answer."""

    ADDRESS = "address"
    """The URL is not one that can be called: not http(s), no host, or with a user name in it."""
    DNS = "dns"
    REFUSED = "refused"
    TLS = "tls"
    CONNECTION = "connection"
    """Unreachable, reset, or closed without a word."""
    TIMEOUT = "timeout"
    GARBLED = "garbled"
    """What came is not HTTP."""
    CUT_OFF = "cut_off"
    """The body ended before its announced end."""
    TOO_LARGE = "too_large"


_WORDS = {
    Cause.ADDRESS: "the address is not a valid http or https URL",
    Cause.DNS: "the host's name could not be found",
    Cause.REFUSED: "the connection was refused",
    Cause.TLS: "no secure connection could be made",
    Cause.CONNECTION: "the connection broke",
    Cause.TIMEOUT: "no answer in time",
    Cause.GARBLED: "what came back is not HTTP",
    Cause.CUT_OFF: "the answer was cut off",
    Cause.TOO_LARGE: "the answer was too large",
}


class NoAnswer(Exception):
    """The exchange brought no whole answer.

    `sent`: False means that the request was certainly not sent (no connection was made); True means that the other
    side may have received it and acted on it. `detail` is the system's own reason, where it adds something.
    `status` and `headers` are set when the answer's head had arrived.
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
        super().__init__(f"{_WORDS[cause]} ({detail})" if detail else _WORDS[cause])
        self.cause = cause
        self.sent = sent
        self.elapsed_ms = elapsed_ms
        self.detail = detail
        self.status = status
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `body` is as it came on the wire, content-encoding and all; `headers` keep order and doubles."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    elapsed_ms: int
    truncated: bool

    def header(self, name: str) -> str | None:
        """Return the first value of a header, by its name in any case."""
        return find_header(self.headers, name)


def find_header(headers: tuple[tuple[str, str], ...], name: str) -> str | None:
    """Return the first value of a header, by its name in any case."""
    return next((value for key, value in headers if key.lower() == name.lower()), None)


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
    cap: bool = False,
    ca_file: str | None = None,
) -> Answer:
    """Send one request and return its answer, whatever its status. Redirects are answers; nothing is repeated.

    Exactly `headers` is sent, a name that is given twice as one with its values joined, with Host, Content-Length and
    Connection added: those three and Transfer-Encoding cannot be given. A value may be a `Secret`; it is revealed
    only on its way out.
    `connect_s` bounds each address's connect and the TLS handshake, `read_s` each silence, `total_s` everything.
    A body over `max_bytes` is refused, or with `cap` cut there and marked `truncated`. `ca_file` replaces the
    trusted certificates (tests); they are always verified.

    Raises: NoAnswer; ValueError for a header that cannot be sent (never with its value).
    """
    stage = _Stage(Clock(total_s=total_s))
    request = _Request(method=method, url=url, headers=_checked(headers), body=body, max_bytes=max_bytes, cap=cap)
    adapter = _BoundAdapter(stage=stage, connect_s=connect_s, read_s=read_s, ca_file=ca_file)
    try:
        return _converse(request, adapter, stage)
    except (OSError, HTTPException, HTTPError, TooLarge, requests.RequestException) as error:
        failure = _failure(_root(error), stage)
    finally:
        stage.close()
    raise failure  # Outside the handler: a chained exception's frames would hold the request's headers.


@dataclass(slots=True)
class _Stage:
    """How far the exchange has come."""

    clock: Clock
    sock: BoundSocket | None = None
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def sent(self) -> bool:
        return self.sock is not None

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close_for_good()


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: str
    headers: Headers
    body: bytes | None
    max_bytes: int
    cap: bool


class _BadAddress(HTTPError):
    pass


def _checked(headers: Headers) -> Headers:
    for name, value in headers:
        if not _NAME.fullmatch(name) or name.lower() in _OURS:
            raise ValueError(f"The header {name!r} cannot be sent: not a valid name, or one that frames the request.")
        if not _VALUE.fullmatch(value.reveal() if isinstance(value, Secret) else value):
            raise ValueError(f"The value of the header {name!r} has a line break or another character not allowed.")
    return headers


def _target(url: str) -> Url:
    target = parse_url(url)
    if target.scheme not in _PORTS or not target.host or target.auth:
        raise _BadAddress
    return target


class _BoundAdapter(HTTPAdapter):
    """requests' adapter, with a pool that lives for one exchange and connects through `bounded_socket`."""

    def __init__(self, *, stage: _Stage, connect_s: float, read_s: float, ca_file: str | None) -> None:
        super().__init__(max_retries=0)
        self._stage = stage
        self._connect_s = connect_s
        self._read_s = read_s
        self._ca_file = ca_file

    def get_connection_with_tls_context(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - requests' own types have no names at run time
        target = parse_url(cast("str", request.url))
        pool = HTTPConnectionPool(cast("str", target.host), target.port, maxsize=1)
        pool.ConnectionCls = partial(_BoundConnection, open_socket=partial(self._open, target))  # type: ignore[assignment]
        return pool

    def cert_verify(self, *_: object, **__: object) -> None:
        """Leave it to `secure`, which verifies always."""

    def _open(self, target: Url) -> BoundSocket:
        host, port = cast("str", target.host).strip("[]"), target.port or _PORTS[cast("str", target.scheme)]
        clock = self._stage.clock
        sock = dial(host, port, connect_s=self._connect_s, clock=clock)
        if target.scheme == "https":
            sock = secure(sock, host, connect_s=self._connect_s, clock=clock, ca_file=self._ca_file)
        self._stage.sock = BoundSocket(sock, clock, read_s=self._read_s)
        return self._stage.sock


class _BoundConnection(HTTPConnection):
    def __init__(self, *, open_socket: Callable[[], BoundSocket], **options: Any) -> None:  # noqa: ANN401 - urllib3's
        super().__init__(**options)
        self._open_socket = open_socket

    def connect(self) -> None:
        self.sock = self._open_socket()


def _converse(request: _Request, adapter: HTTPAdapter, stage: _Stage) -> Answer:
    headers = _revealed(request.headers, host=_host(_target(request.url)))
    prepared = requests.Request(request.method, request.url, headers=headers, data=request.body).prepare()
    with requests.Session() as session:
        session.trust_env = False
        for scheme in _PORTS:
            session.mount(f"{scheme}://", adapter)
        response = session.send(prepared, stream=True, allow_redirects=False)
        cast("BoundSocket", stage.sock).head_allowance = None
        stage.status = response.status_code
        stage.headers = tuple(response.raw.headers.items())
        body, truncated = _read(response, request)
    return Answer(response.status_code, stage.headers, body, stage.clock.elapsed_ms, truncated)


def _host(target: Url) -> str:
    default = target.port in (None, _PORTS[cast("str", target.scheme)])
    return cast("str", target.host) if default else f"{target.host}:{target.port}"


def _revealed(headers: Headers, *, host: str) -> CaseInsensitiveDict[str]:
    """Return the headers for the wire. SKIP_HEADER keeps urllib3 from adding its own."""
    revealed = CaseInsensitiveDict({"Host": host, "Connection": "close"})
    for name, value in headers:
        text = value.reveal() if isinstance(value, Secret) else value
        revealed[name] = f"{revealed[name]}, {text}" if name in revealed else text
    for name in ("User-Agent", "Accept-Encoding"):
        revealed.setdefault(name, SKIP_HEADER)
    return revealed


def _read(response: requests.Response, request: _Request) -> tuple[bytes, bool]:
    """Return the body as it came on the wire, and whether it was capped. Nothing is inflated."""
    body = bytearray()
    while len(body) <= request.max_bytes:
        piece = response.raw.read(min(_PIECE, request.max_bytes + 1 - len(body)), decode_content=False)
        if not piece:
            return bytes(body), False
        body += piece
    if not request.cap:
        raise TooLarge
    return bytes(body[: request.max_bytes]), True


def _root(error: BaseException) -> BaseException:
    """Return what really happened, from under the wrappings of urllib3 and requests."""
    inside = [*error.args, error.__cause__, error.__context__]
    inner = next((wrapped for wrapped in inside if isinstance(wrapped, BaseException)), None)
    return error if inner is None else _root(inner)


def _failure(error: BaseException, stage: _Stage) -> NoAnswer:
    return NoAnswer(
        cause=_cause(error, stage),
        sent=stage.sent,
        elapsed_ms=stage.clock.elapsed_ms,
        detail=_detail(error),
        status=stage.status,
        headers=stage.headers,
    )


def _cause(error: BaseException, stage: _Stage) -> Cause:
    if isinstance(error, TooLarge):
        return Cause.TOO_LARGE
    if isinstance(error, TimeoutError):
        return Cause.TIMEOUT
    if stage.status is not None:
        return Cause.CUT_OFF
    return _cause_before_the_head(error, stage)


def _cause_before_the_head(error: BaseException, stage: _Stage) -> Cause:
    if isinstance(error, ssl.SSLError):
        return Cause.TLS
    if isinstance(error, socket.gaierror):
        return Cause.DNS
    if isinstance(error, ConnectionRefusedError):
        return Cause.REFUSED
    if isinstance(error, OSError):  # RemoteDisconnected too: it closed without a word.
        return Cause.CONNECTION
    return Cause.GARBLED if stage.sent else Cause.ADDRESS


def _detail(error: BaseException) -> str:
    """Return the system's reason in words; nothing that the other side wrote."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, OSError) and error.errno in errno.errorcode and not isinstance(error, ssl.SSLError):
        return error.strerror or ""
    return ""
