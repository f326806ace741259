"""gunicorn's threaded worker with a limit on how long one connection may occupy a thread.

gthread waits for a new connection's first byte outside of its threads. After that, a client that sends a byte a minute
or never reads its response occupies a thread forever: `timeout` applies to workers, not to connections. Here a request
must arrive completely within PATIENCE_S, and a response of which nothing is read for that long is aborted. A buffering
proxy in front keeps such clients away entirely (docs/operations.md).

Idle connections are kept for long, for load balancers. They keep nobody out: when a process has as many connections as
it may have, the oldest idle ones are closed.
"""

import contextlib
import errno
import os
import socket
import struct
import time
from itertools import islice
from typing import Any

from gunicorn import util
from gunicorn.workers.gthread import TConn, ThreadWorker

from dashboard.launch.stack_room import with_room

PATIENCE_S = int(os.environ.get("WEB_PATIENCE_S", "30"))
"""Maximum time for a request to arrive, in seconds. At 30 s the largest accepted body, 2 MiB, needs 0.6 Mbit/s."""
UNREAD_BYTES = 256 * 1024
"""Approximate send buffer of the kernel for an unread response, in bytes. Its default is megabytes per connection."""

MADE_ROOM = 100
"""Idle connections that are closed at once when a process has no room for another one."""


class WebWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - gunicorn's
        super().__init__(*args, **options)
        self._begun: dict[TConn, float] = {}

    def handle(self, conn: TConn) -> Any:  # noqa: ANN401 - gunicorn's
        """Handle one request, in a thread."""
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", PATIENCE_S, 0))
        self._begun[conn] = time.monotonic()
        try:
            goes_on = with_room(super().handle, conn)
            if not goes_on:
                _linger(conn.sock)
        finally:
            del self._begun[conn]
        return goes_on

    def handle_request(self, req: Any, conn: TConn) -> Any:  # noqa: ANN401 - gunicorn's
        try:
            return super().handle_request(req, conn)
        except BlockingIOError:  # raised after SO_SNDTIMEO; gunicorn would log it as an application error
            with contextlib.suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RD)  # do not wait for the client any longer
            raise BrokenPipeError(errno.EPIPE, "the client does not read its response") from None

    def murder_keepalived(self, force: bool = False) -> None:
        """Close idle connections that have expired, and the oldest ones while there is no room for others."""
        if not force and self.nr_conns >= self.worker_connections:
            now = time.monotonic()
            for conn in islice(self.keepalived_conns, MADE_ROOM):
                conn.timeout = now
        super().murder_keepalived(force=force)

    def finish_request(self, conn: TConn, fs: Any) -> None:  # noqa: ANN401 - gunicorn's
        super().finish_request(conn, fs)
        if self.pending_conns and self.pending_conns[-1] is conn:  # gunicorn gives it the time of an idle connection
            conn.timeout = min(conn.timeout, time.monotonic() + PATIENCE_S)

    def murder_pending(self) -> None:
        """Shut down connections that have waited too long. gunicorn's loop calls it every second."""
        super().murder_pending()
        late = time.monotonic() - PATIENCE_S
        for conn, begun in list(self._begun.items()):
            if begun < late:
                # The reading thread sees the end of the stream. A response that is being sent continues.
                with contextlib.suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RD)


def _linger(sock: socket.socket) -> None:
    """Close the sending side, and wait up to 2 s for the client to close as well.

    gunicorn waits the same way in the only thread that accepts connections, where a few clients that do not close would
    block all others. It waits again after this, but then there is nothing left to wait for.
    """
    with contextlib.suppress(OSError):
        util.close_graceful(sock.dup())
        sock.shutdown(socket.SHUT_RD)
