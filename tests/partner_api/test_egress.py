"""Denied addresses are never dialled: every range as a literal, by name, mapped into IPv6, and by DNS rebinding."""

import asyncio
import socket
from datetime import timedelta
from typing import Any

import pytest

from dashboard.partner_api import egress, transport
from dashboard.partner_api.policy import Cause, Outcome
from tests.partner_api import sink
from tests.test_addresses import PUBLIC, V4, V6

DENIED_V4, DENIED_V6 = dict(V4), dict(V6)


@pytest.mark.parametrize(("address", "name"), [*DENIED_V4.items(), *DENIED_V6.items()])
def test_a_denied_address_is_denied_by_the_name_of_its_range(address: str, name: str) -> None:
    assert egress.denial(address, allow_loopback=False) == f"{address} is in a denied range: {name}"


@pytest.mark.parametrize("address", DENIED_V4)
def test_an_ipv4_address_inside_an_ipv6_one_is_denied(address: str) -> None:
    assert (
        egress.denial(f"::ffff:{address}", allow_loopback=False)
        == f"::ffff:{address} is in a denied range: IPv4-mapped"
    )


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_dialled(address: str) -> None:
    assert egress.denial(address, allow_loopback=False) is None


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.1", False), ("::ffff:10.0.0.1", False),
     ("0.1.0.0", False), ("fe80::1", False), ("169.254.169.254", False)],
)  # fmt: skip
def test_allowing_loopback_allows_nothing_else(address: str, allowed: bool) -> None:
    assert (egress.denial(address, allow_loopback=True) is None) == allowed


def test_what_is_no_address_is_denied() -> None:
    assert egress.denial("localhost", allow_loopback=True) == "'localhost' is not an address"


def post(url: str, *, allow_localhost: bool = True, times: int = 1) -> list[Outcome]:
    async def go() -> list[Outcome]:
        async with transport.open_session() as session:
            return [
                await transport.post(
                    session=session,
                    url=url,
                    headers={},
                    body=b"{}",
                    within=timedelta(seconds=5),
                    allow_localhost=allow_localhost,
                )
                for _ in range(times)
            ]

    return asyncio.run(go())


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
    """Resolve every name to the next of `answers`; the last one repeats."""
    left = list(answers)

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        addresses = left.pop(0) if len(left) > 1 else left[0]
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def denied(outcome: Outcome) -> str:
    assert (outcome.status, outcome.cause) == (None, Cause.DENIED)
    return outcome.detail


@pytest.mark.parametrize("address", [*DENIED_V4, *(address for address in DENIED_V6 if "%" not in address)])
def test_a_url_with_a_denied_literal_is_not_dialled(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    [outcome] = post(f"http://{host}:9/hooks", allow_localhost=False)
    assert "denied range" in denied(outcome)


@pytest.mark.parametrize("address", [*DENIED_V4, *DENIED_V6])
def test_a_name_that_resolves_to_a_denied_address_is_not_dialled(monkeypatch, address: str) -> None:
    resolving(monkeypatch, [address.partition("%")[0]])
    [outcome] = post("http://partner.example.com:9/hooks")
    assert "denied range" in denied(outcome)


@pytest.mark.parametrize("address", DENIED_V4)
def test_a_mapped_address_is_not_dialled_as_a_literal_or_by_name(monkeypatch, address: str) -> None:
    [literal] = post(f"http://[::ffff:{address}]:9/hooks", allow_localhost=False)
    resolving(monkeypatch, [f"::ffff:{address}"])
    [named] = post("http://partner.example.com:9/hooks")
    assert denied(literal).endswith("is in a denied range: IPv4-mapped")
    assert denied(named) == f"::ffff:{address} is in a denied range: IPv4-mapped"


def test_a_name_with_several_denied_addresses_is_denied_as_a_whole(monkeypatch) -> None:
    resolving(monkeypatch, ["10.0.0.1", "192.168.1.1", "fc00::1"])
    [outcome] = post("http://partner.example.com:9/hooks")
    assert "denied range" in denied(outcome)


@pytest.mark.parametrize("address", [*DENIED_V4, *DENIED_V6, *(f"::ffff:{address}" for address in DENIED_V4)])
def test_a_name_that_rebinds_after_it_was_looked_up_is_judged_by_what_is_dialled(monkeypatch, address: str) -> None:
    """The registration resolves to a public address, the POST to another; the POST's address counts."""
    plain = address.partition("%")[0]
    resolving(monkeypatch, ["8.8.8.8"], [plain])
    seen = socket.getaddrinfo("rebinding.example.com", 9)[0][4][0]
    assert egress.denial(str(seen), allow_loopback=False) is None
    [outcome] = post("http://rebinding.example.com:9/hooks")
    assert denied(outcome).startswith(f"{plain} is in a denied range: ")


def test_a_name_of_somebody_elses_never_reaches_this_machine(monkeypatch) -> None:
    with sink.running_sink() as receiver:
        port = receiver.url.rsplit(":", 1)[1]
        resolving(monkeypatch, ["127.0.0.1"])
        [outcome] = post(f"http://partner.example.com:{port}")
    assert denied(outcome) == "127.0.0.1 is in a denied range: loopback"
    assert receiver.requests == []


@pytest.mark.parametrize("allowed", [True, False])
def test_localhost_is_reached_only_where_the_setting_allows_it(allowed: bool) -> None:
    with sink.running_sink() as receiver:
        [outcome] = post(receiver.url, allow_localhost=allowed)
    assert (outcome.status, outcome.cause) == ((200, None) if allowed else (None, Cause.DENIED))
    assert len(receiver.requests) == allowed


@pytest.mark.parametrize("spelling", ["0x7f.1", "2130706433", "017700000001", "127.1"])
def test_another_spelling_of_loopback_is_not_dialled(spelling: str) -> None:
    [outcome] = post(f"http://{spelling}:9/hooks")
    assert outcome.cause in {Cause.DENIED, Cause.DNS, Cause.CONNECTION}
    assert outcome.status is None
