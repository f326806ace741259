"""POSTs on an event loop, to real servers on raw sockets: dialling, keeping connections, deadlines."""

import asyncio
import contextlib
import os
import resource
import socket
import ssl
import threading
import time
import tracemalloc
from pathlib import Path

import pytest
import trustme

from dashboard import addresses
from dashboard.rules.causes import Cause
from dashboard.services.http import connections, deadline_socket
from dashboard.services.http.answers import AnswerReader
from dashboard.services.http.client import HttpAnswer, NoAnswer
from dashboard.services.http.connections import Connections
from tests.services import misbehaving as bad
from tests.services.exchanging import AS_WRITTEN
from tests.services.misbehaving import Behaviour, Connection, certified, misbehaving, nobody_answers

PATIENT_S = 20.0
SLACK_S = 15
OK = bad.head(200, "Content-Length: 2") + b"ok"


async def post(pool: Connections, url: str, **given) -> HttpAnswer:
    asked = {
        "headers": [],
        "body": b"{}",
        "total_s": PATIENT_S,
        "max_bytes": 1000,
        "kept_bytes": 1000,
        "check": None,
    }
    return await pool.post(url=url, **(asked | given))


def ask(*urls: str, look_up=connections.of_system, **given) -> list[HttpAnswer]:
    """POST to each URL in turn, over one pool."""

    async def main() -> list[HttpAnswer]:
        async with Connections(look_up=look_up) as pool:
            return [await post(pool, url, **given) for url in urls]

    return asyncio.run(main())


def fail(url: str, **given) -> NoAnswer:
    with pytest.raises(NoAnswer) as caught:
        ask(url, **given)
    return caught.value


def answering(*replies: bytes) -> Behaviour:
    """Answer one request after another on the same connection, then close it."""

    def behave(connection: Connection) -> None:
        for reply in replies:
            connection.read_request()
            connection.sock.sendall(reply)

    return behave


def keeping(*replies: bytes) -> Behaviour:
    """Answer one request after another on the same connection, and keep it open."""

    def behave(connection: Connection) -> None:
        answering(*replies)(connection)
        connection.server.stopping.wait(bad.PATIENCE_S)

    return behave


def test_large_response_is_read_in_small_steps_between_which_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    feed = AnswerReader.feed
    monkeypatch.setattr(AnswerReader, "feed", lambda self, data: (sizes.append(len(data)), feed(self, data)))
    with misbehaving(bad.answer(200, b"x" * 500_000)) as server:
        [answer] = ask(server.url, max_bytes=1_000_000)
    assert (answer.fault, max(sizes) <= connections.READ_BYTES, sum(sizes) > 500_000) == (Cause.NONE, True, True)


# --- What is sent ----------------------------------------------------------------------------------------------------


def test_request_goes_out_as_given_between_host_and_content_length() -> None:
    headers = [("x-b", "1"), ("X-A", "caf\xe9"), ("x-b", "2"), ("Accept-Encoding", "br")]
    with misbehaving(bad.answer(200)) as server:
        ask(f"{server.url}/hook", headers=headers, body=b"\x00\xff")
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/hook", b"\x00\xff")
    assert request.headers == (("Host", f"localhost:{server.port}"), *headers, ("Content-Length", "2"))


@pytest.mark.parametrize(("written", "target"), AS_WRITTEN)
def test_url_is_sent_as_it_was_written(written: str, target: str) -> None:
    with misbehaving(bad.answer(200)) as server:
        ask(server.url + written)
    assert server.requests[0].target == target


def test_large_body_arrives_whole() -> None:
    body = os.urandom(1024 * 1024)
    with misbehaving(bad.answer(200)) as server:
        ask(server.url, body=body)
    assert server.requests[0].body == body


@pytest.mark.parametrize(
    "url",
    [
        "ftp://localhost", "http://", "http:///a", "nonsense", "http://user:pw@localhost", "http://user@localhost/",
        "http://localhost:99999", "http://localhost:0", "http://localhost:x", "http://[::", "http://a\\b/",
        "http://local host/", "http://127.1/", "http://2130706433/", "//localhost/", "http://@localhost/",
        "http://lo\ncalhost/", "http://:80/",
    ],
)  # fmt: skip
def test_url_that_cannot_be_called_is_an_address_fault(url: str) -> None:
    error = fail(url)
    assert (error.cause, error.sent) == (Cause.ADDRESS, False)
    assert "pw" not in str(error)


@pytest.mark.parametrize("header", [("A", "b\r\nC: d"), ("A\n", "b"), ("Host", "x"), ("Content-Length", "1")])
def test_header_that_cannot_be_sent_is_refused(header: tuple[str, str]) -> None:
    with misbehaving(bad.answer(200)) as server, pytest.raises(ValueError, match="header"):
        ask(server.url, headers=[header])
    assert server.requests == []


# --- Connections that are kept ---------------------------------------------------------------------------------------


def test_connection_is_used_again_for_the_same_host() -> None:
    with misbehaving(keeping(OK, OK, OK)) as server:
        answers = ask(*[server.url] * 3)
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"ok")] * 3
    assert (server.connections, len(server.requests)) == (1, 3)


def test_connection_that_the_server_closes_while_idle_is_dialled_anew() -> None:
    with misbehaving(answering(OK)) as server:

        async def main() -> None:
            async with Connections() as pool:
                for _ in range(3):
                    assert (await post(pool, server.url)).status == 200
                    await asyncio.sleep(0.05)

        asyncio.run(main())
    assert (server.connections, len(server.requests)) == (3, 3)


@pytest.mark.parametrize("closing", [bad.hanging_up, bad.reset_after_request], ids=["closed", "reset"])
def test_kept_connection_that_ends_before_the_first_byte_is_dialled_anew_as_the_same_call(closing: Behaviour) -> None:
    def stale(connection: Connection) -> None:
        answering(OK)(connection)
        closing(connection)

    with misbehaving(stale, keeping(OK)) as server:
        answers = ask(server.url, server.url)
    assert [answer.status for answer in answers] == [200, 200]
    assert (server.connections, len(server.requests)) == (2, 3)


def test_kept_connection_is_dialled_anew_only_once() -> None:
    def stale(connection: Connection) -> None:
        answering(OK)(connection)
        bad.hanging_up(connection)

    with misbehaving(stale, bad.hanging_up) as server:

        async def main() -> NoAnswer:
            async with Connections() as pool:
                await post(pool, server.url)
                with pytest.raises(NoAnswer) as caught:
                    await post(pool, server.url)
                return caught.value

        error = asyncio.run(main())
    assert (error.cause, error.sent) == (Cause.CONNECTION, True)
    assert (server.connections, len(server.requests)) == (2, 3)


def test_other_kept_connections_that_are_stale_too_are_not_tried() -> None:
    """After a restart of the server every kept connection is stale; each one tried could be one more event."""
    arrived = threading.Barrier(3)

    def stale(connection: Connection) -> None:
        connection.read_request()
        arrived.wait(bad.PATIENCE_S)
        connection.sock.sendall(OK)
        bad.hanging_up(connection)

    with misbehaving(stale, stale, stale, answering(OK)) as server:

        async def main() -> None:
            async with Connections() as pool:
                await asyncio.gather(*[post(pool, server.url) for _ in range(3)])
                assert (await post(pool, server.url)).status == 200

        asyncio.run(main())
    assert (server.connections, len(server.requests)) == (4, 5)


@pytest.mark.parametrize("first", [b"H", b"HTTP/1.1 102 Processing\r\n\r\n"], ids=["a byte", "an interim response"])
def test_kept_connection_that_ends_after_a_byte_of_the_answer_is_not_dialled_anew(first: bytes) -> None:
    with misbehaving(answering(OK, first), answering(OK)) as server:

        async def main() -> NoAnswer:
            async with Connections() as pool:
                await post(pool, server.url)
                with pytest.raises(NoAnswer) as caught:
                    await post(pool, server.url)
                return caught.value

        error = asyncio.run(main())
    assert (error.cause, len(server.requests)) == (Cause.CUT_OFF, 2)


def test_fresh_connection_that_ends_before_the_first_byte_is_not_dialled_anew() -> None:
    with misbehaving(bad.hanging_up) as server:
        error = fail(server.url)
    assert (error.cause, error.sent, len(server.requests)) == (Cause.CONNECTION, True, 1)


def test_kept_connection_on_which_the_server_wrote_meanwhile_is_not_used() -> None:
    """A 408 to an idle connection, as some servers send, is no answer to the next delivery."""

    answered, wrote = threading.Event(), threading.Event()

    def impatient(connection: Connection) -> None:
        answering(OK)(connection)
        answered.wait(bad.PATIENCE_S)
        connection.sock.sendall(bad.head(408, "Content-Length: 0"))
        wrote.set()
        connection.server.stopping.wait(bad.PATIENCE_S)

    with misbehaving(impatient, keeping(OK)) as server:

        async def main() -> int:
            async with Connections() as pool:
                await post(pool, server.url)
                answered.set()
                await asyncio.to_thread(wrote.wait, bad.PATIENCE_S)
                await asyncio.sleep(0.01)
                return (await post(pool, server.url)).status

        assert asyncio.run(main()) == 200
    assert (server.connections, len(server.requests)) == (2, 2)


@pytest.mark.parametrize(
    "reply",
    [
        bad.head(204) + b"body",
        bad.head(200, "Content-Length: 2", "Connection: close") + b"ok",
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother",
    ],
    ids=["204 with a body", "close", "two answers"],
)
def test_connection_after_an_answer_with_an_uncertain_end_is_not_used_again(reply: bytes) -> None:
    with misbehaving(keeping(reply), keeping(OK)) as server:
        first, second = ask(server.url, server.url)
    assert (first.fault, second.body, server.connections) == (Cause.NONE, b"ok", 2)


def test_calls_at_once_use_connections_of_their_own() -> None:
    with misbehaving(keeping(OK)) as server:

        async def main() -> None:
            async with Connections() as pool:
                answers = await asyncio.gather(*[post(pool, server.url) for _ in range(20)])
                assert {answer.body for answer in answers} == {b"ok"}

        asyncio.run(main())
    assert (server.connections, len(server.requests)) == (20, 20)


# --- Addresses -------------------------------------------------------------------------------------------------------


def test_name_whose_first_address_nobody_answers_at_is_reached_at_the_second() -> None:
    with misbehaving(keeping(OK)) as server, nobody_answers(socket.AF_INET6, ("::1", server.port)):
        started = time.monotonic()
        (answer,) = ask(f"http://handler.example:{server.port}", look_up=lambda _: ("::1", "127.0.0.1"))
        assert time.monotonic() - started < SLACK_S
    assert answer.status == 200
    assert connections.NEXT_ADDRESS_S * 1000 <= answer.elapsed_ms < SLACK_S * 1000


def test_name_whose_first_address_refuses_is_reached_at_the_second() -> None:
    with misbehaving(keeping(OK)) as server:
        (answer,) = ask(f"http://handler.example:{server.port}", look_up=lambda _: ("::1", "127.0.0.1"))
    assert (answer.status, server.connections) == (200, 1)


def test_name_whose_addresses_nobody_answers_at_ends_at_the_deadline_and_was_not_sent() -> None:
    port = bad.closed_port()
    with nobody_answers(socket.AF_INET, ("127.0.0.1", port)), nobody_answers(socket.AF_INET6, ("::1", port)):
        error = fail(f"http://handler.example:{port}", look_up=lambda _: ("::1", "127.0.0.1"), total_s=0.6)
    assert (error.cause, error.sent) == (Cause.TIMEOUT, False)


@pytest.mark.parametrize(
    ("host", "asked", "header"),
    [
        ("my_host.example", "my_host.example", "my_host.example"),
        ("b\u00fccher.example", "xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("Handler.Example", "handler.example", "handler.example"),
    ],
)
def test_host_is_looked_up_and_named_as_dns_has_it(host: str, asked: str, header: str) -> None:
    names = []

    def look_up(name: str) -> tuple[str, ...]:
        names.append(name)
        return ("127.0.0.1",)

    with misbehaving(bad.answer(200)) as server:
        ask(f"http://{host}:{server.port}/", look_up=look_up)
    assert (names, server.requests[0].values("Host")) == ([asked], [f"{header}:{server.port}"])


def test_ipv6_address_in_a_url_is_called() -> None:
    with misbehaving(bad.answer(200), address="::1") as server:
        (answer,) = ask(f"http://[::1]:{server.port}/")
    assert (answer.status, server.requests[0].values("Host")) == (200, [f"[::1]:{server.port}"])


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "handler.example", "[::ffff:127.0.0.1]", "0x7f.1"])
def test_address_that_is_not_public_is_denied_and_nothing_connects(host: str) -> None:
    with misbehaving(bad.answer(200)) as server:
        error = fail(f"http://{host}:{server.port}/", check=addresses.check, look_up=lambda _: ("127.0.0.1", "::1"))
    assert (error.cause, error.sent, server.connections) == (Cause.DENIED, False, 0)
    assert "127" not in str(error)


def test_second_address_is_checked_like_the_first() -> None:
    """A name that resolves to a public address, which a test cannot reach, and to this machine."""
    with misbehaving(bad.answer(200)) as server:
        error = fail(
            f"http://handler.example:{server.port}/",
            check=addresses.check,
            look_up=lambda _: ("2606:4700::1111", "127.0.0.1"),
            total_s=1.0,
        )
    assert (error.sent, server.connections) == (False, 0)


def test_addresses_from_an_earlier_lookup_that_refuse_are_looked_up_anew_within_the_call() -> None:
    answers = [("::1",), ("127.0.0.1",)]
    with misbehaving(bad.answer(200)) as server, misbehaving(bad.answer(200)) as other:

        async def main() -> int:
            async with Connections(look_up=lambda _: answers.pop(0) if answers else ()) as pool:
                with pytest.raises(NoAnswer):
                    await post(pool, f"http://handler.example:{server.port}")
                return (await post(pool, f"http://handler.example:{other.port}")).status

        assert asyncio.run(main()) == 200


def test_name_that_is_not_found_says_so() -> None:
    def unknown(_host: str) -> tuple[str, ...]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    error = fail("http://handler.example/", look_up=unknown)
    assert (error.cause, error.sent, str(error)) == (Cause.DNS, False, "the host name was not found")


def test_lookup_that_hangs_ends_at_the_deadline() -> None:
    release = threading.Event()

    def hanging(_host: str) -> tuple[str, ...]:
        release.wait(bad.PATIENCE_S)
        return ("127.0.0.1",)

    started = time.monotonic()
    error = fail("http://handler.example/", look_up=hanging, total_s=0.3)
    release.set()
    assert (error.cause, error.sent) == (Cause.TIMEOUT, False)
    assert 0.3 <= time.monotonic() - started < SLACK_S


def test_lookups_that_hang_for_one_host_do_not_delay_another() -> None:
    release = threading.Event()

    def look_up(host: str) -> tuple[str, ...]:
        if host == "slow.example":
            release.wait(bad.PATIENCE_S)
        return ("127.0.0.1",)

    with misbehaving(keeping(OK)) as server:

        async def main() -> None:
            async with Connections(look_up=look_up) as pool:
                slow = [asyncio.create_task(post(pool, f"http://slow.example:{server.port}")) for _ in range(500)]
                await asyncio.sleep(0)
                assert (await post(pool, f"http://quick.example:{server.port}")).status == 200
                assert not any(task.done() for task in slow)
                for task in slow:
                    task.cancel()
                release.set()

        asyncio.run(main())


def test_refused_connection_says_so_without_the_address() -> None:
    error = fail(f"http://127.0.0.1:{bad.closed_port()}")
    assert (error.cause, error.sent, str(error)) == (
        Cause.REFUSED, False, "the connection was refused (Connection refused)",
    )  # fmt: skip


def test_machine_without_descriptors_is_busy_and_blames_no_handler() -> None:
    with misbehaving(bad.answer(200)) as server:

        async def main() -> NoAnswer:
            async with Connections() as pool:
                soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
                used = max(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208
                resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, hard))
                held = []
                try:
                    with contextlib.suppress(OSError):
                        while True:
                            held.append(os.dup(0))
                    with pytest.raises(NoAnswer) as caught:
                        await post(pool, f"http://127.0.0.1:{server.port}")
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                    for descriptor in held:
                        os.close(descriptor)
                return caught.value

        error = asyncio.run(main())
    assert (error.cause, error.sent) == (Cause.BUSY, False)


# --- TLS -------------------------------------------------------------------------------------------------------------


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


# --- Deadlines -------------------------------------------------------------------------------------------------------


def after(seconds: float, data: bytes) -> Behaviour:
    def behave(connection: Connection) -> None:
        connection.read_request()
        connection.server.stopping.wait(seconds)
        connection.sock.sendall(data)
        connection.server.stopping.wait(bad.PATIENCE_S)

    return behave


def test_answer_just_before_the_deadline_gets_through() -> None:
    with misbehaving(after(1.0, OK)) as server:
        (answer,) = ask(server.url, total_s=2.0)
    assert (answer.status, answer.body) == (200, b"ok")
    assert 1000 <= answer.elapsed_ms < 2000


def test_answer_after_the_deadline_does_not_and_the_call_ends_then() -> None:
    with misbehaving(after(SLACK_S, OK)) as server:
        error = fail(server.url, total_s=0.5)
    assert (error.cause, error.sent) == (Cause.TIMEOUT, True)
    assert 500 <= error.elapsed_ms < SLACK_S * 1000


def test_answer_that_came_in_time_counts_though_the_loop_was_busy_until_after_the_deadline() -> None:
    with misbehaving(after(0.1, OK)) as server:

        async def main() -> HttpAnswer:
            async with Connections() as pool:
                call = asyncio.create_task(post(pool, server.url, total_s=2.0))
                await asyncio.to_thread(server.wait_for_requests, 1)
                time.sleep(2.2)  # noqa: ASYNC251 - the loop is busy
                return await call

        answer = asyncio.run(main())
    assert (answer.status, answer.body, answer.fault) == (200, b"ok", Cause.NONE)


@pytest.mark.parametrize("total_s", [0.0, -1.0])
def test_call_without_time_left_calls_nobody(total_s: float) -> None:
    with misbehaving(bad.answer(200)) as server:
        error = fail(f"http://127.0.0.1:{server.port}", total_s=total_s)
    assert (error.cause, error.sent, server.connections) == (Cause.TIMEOUT, False, 0)


def test_connection_that_is_made_at_the_deadline_carries_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop may be late: what is past the deadline is not sent, though the connection is there."""
    real = connections._connect

    async def late(*given):
        made = await real(*given)
        time.sleep(0.3)  # noqa: ASYNC251 - the loop is busy
        return made

    monkeypatch.setattr(connections, "_connect", late)
    with misbehaving(bad.answer(200)) as server:
        error = fail(server.url, total_s=0.2)
    assert (error.cause, error.sent, server.requests) == (Cause.TIMEOUT, False, [])


def test_head_that_drips_ends_at_the_deadline() -> None:
    with misbehaving(bad.dripping(b"", OK + b" " * 1000, every_s=0.05)) as server:
        error = fail(server.url, total_s=0.4)
    assert (error.cause, error.sent) == (Cause.TIMEOUT, True)


def test_body_that_drips_is_noted_after_a_while_and_the_status_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BODY_S", 0.3)
    with misbehaving(bad.dripping(bad.head(200, "Content-Length: 999"), b"x" * 999, every_s=0.02)) as server:
        (answer,) = ask(server.url)
    assert (answer.status, answer.fault, answer.truncated) == (200, Cause.TIMEOUT, True)
    assert set(answer.body) == set(b"x")
    assert answer.elapsed_ms < PATIENT_S * 1000 / 2


def test_body_that_drips_until_the_deadline_is_noted_there() -> None:
    with misbehaving(bad.dripping(bad.head(200, "Content-Length: 999"), b"x" * 999, every_s=0.05)) as server:
        (answer,) = ask(server.url, total_s=0.5)
    assert (answer.status, answer.fault) == (200, Cause.TIMEOUT)
    assert 500 <= answer.elapsed_ms < SLACK_S * 1000


def test_cancelled_call_closes_its_connection() -> None:
    closed = threading.Event()

    def behave(connection: Connection) -> None:
        connection.read_request()
        if not connection.sock.recv(1):
            closed.set()

    with misbehaving(behave) as server:

        async def main() -> None:
            async with Connections() as pool:
                call = asyncio.create_task(post(pool, server.url))
                await asyncio.to_thread(server.wait_for_requests, 1)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                assert await asyncio.to_thread(closed.wait, bad.PATIENCE_S)

        asyncio.run(main())


def test_close_ends_while_calls_still_wait() -> None:
    with misbehaving(bad.silent) as server:

        async def main() -> None:
            pool = Connections()
            call = asyncio.create_task(post(pool, server.url))
            await asyncio.to_thread(server.wait_for_requests, 1)
            async with asyncio.timeout(PATIENT_S):
                await pool.close()
                with pytest.raises(NoAnswer):
                    await call

        asyncio.run(main())


def greeting(connection: Connection) -> None:
    connection.sock.sendall(b"220 smtp.example.com ready\r\n")
    connection.server.stopping.wait(bad.PATIENCE_S)


# --- Heads and bodies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "cause", "words"),
    [
        (bad.hanging_up, Cause.CONNECTION, "the connection broke"),
        (bad.reset_after_request, Cause.CONNECTION, "the connection broke (Connection reset by peer)"),
        (bad.raw(b"220 smtp.example.com ready\r\n"), Cause.GARBLED, "the response is not HTTP"),
        (greeting, Cause.GARBLED, "the response is not HTTP"),
        (bad.raw(b"HTTP/1.1 200 OK\r\nConte"), Cause.CUT_OFF, "the response was cut off"),
        (bad.endless(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 1000), Cause.TOO_LARGE, "the response was too large"),
        (bad.endless(b"", bad.head(102) * 1000), Cause.TOO_LARGE, "the response was too large"),
    ],
    ids=["closed", "reset", "another protocol", "spoke first", "head cut off", "endless head", "endless 1xx"],
)
def test_response_without_a_head_is_a_failure_that_may_have_been_sent(behaviour, cause, words) -> None:
    with misbehaving(behaviour) as server:
        error = fail(server.url)
    assert (error.cause, str(error)) == (cause, words)


@pytest.mark.parametrize("status", [200, 204, 302, 404, 503])
def test_body_over_the_limit_or_reset_is_noted_beside_any_status(status: int) -> None:
    broken = bad.reset_within(bad.head(status, "Content-Length: 999") + b"half")
    with misbehaving(broken, bad.endless(bad.head(status), b"x" * 65536)) as server:
        reset, endless = ask(server.url, server.url)
    bodyless = status == 204
    assert (reset.status, reset.fault) == (status, Cause.NONE if bodyless else Cause.CUT_OFF)
    assert (endless.status, endless.fault) == (status, Cause.NONE if bodyless else Cause.TOO_LARGE)
    assert reset.body == (b"" if bodyless else b"half")


def test_answer_that_comes_before_the_body_was_read_counts() -> None:
    def hasty(connection: Connection) -> None:
        connection.sock.recv(100)
        connection.sock.sendall(bad.head(413, "Content-Length: 0"))
        connection.server.stopping.wait(bad.PATIENCE_S)

    with misbehaving(hasty) as server:
        first, second = ask(server.url, server.url, body=b"x" * 8_000_000)
    assert ([first.status, second.status], server.connections) == ([413, 413], 2)
