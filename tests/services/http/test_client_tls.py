"""One HTTPS exchange: accepted certificates, and servers that cannot be verified, hang or drip."""

import socket
from pathlib import Path

import pytest
import trustme

from dashboard.rules.causes import Cause
from tests.services import misbehaving as bad
from tests.services.exchanging import TOTAL_S, ask, fail
from tests.services.misbehaving import Behaviour, certified, misbehaving


def test_certificate_of_a_known_authority_is_taken(authority: trustme.CA, ca_file: str) -> None:
    with misbehaving(bad.answer(200, b"{}"), tls=certified(authority, "localhost")) as server:
        assert ask(server.url, ca_file=ca_file).body == b"{}"
    assert server.requests[0].values("Host") == [f"localhost:{server.port}"]


def test_authority_that_replaces_another_in_the_file_is_trusted_from_then_on(
    authority: trustme.CA, tmp_path: Path
) -> None:
    """A process runs for months. Certificates change meanwhile, and each exchange verifies with those of now."""
    new, ca_file = trustme.CA(), str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(ca_file)
    with misbehaving(bad.answer(200, b"{}"), tls=certified(authority, "localhost")) as server:
        assert ask(server.url, ca_file=ca_file).body == b"{}"
    with misbehaving(bad.answer(200, b"{}"), tls=certified(new, "localhost")) as server:
        assert fail(server.url, ca_file=ca_file).cause == Cause.TLS
        new.cert_pem.write_to_path(ca_file)
        assert ask(server.url, ca_file=ca_file).body == b"{}"
    with misbehaving(bad.answer(200, b"{}"), tls=certified(authority, "localhost")) as server:
        assert fail(server.url, ca_file=ca_file).cause == Cause.TLS


def test_authority_of_a_company_is_trusted_beside_the_public_ones(authority: trustme.CA, ca_file: str) -> None:
    with misbehaving(bad.answer(200, b"{}"), tls=certified(authority, "localhost")) as server:
        assert fail(server.url).cause == Cause.TLS
        assert ask(server.url, extra_ca_file=ca_file).body == b"{}"


def test_host_with_a_trailing_dot_is_verified_without_it(
    authority: trustme.CA, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _host, *args, **named: real("127.0.0.1", *args, **named))
    with misbehaving(bad.answer(200, b"{}"), tls=certified(authority, "handler.example")) as server:
        assert ask(f"https://handler.example.:{server.port}/", ca_file=ca_file).body == b"{}"


@pytest.mark.parametrize(
    ("name", "known", "detail"),
    [
        ("localhost", False, "unable to get local issuer certificate"),
        ("other.example.com", True, "Hostname mismatch, certificate is not valid for 'localhost'."),
    ],
    ids=["unknown authority", "wrong host"],
)
def test_certificate_that_cannot_be_verified_is_a_tls_fault_that_was_not_sent(
    authority: trustme.CA, ca_file: str, name: str, known: bool, detail: str
) -> None:
    with misbehaving(bad.answer(200), tls=certified(authority, name)) as server:
        error = fail(server.url, ca_file=ca_file if known else None)
    assert (error.cause, error.sent, error.detail) == (Cause.TLS, False, detail)
    assert str(error) == f"the TLS connection failed ({detail})"
    assert server.requests == []


def speak_http_at_once(connection: bad.Connection) -> None:
    connection.sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    connection.server.stopping.wait(bad.PATIENCE_S)


def test_plain_http_on_a_tls_port_is_a_tls_fault_that_was_not_sent() -> None:
    with misbehaving(speak_http_at_once) as server:
        error = fail(server.url.replace("http:", "https:"))
    assert (error.cause, error.sent) == (Cause.TLS, False)
    assert str(error) == "the TLS connection failed (wrong version number)"


def drip_a_handshake(connection: bad.Connection) -> None:
    for byte in b"\x16\x03\x03\x40\x00" + b"a" * 2000:
        if connection.server.stopping.wait(0.05):
            return
        connection.sock.sendall(bytes([byte]))


@pytest.mark.parametrize("behaviour", [bad.deaf, drip_a_handshake])
def test_tls_handshake_that_hangs_or_drips_is_a_timeout_that_was_not_sent(behaviour: Behaviour) -> None:
    with misbehaving(behaviour) as server:
        error = fail(server.url.replace("http:", "https:"), connect_s=0.3)
    assert (error.cause, error.sent) == (Cause.TIMEOUT, False)


def test_body_that_drips_under_tls_ends_at_the_deadline(authority: trustme.CA, ca_file: str) -> None:
    behaviour = bad.dripping(bad.head(200, "Content-Length: 500"), b"a" * 2000, every_s=0.05)
    with misbehaving(behaviour, tls=certified(authority, "localhost")) as server:
        error = fail(server.url, ca_file=ca_file, total_s=TOTAL_S)
    assert (error.cause, error.sent, error.status) == (Cause.TIMEOUT, True, 200)


def test_large_body_goes_out_whole_under_tls(authority: trustme.CA, ca_file: str) -> None:
    body = bytes(range(256)) * 8192
    with misbehaving(bad.answer(200), tls=certified(authority, "localhost")) as server:
        ask(server.url, ca_file=ca_file, method="POST", body=body)
    assert server.requests[0].body == body
