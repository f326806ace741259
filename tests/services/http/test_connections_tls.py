"""TLS of calls to handlers: whose certificates are trusted, and what ends a handshake."""

import asyncio
import socket
import ssl
import tracemalloc
from pathlib import Path

import pytest
import trustme

from dashboard.rules.causes import Cause
from dashboard.services.http import deadline_socket
from dashboard.services.http.connections import Connections
from tests.services import misbehaving as bad
from tests.services.http.test_connections import OK, answering, ask, fail, keeping, post
from tests.services.misbehaving import Connection, certified, misbehaving


def test_authority_of_a_company_is_trusted_beside_the_public_ones(authority: trustme.CA, ca_file: str) -> None:
    with misbehaving(keeping(OK, OK), tls=certified(authority, "localhost")) as server:
        answers = ask(server.url, server.url, extra_ca_file=ca_file)
        assert [answer.body for answer in answers] == [b"ok", b"ok"]
        error = fail(server.url)
    assert (error.cause, error.sent, error.detail) == (Cause.TLS, False, "unable to get local issuer certificate")
    public = deadline_socket.tls_context().cert_store_stats()["x509_ca"]
    assert deadline_socket.tls_context(extra_ca_file=ca_file).cert_store_stats()["x509_ca"] == public + 1


def test_authority_that_replaces_another_in_the_file_is_trusted_from_then_on(
    authority: trustme.CA, tmp_path: Path
) -> None:
    new, ca_file = trustme.CA(), str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(ca_file)
    with misbehaving(bad.answer(200), tls=certified(new, "localhost")) as server:
        assert fail(server.url, extra_ca_file=ca_file).cause is Cause.TLS
        new.cert_pem.write_to_path(ca_file)
        assert ask(server.url, extra_ca_file=ca_file)[0].status == 200


def test_authorities_that_cannot_be_read_while_running_are_a_tls_fault_and_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with misbehaving(bad.answer(200)) as server:
        error = fail(server.url.replace("http:", "https:"), extra_ca_file=str(tmp_path / "gone.pem"))
        assert server.connections == 0
    assert (error.cause, error.sent) == (Cause.TLS, False)
    assert "the certificate authorities cannot be read" in caplog.text


def test_host_with_a_trailing_dot_is_verified_without_it(authority: trustme.CA, ca_file: str) -> None:
    with misbehaving(bad.answer(200), tls=certified(authority, "handler.example")) as server:
        (answer,) = ask(
            f"https://handler.example.:{server.port}/", extra_ca_file=ca_file, look_up=lambda _: ("127.0.0.1",)
        )
    assert answer.status == 200
    assert server.requests[0].values("Host") == [f"handler.example:{server.port}"]


def test_certificate_of_another_host_is_refused(authority: trustme.CA, ca_file: str) -> None:
    with misbehaving(bad.answer(200), tls=certified(authority, "other.example")) as server:
        error = fail(server.url, extra_ca_file=ca_file)
    assert (error.cause, server.requests) == (Cause.TLS, [])


def test_kept_tls_connection_that_ends_before_the_first_byte_is_dialled_anew_as_the_same_call(
    authority: trustme.CA, ca_file: str
) -> None:
    def stale(connection: Connection) -> None:
        answering(OK)(connection)
        bad.hanging_up(connection)

    with misbehaving(stale, keeping(OK), tls=certified(authority, "localhost")) as server:
        answers = ask(server.url, server.url, extra_ca_file=ca_file)
    assert [answer.status for answer in answers] == [200, 200]
    assert (server.connections, len(server.requests)) == (2, 3)


def test_tls_connections_that_wait_cost_little_memory(authority: trustme.CA, ca_file: str) -> None:
    """asyncio would reserve 256 KiB for reading from each."""
    count = 100
    with misbehaving(bad.silent, tls=certified(authority, "localhost")) as server:

        async def main() -> int:
            async with Connections() as pool:
                tracemalloc.start()
                before = tracemalloc.get_traced_memory()[0]
                waiting = [asyncio.create_task(post(pool, server.url, extra_ca_file=ca_file)) for _ in range(count)]
                await asyncio.to_thread(server.wait_for_requests, count)
                used = tracemalloc.get_traced_memory()[0] - before
                tracemalloc.stop()
                for task in waiting:
                    task.cancel()
                return used

        assert asyncio.run(main()) < count * 64 * 1024


def speak_first(connection: Connection) -> None:
    connection.sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    connection.server.stopping.wait(bad.PATIENCE_S)


def test_plain_http_on_a_tls_port_is_a_tls_fault() -> None:
    with misbehaving(speak_first) as server:
        assert fail(server.url.replace("http:", "https:")).cause is Cause.TLS


def test_tls_handshake_that_hangs_ends_at_the_deadline() -> None:
    with misbehaving(bad.deaf) as server:
        error = fail(server.url.replace("http:", "https:"), total_s=0.3)
    assert (error.cause, error.sent) == (Cause.TIMEOUT, False)


def test_body_until_the_end_of_a_tls_connection_without_a_farewell_is_whole(
    authority: trustme.CA, ca_file: str
) -> None:
    def abrupt(connection: Connection) -> None:
        connection.read_request()
        connection.sock.sendall(bad.head(200) + b"all")
        connection.sock.shutdown(socket.SHUT_RDWR)

    with misbehaving(abrupt, tls=certified(authority, "localhost")) as server:
        (answer,) = ask(server.url, extra_ca_file=ca_file)
    assert (answer.status, answer.body, answer.fault) == (200, b"all", Cause.NONE)


def test_server_with_tls_1_2_is_called(authority: trustme.CA, ca_file: str) -> None:
    context = certified(authority, "localhost")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with misbehaving(bad.answer(200), tls=context) as server:
        assert ask(server.url, extra_ca_file=ca_file)[0].status == 200
