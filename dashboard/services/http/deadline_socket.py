"""A socket with a deadline for all waits.

Every send and recv gets the time left until the deadline as its time-out, so no watchdog thread is needed. Names are
resolved in a separate thread, because the system's resolver accepts no time-out; after the deadline that thread is
abandoned and ends with the resolver.
"""

import io
import os
import select
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

import certifi

from dashboard import addresses

HEAD_BYTES = 64 * 1024
"""Maximum size of a response's status line and headers, in bytes, including interim 1xx responses."""

READ_BYTES = 8 * 1024
"""Most bytes read at once. Python's own, 128 KiB from 3.14 on, would take a body for a head that is too large."""


NEXT_ADDRESS_S = 0.25
"""Seconds after which the next address is tried beside one that has not accepted yet. Source: RFC 8305, 8."""

_Address = tuple[Any, ...]
"""An address as `getaddrinfo` returns it."""


class TooLarge(Exception):
    """The response exceeds its byte limit."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The deadline of an exchange, `total_s` seconds after creation."""

    total_s: float
    started: float = field(default_factory=time.monotonic)

    def left(self, most_s: float) -> float:
        """Return a time-out in seconds, at most `most_s`, not beyond the deadline. Raises: TimeoutError after it."""
        left_s = self.started + self.total_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return min(most_s, left_s)

    @property
    def elapsed_ms(self) -> int:
        return round((time.monotonic() - self.started) * 1000)


def dial(host: str, port: int, *, connect_s: float, clock: Clock, public_only: bool) -> socket.socket:
    """Connect to the host's address that accepts first (Happy Eyeballs, RFC 8305).

    The next address is tried beside one that has not accepted within NEXT_ADDRESS_S, and at once after one that failed.
    `connect_s` is how long all of them may take once the last one is tried. With `public_only`, addresses that are not
    public are skipped without sending a packet (addresses.py).

    Raises: OSError of the last address to fail if none accepts.
    """
    last: OSError = TimeoutError()
    left, tried = _by_turns(_resolve(host, port, clock)), list[socket.socket]()
    try:
        while left or tried:
            if left:
                try:
                    tried.append(_begin(left.pop(0), public_only=public_only))
                except OSError as error:
                    last = error
                    continue
            ended = _ended(tried, within_s=clock.left(NEXT_ADDRESS_S if left else connect_s))
            if not ended and not left:
                raise TimeoutError
            for sock in ended:
                tried.remove(sock)
                number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not number:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # Head and body go out as two writes.
                    return sock
                sock.close()
                last = OSError(number, os.strerror(number))
    finally:
        for sock in tried:
            sock.close()
    raise last


def _by_turns(found: list[_Address]) -> list[_Address]:
    """Return the addresses so that those of both families take turns, beginning with the resolver's first."""
    alike = [one for one in found if one[0] == found[0][0]]
    others = [one for one in found if one[0] != found[0][0]]
    return [one for pair in zip_longest(alike, others) for one in pair if one is not None]


def _begin(found: _Address, *, public_only: bool) -> socket.socket:
    """Return a socket that begins to connect. Raises: OSError."""
    family, kind, protocol, _, address = found
    if public_only:
        addresses.check(address[0])
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.connect(address)
    except BlockingIOError:
        return sock
    except BaseException:
        sock.close()
        raise
    return sock


def _ended(tried: list[socket.socket], *, within_s: float) -> list[socket.socket]:
    """Wait until one of them is connected or has failed; return those that are or have."""
    poll = select.poll()
    for sock in tried:
        poll.register(sock, select.POLLOUT)
    ready = {descriptor for descriptor, _ in poll.poll(within_s * 1000)}
    return [sock for sock in tried if sock.fileno() in ready]


def secure(sock: socket.socket, host: str, *, connect_s: float, clock: Clock, context: ssl.SSLContext) -> socket.socket:
    """Return the socket with TLS, after verifying the certificate for `host` within `connect_s` seconds.

    A trailing dot makes a host absolute in DNS only; certificates are without it.

    Raises: OSError (including ssl.SSLError), after closing the socket.
    """
    try:
        sock.settimeout(clock.left(connect_s))  # ssl applies it to the whole handshake, not to each recv.
        return context.wrap_socket(sock, server_hostname=host.rstrip("."))
    except BaseException:
        sock.close()
        raise


class BoundSocket:
    """The part of a socket that urllib3 and http.client use, with limited waits. The owner closes the real socket."""

    def __init__(self, sock: socket.socket, clock: Clock, *, read_s: float) -> None:
        self._sock = sock
        self._clock = clock
        self._read_s = read_s
        self.head_allowance: int | None = HEAD_BYTES

    def extend(self, more_s: float) -> None:
        """Move the deadline `more_s` seconds back, for what remains to be read."""
        self._clock = replace(self._clock, total_s=self._clock.total_s + more_s)

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._sock.settimeout(self._clock.left(self._read_s))
            view = view[self._sock.send(view) :]

    def recv_into(self, buffer: memoryview) -> int:
        self._sock.settimeout(self._clock.left(self._read_s))
        count = self._sock.recv_into(buffer)
        if self.head_allowance is not None:
            self.head_allowance -= count
            if self.head_allowance < 0:
                raise TooLarge
        return count

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self), buffer_size=READ_BYTES)

    def settimeout(self, _timeout: object) -> None:
        """Ignore urllib3's time-out, which applies to each recv."""

    def close(self) -> None:
        """Do nothing: the response may still be read after urllib3 has closed the connection. The owner closes it."""


class _Reader(io.RawIOBase):
    def __init__(self, sock: BoundSocket) -> None:
        super().__init__()
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - Python 3.11 has no type for buffers
        return self._sock.recv_into(memoryview(buffer))


def tls_context(*, ca_file: str | None = None, extra_ca_file: str = "") -> ssl.SSLContext:
    """Return a verifying TLS context with the certificates that the files hold now.

    `ca_file` replaces the public authorities; `extra_ca_file` adds to them, for companies with an authority of their
    own. Raises: OSError.
    """
    return _loaded(_version(ca_file or certifi.where()), _version(extra_ca_file) if extra_ca_file else None)


def _version(path: str) -> tuple[str, int, int, int]:
    found = Path(path).stat()
    return path, found.st_mtime_ns, found.st_size, found.st_ino


@lru_cache(maxsize=8)
def _loaded(trusted: tuple[str, int, int, int], extra: tuple[str, int, int, int] | None) -> ssl.SSLContext:
    """Return the context of one version of the files, cached because reading the certificates takes 20 ms."""
    context = ssl.create_default_context(cafile=trusted[0])
    if extra is not None:
        context.load_verify_locations(cafile=extra[0])
    return context


def _resolve(host: str, port: int, clock: Clock) -> list[_Address]:
    found: list[_Address] = []
    errors: list[OSError] = []

    def look_up() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            errors.append(error if isinstance(error, OSError) else socket.gaierror(socket.EAI_NONAME, "not a name"))

    thread = threading.Thread(target=look_up, name="resolve", daemon=True)
    thread.start()
    thread.join(clock.left(clock.total_s))
    if errors:
        raise errors[0]
    if not found:
        raise TimeoutError
    return found
