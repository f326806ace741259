"""A real HTTP server that misbehaves.

    with misbehaving(reset_after_request, answer(200, b"{}")) as server:
        …                       # server.url; the first connection is reset, all later ones are answered
    assert len(server.requests) == 2

A behaviour is a function that handles one connection. Each connection gets the next of the list; the last one repeats.
"""

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import trustme

PATIENCE_S = 30
"""Seconds that the server waits for anything; a test that hangs ends after them."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as received."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass(slots=True)
class Server:
    """The state that a behaviour and a test share. `connections` counts every accepted connection."""

    port: int
    scheme: str
    stopping: threading.Event = field(default_factory=threading.Event)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    def wait_for_requests(self, count: int) -> None:
        """Wait until this many requests have arrived. Raises: TimeoutError."""
        end = time.monotonic() + PATIENCE_S
        while len(self.requests) < count:
            if time.monotonic() > end:
                raise TimeoutError
            time.sleep(0.005)


@dataclass(frozen=True, slots=True)
class Connection:
    """One accepted connection."""

    sock: socket.socket
    server: Server

    def read_request(self) -> Request:
        with self.sock.makefile("rb") as stream:
            method, target, _ = stream.readline().decode("latin-1").split(" ", 2)
            headers = tuple(_header(line) for line in iter(stream.readline, b"\r\n"))
            length = next((int(value) for key, value in headers if key.lower() == "content-length"), 0)
            request = Request(method, target, headers, stream.read(length))
        self.server.requests.append(request)
        return request


Behaviour = Callable[[Connection], None]


@contextlib.contextmanager
def misbehaving(
    *behaviours: Behaviour, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1"
) -> Iterator[Server]:
    """Serve on a free loopback port until the block ends; by then every thread has ended."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:
        server = Server(port=listener.getsockname()[1], scheme="https" if tls else "http")
        threads: list[threading.Thread] = []
        acceptor = threading.Thread(target=_accept, args=(listener, server, behaviours, tls, threads))
        acceptor.start()
        try:
            yield server
        finally:
            server.stopping.set()
            listener.shutdown(socket.SHUT_RDWR)
            for thread in [acceptor, *threads]:
                thread.join(PATIENCE_S)


def answer(
    status: int, body: bytes = b"", *, headers: Sequence[str] = (), content_type: str = "application/json"
) -> Behaviour:
    """Answer correctly."""
    return raw(head(status, f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers) + body)


def head(status: int, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} Whatever", *headers, "", ""]).encode("latin-1")


def raw(data: bytes) -> Behaviour:
    """Read the request, send these bytes, close."""

    def behave(connection: Connection) -> None:
        connection.read_request()
        connection.sock.sendall(data)

    return behave


def dripping(at_once: bytes, slowly: bytes, *, every_s: float) -> Behaviour:
    """Read the request, send the first bytes at once and the others one by one."""

    def behave(connection: Connection) -> None:
        connection.read_request()
        connection.sock.sendall(at_once)
        for byte in slowly:
            if connection.server.stopping.wait(every_s):
                return
            connection.sock.sendall(bytes([byte]))

    return behave


def endless(at_once: bytes, piece: bytes) -> Behaviour:
    """Read the request, then send the piece again and again until the client disconnects."""

    def behave(connection: Connection) -> None:
        connection.read_request()
        connection.sock.sendall(at_once)
        while not connection.server.stopping.is_set():
            connection.sock.sendall(piece)

    return behave


def silent(connection: Connection) -> None:
    """Read the request and send nothing."""
    connection.read_request()
    connection.server.stopping.wait(PATIENCE_S)


def deaf(connection: Connection) -> None:
    """Accept, and read nothing."""
    connection.server.stopping.wait(PATIENCE_S)


def hanging_up(connection: Connection) -> None:
    """Read the request and close without an answer."""
    connection.read_request()


def reset_before_request(connection: Connection) -> None:
    """Reset the connection when the request begins to arrive, without reading it."""
    connection.sock.recv(1, socket.MSG_PEEK)  # not sooner: the connect itself could fail, which is another case
    _reset(connection.sock)


def reset_after_request(connection: Connection) -> None:
    """Read the request, then reset the connection."""
    connection.read_request()
    _reset(connection.sock)


def reset_within(at_once: bytes) -> Behaviour:
    """Read the request, send these bytes, then reset the connection once they have been read."""

    def behave(connection: Connection) -> None:
        connection.read_request()
        connection.sock.sendall(at_once)
        connection.server.stopping.wait(0.1)  # a reset overtakes what is still in flight
        _reset(connection.sock)

    return behave


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + end


def closed_port() -> int:
    """Return a loopback port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def nobody_answers(family: socket.AddressFamily, address: tuple[str, int]) -> Iterator[None]:
    """Hold a port whose queue is full: connects to it are neither accepted nor refused."""
    with socket.create_server(address, family=family, backlog=0) as full, contextlib.ExitStack() as opened:
        for _ in range(4):
            sock = opened.enter_context(socket.socket(family))
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        yield


def certified(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """Return a context that serves TLS under these names, with a certificate of that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def _accept(
    listener: socket.socket,
    server: Server,
    behaviours: Sequence[Behaviour],
    tls: ssl.SSLContext | None,
    threads: list[threading.Thread],
) -> None:
    while not server.stopping.is_set():
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        behaviour = behaviours[min(server.connections, len(behaviours) - 1)]
        server.connections += 1
        thread = threading.Thread(target=_serve, args=(sock, server, behaviour, tls))
        threads.append(thread)
        thread.start()


def _serve(sock: socket.socket, server: Server, behaviour: Behaviour, tls: ssl.SSLContext | None) -> None:
    sock.settimeout(PATIENCE_S)
    with contextlib.suppress(OSError, ValueError):  # the client has disconnected, which many tests intend
        try:
            sock = tls.wrap_socket(sock, server_side=True) if tls else sock
            behaviour(Connection(sock, server))
        finally:
            sock.close()


def _reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def _header(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode("latin-1").rstrip("\r\n").partition(":")
    return name, value.removeprefix(" ")
