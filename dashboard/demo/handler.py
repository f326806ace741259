"""The demo's partner: a real HTTP server whose handlers return 503 while they are switched to broken.

Standard library only. `POST /<name>/webhooks` is a handler; `GET` and `PUT /control/<name>` get and set whether it is
broken and require the token.
"""

import hmac
import json
import logging
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

logger = logging.getLogger(__name__)
MAX_BYTES = 2 * 1024 * 1024


@dataclass
class Switches:
    """The set of broken handlers, stored in a file so that it survives a restart."""

    path: Path
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def is_broken(self, name: str) -> bool:
        return name in self._broken()

    def turn(self, name: str, *, broken: bool) -> None:
        with self._lock:
            names = self._broken() | {name} if broken else self._broken() - {name}
            unfinished = self.path.with_suffix(".new")
            unfinished.write_text(json.dumps(sorted(names)))
            unfinished.replace(self.path)

    def _broken(self) -> set[str]:
        return set(json.loads(self.path.read_text())) if self.path.exists() else set()


class DemoServer(ThreadingHTTPServer):
    """The server, bound to loopback; the caller runs `serve_forever`."""

    daemon_threads = True

    def __init__(self, *, port: int, token: str, switches: Switches) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.token = token
        self.switches = switches


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _demo(self) -> DemoServer:
        return cast("DemoServer", self.server)

    def do_GET(self) -> None:
        name = self._controlled()
        if name is not None:
            self._answer(200, {"broken": self._demo.switches.is_broken(name)})

    def do_HEAD(self) -> None:
        name, _, rest = self.path.strip("/").partition("/")
        self._answer(404 if rest != "webhooks" else 503 if self._demo.switches.is_broken(name) else 405, {})

    def do_PUT(self) -> None:
        name, body = self._controlled(), self._body()
        if name is not None:
            self._demo.switches.turn(name, broken=json.loads(body)["broken"] is True)
            self._answer(200, {"broken": self._demo.switches.is_broken(name)})

    def do_POST(self) -> None:
        self._body()
        name, _, rest = self.path.strip("/").partition("/")
        if rest != "webhooks":
            self._answer(404, {"error": "There is no handler here."})
        elif self._demo.switches.is_broken(name):
            self._answer(503, {"error": "The demo's handler is broken: repair it in the console."})
        else:
            self._answer(200, {"ok": True})

    def _controlled(self) -> str | None:
        """Return the handler that the request may control; otherwise respond and return None."""
        if not self.path.startswith("/control/"):
            self._answer(404, {"error": "There is nothing here."})
            return None
        given = self.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self._demo.token}".encode()):
            self._answer(401, {"error": "Only the demo's console may do this."})
            return None
        return self.path.removeprefix("/control/")

    def _body(self) -> bytes:
        return self.rfile.read(min(int(self.headers.get("Content-Length") or 0), MAX_BYTES))

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        logger.info(format, *args)
