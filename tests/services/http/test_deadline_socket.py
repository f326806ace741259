"""A connection: resolved and dialled within its deadline, address by address."""

import errno
import socket
import threading
import time
from typing import Any

import pytest

from dashboard.rules.causes import Cause
from dashboard.services.http import client as http_client
from dashboard.services.http import deadline_socket
from dashboard.services.http.client import NoAnswer
from dashboard.services.http.deadline_socket import BoundSocket, Clock
from tests.services import misbehaving as bad
from tests.services.exchanging import HURRIED, PATIENT_S, SLACK_S, TOTAL_S, ask, fail
from tests.services.misbehaving import misbehaving, nobody_answers


def test_head_larger_than_its_limit_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline_socket, "HEAD_BYTES", 100)
    with misbehaving(bad.answer(200, headers=["X-A: " + "a" * 100])) as server:
        error = fail(server.url)
    assert (error.cause, error.sent) == (Cause.TOO_LARGE, True)


def test_reset_while_connecting_was_certainly_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def reset(*_args: Any, **_named: Any) -> None:
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    monkeypatch.setattr(http_client, "dial", reset)
    error = fail("http://localhost/")
    assert (error.cause, error.sent) == (Cause.CONNECTION, False)
    assert str(error) == "the connection broke (Connection reset by peer)"


def test_unknown_name_was_certainly_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: Any, **_named: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = fail("http://nowhere.example.com/")
    assert (error.cause, error.sent, str(error)) == (Cause.DNS, False, "the host name was not found")


def test_resolver_that_hangs_is_a_timeout_that_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    release, real = threading.Event(), socket.getaddrinfo

    def hanging(*args: Any, **named: Any) -> Any:
        release.wait(bad.PATIENCE_S)
        return real(*args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    started = time.monotonic()
    with pytest.raises(NoAnswer) as caught:
        ask("http://localhost/", **HURRIED)
    assert (caught.value.cause, caught.value.sent) == (Cause.TIMEOUT, False)
    assert TOTAL_S <= time.monotonic() - started < TOTAL_S + SLACK_S
    release.set()
    for thread in threading.enumerate():
        if thread.name == "resolve":
            thread.join(bad.PATIENCE_S)
            assert not thread.is_alive()


def at(monkeypatch: pytest.MonkeyPatch, *addresses: str, port: int) -> None:
    """Let every name have these addresses."""
    found = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
        if ":" in address
        else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
        for address in addresses
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_named: found)


def test_connect_that_hangs_is_a_timeout_that_was_not_sent() -> None:
    port = bad.closed_port()
    with nobody_answers(socket.AF_INET, ("127.0.0.1", port)):
        error = fail(f"http://127.0.0.1:{port}/", **HURRIED)
    assert (error.cause, error.sent) == (Cause.TIMEOUT, False)


def test_second_address_is_tried_when_the_first_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with misbehaving(bad.answer(200)) as server:
        at(monkeypatch, "::1", "127.0.0.1", port=server.port)
        assert ask("http://both.example.com/").status == 200
    assert server.requests[0].values("Host") == ["both.example.com"]


def test_second_address_is_tried_beside_a_first_that_nobody_answers_at(monkeypatch: pytest.MonkeyPatch) -> None:
    with misbehaving(bad.answer(200)) as server, nobody_answers(socket.AF_INET6, ("::1", server.port)):
        at(monkeypatch, "::1", "127.0.0.1", port=server.port)
        assert ask("http://both.example.com/").elapsed_ms < 5_000  # 250, on a machine that has time


def test_first_address_that_is_slow_still_wins_over_a_second_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline_socket, "NEXT_ADDRESS_S", 0)
    with misbehaving(bad.answer(200)) as server:
        at(monkeypatch, "127.0.0.1", "::1", port=server.port)
        assert ask("http://both.example.com/").status == 200


def test_addresses_of_both_families_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network without IPv6 has many dead addresses before the first that works."""
    found = [(family, n) for family, n in zip("666644", range(6), strict=True)]
    assert deadline_socket._by_turns(found) == [("6", 0), ("4", 4), ("6", 1), ("4", 5), ("6", 2), ("6", 3)]


def test_no_address_that_accepts_is_the_last_ones_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, "::1", "127.0.0.1", port=bad.closed_port())
    error = fail("http://both.example.com/")
    assert (error.cause, error.sent) == (Cause.REFUSED, False)


def test_socket_reads_no_more_at_once_than_it_says_whatever_python_would() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * 1024)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 256 * 1024)
        theirs.sendall(b"HTTP/1.1 200 OK\r\n" + b"x" * (deadline_socket.READ_BYTES * 4))
        bound = deadline_socket.BoundSocket(ours, deadline_socket.Clock(total_s=PATIENT_S), read_s=PATIENT_S)
        assert bound.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"
        assert bound.head_allowance == deadline_socket.HEAD_BYTES - deadline_socket.READ_BYTES


def test_deadline_that_is_over_ends_a_read_until_it_is_extended() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"late")
        sock = BoundSocket(ours, Clock(total_s=1, started=time.monotonic() - 2), read_s=PATIENT_S)
        with pytest.raises(TimeoutError):
            sock.recv_into(memoryview(bytearray(4)))
        sock.extend(1 + PATIENT_S)
        assert sock.recv_into(memoryview(bytearray(4))) == 4


def test_address_that_a_name_has_now_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler or OpenTrain moves to another server while Redeliver runs: no address is remembered."""
    with misbehaving(bad.answer(200, b"old")) as old, misbehaving(bad.answer(200, b"new")) as new:
        ports = iter([old.port, new.port])

        def resolve(_host: str, _port: int, **_named: object) -> list[tuple[object, ...]]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", next(ports)))]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        assert [ask("http://acme.example.com/").body for _ in range(2)] == [b"old", b"new"]
