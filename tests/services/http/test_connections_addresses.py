"""Names and addresses of handlers: which are looked up, called, refused, and tried next."""

import asyncio
import contextlib
import os
import resource
import socket
import threading
import time

import pytest

from dashboard import addresses
from dashboard.rules.causes import Cause
from dashboard.services.http import connections
from dashboard.services.http.client import NoAnswer
from dashboard.services.http.connections import Connections
from tests.services import misbehaving as bad
from tests.services.exchanging import SLACK_S
from tests.services.http.test_connections import OK, ask, fail, keeping, post
from tests.services.misbehaving import misbehaving, nobody_answers


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
