"""Receivers for the engine to post to: one with chosen answers, and sockets that misbehave."""

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as received."""

    path: str
    headers: dict[str, str]
    header_names: list[str]
    body: bytes

    @property
    def delivery_id(self) -> str:
        return self.headers.get("X-OpenTrain-Delivery", "")


@dataclass(slots=True)
class Sink:
    """A real HTTP server; `answer` returns the status for each request, and may wait or set an event first."""

    url: str
    answer: Callable[[Received], int] = lambda received: 200  # noqa: ARG005
    requests: list[Received] = field(default_factory=list)
    most_at_once: int = 0
    doubled: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def delivery_ids(self) -> list[str]:
        return [received.delivery_id for received in self.requests]

    def always(self, status: int) -> None:
        self.answer = lambda received: status  # noqa: ARG005

    def take(self, received: Received) -> int:
        with self._lock:
            self.requests.append(received)
            if received.delivery_id in self._open:
                self.doubled.append(received.delivery_id)
            self._open.append(received.delivery_id)
            self.most_at_once = max(self.most_at_once, len(self._open))
        try:
            return self.answer(received)
        finally:
            with self._lock:
                self._open.remove(received.delivery_id)


@contextlib.contextmanager
def running_sink() -> Iterator[Sink]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received = Received(
                path=self.path, headers=dict(self.headers), header_names=list(self.headers.keys()), body=body
            )
            status = sink.take(received)
            with contextlib.suppress(ConnectionError):
                self.send_response(status)
                self.send_header("Content-Length", "5")
                self.end_headers()
                self.wfile.write(b"hello")

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # a burst of connections beyond the queue would wait a second each

    server = Server(("127.0.0.1", 0), Handler)
    sink = Sink(url=f"http://127.0.0.1:{server.server_port}/hooks")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield sink
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def read_request(connection: socket.socket) -> bytes:
    """Read one request to the end of its body; return its head."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return head


@contextlib.contextmanager
def running_socket(
    behave: Callable[[socket.socket, threading.Event], None], *, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Serve every connection with `behave`; the event passed to it is set when the test ends."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if tls is None:
                behave(connection, over)
            else:
                with tls.wrap_socket(connection, server_side=True) as secured:
                    behave(secured, over)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{listener.getsockname()[1]}/hooks"
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (acceptor, *threads):
            thread.join(timeout=60)


def answering(raw: bytes) -> Callable[[socket.socket, threading.Event], None]:
    def behave(connection: socket.socket, over: threading.Event) -> None:
        read_request(connection)
        connection.sendall(raw)

    return behave


def silent(connection: socket.socket, over: threading.Event) -> None:
    read_request(connection)
    over.wait(30)


def dripping_head(connection: socket.socket, over: threading.Event) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    while not over.wait(0.02):
        connection.sendall(b"x")


def dripping_body(connection: socket.socket, over: threading.Event) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not over.wait(0.05):
        connection.sendall(b"x")


def endless_body(connection: socket.socket, over: threading.Event) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    while not over.is_set():
        connection.sendall(b"y" * 65536)


def resetting(connection: socket.socket, over: threading.Event) -> None:
    read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def closing(connection: socket.socket, over: threading.Event) -> None:
    read_request(connection)


def unused_url() -> str:
    """Return a loopback port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}/hooks"


def wait_until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    """Poll until the condition holds; fail if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
