"""Support for the engine's benchmarks and fault tests: a separate database with thousands of rows, and a sink in a
separate process that responds and counts."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
from cryptography.fernet import Fernet

from dashboard.launch import postgres

ROOT = Path(__file__).parents[2]
ENDPOINTS = 100
BODY_BYTES = 600

_LOAD = """
WITH app AS (
    INSERT INTO partner_api_app (id, slug, name, status, created_at)
    VALUES ('app_1', 'bench', 'Bench', 'ACTIVE', now()) RETURNING id
), install AS (
    INSERT INTO partner_api_install (id, app_id, organization_id, organization_name, status, scopes, pii_consent,
                                     feature_enabled, created_at)
    SELECT 'ins_1', id, 'org_1', 'Bench', 'ACTIVE', '{webhooks:manage}', false, true, now() FROM app RETURNING id
)
INSERT INTO partner_api_endpoint (id, install_id, url, event_types, secret_sealed, status, consecutive_failures,
                                  created_at)
SELECT 'whe_' || lpad(to_hex(number), 32, '0'), install.id, %(url)s, '{contract.started}', %(secret)s, 'ACTIVE',
       0, now()
  FROM install, generate_series(1, %(endpoints)s) AS number
"""
_EVENTS = """
INSERT INTO partner_api_event (id, install_id, type, resource_id, body, created_at)
SELECT number, 'ins_1', 'contract.started', 'ctr_1', convert_to(rpad('{"id":"evt_' || lpad(number::text, 19, '0')
       || '","data":{"note":"', %(bytes)s - 3, 'x') || '"}}', 'UTF8'), now()
  FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS number
"""
_DELIVERIES = """
INSERT INTO partner_api_delivery (id, event_id, endpoint_id, status, round, tries, attempts, next_attempt_at,
                                  created_at)
SELECT 'dlv_' || lpad(to_hex(number), 12, '0') || substr(md5(number::text), 1, 20), number,
       'whe_' || lpad(to_hex(1 + number %% %(endpoints)s), 32, '0'), %(status)s,
       1, 0, 0, CASE WHEN %(status)s = 'PENDING' THEN now() - interval '1 hour' + number * interval '1 microsecond' END,
       now()
  FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS number
"""


@contextlib.contextmanager
def database(*, durable: bool = True) -> Iterator[tuple[postgres.Server, dict[str, str]]]:
    """Yield a new server with a migrated database, and the environment of Partner API processes that use it."""
    folder = Path(tempfile.mkdtemp(prefix="redeliver-bench-"))
    folder.chmod(0o711)
    server = postgres.start(folder=folder, durable=durable)
    try:
        environment = os.environ | {
            "PARTNER_API_KEYS": Fernet.generate_key().decode(),
            "PARTNER_API_RUN_INTERVAL_S": "1",
            "DJANGO_SETTINGS_MODULE": "dashboard.partner_api.settings",
            "PYTHONUNBUFFERED": "1",
        }
        yield server, migrated(server, environment, database="partner_api")
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def migrated(server: postgres.Server, environment: dict[str, str], *, database: str) -> dict[str, str]:
    """Create a database on the server and migrate it; return the environment of processes that use it."""
    server.create_database(database)
    environment = environment | {"PARTNER_API_DATABASE_URL": server.url(database)}
    migrate = [sys.executable, "manage.py", "migrate", "--noinput"]
    subprocess.run(migrate, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    return environment


def load_endpoints(url: str, *, target: str, keys: str, count: int = ENDPOINTS) -> None:
    """Create an install with `count` endpoints that all deliver to `target`."""
    secret = Fernet(keys).encrypt(b"whsec_" + b"a" * 43).decode()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE partner_api_app CASCADE")
        connection.execute(_LOAD, {"url": target, "secret": secret, "endpoints": count})


def load_deliveries(url: str, *, first: int, count: int, status: str = "PENDING", endpoints: int = ENDPOINTS) -> None:
    """Create `count` events with one delivery each, spread over the endpoints."""
    values = {"first": first, "last": first + count - 1, "bytes": BODY_BYTES, "status": status, "endpoints": endpoints}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_EVENTS, values)
        connection.execute(_DELIVERIES, values)
        connection.execute("VACUUM ANALYZE")


@contextlib.contextmanager
def sink() -> Iterator[str]:
    """Run a receiver in a separate process that returns 200 at once and keeps connections open; yield its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.engine_rows"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)
        process.stdout.close()


class _Answer(asyncio.Protocol):
    """The part of HTTP needed to respond to POST requests with a Content-Length."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data
        while b"\r\n\r\n" in self.data:
            head, _, rest = self.data.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            if len(rest) < length:
                return
            self.data = rest[length:]
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")  # type: ignore[attr-defined]


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Answer, "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"url": f"http://127.0.0.1:{port}/hooks"}), flush=True)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.close)
    with contextlib.suppress(asyncio.CancelledError):
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
