"""Which addresses are dialled: every denied range as a literal, through a name, mapped into IPv6, and by rebinding."""

import asyncio
import socket
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import pytest

from dashboard.partner_api import egress, transport
from dashboard.partner_api.policy import Cause, Outcome
from tests.partner_api import sink

DENIED_V4 = {
    "0.0.0.0": "this network",  # noqa: S104 - an address to be refused
    "0.1.2.3": "this network",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "10.0.0.1": "private",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.1.1": "private",
    "100.64.0.1": "shared (carrier NAT)",
    "100.127.255.255": "shared (carrier NAT)",
    "169.254.169.254": "link-local",
    "192.0.0.8": "protocol assignments",
    "192.0.2.1": "documentation",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "192.31.196.1": "anycast relays",
    "192.52.193.1": "anycast relays",
    "192.175.48.1": "anycast relays",
    "192.88.99.1": "6to4 relay",
    "198.18.0.1": "benchmarking",
    "198.19.255.255": "benchmarking",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
}
DENIED_V6 = {
    "::": "unspecified",
    "::1": "loopback",
    "::7f00:1": "IPv4-compatible",
    "::ffff:8.8.8.8": "IPv4-mapped",
    "::ffff:0:8.8.8.8": "IPv4-translated",
    "64:ff9b::7f00:1": "NAT64",
    "64:ff9b::808:808": "NAT64",
    "64:ff9b:1::1": "NAT64",
    "100::1": "discard",
    "100:0:0:1::1": "discard",
    "2001::1": "Teredo",
    "2001:2::1": "protocol assignments",
    "2001:db8::1": "documentation",
    "3fff::1": "documentation",
    "2002:7f00:1::": "6to4",
    "2002:808:808::": "6to4",
    "2620:4f:8000::1": "AS112",
    "5f00::1": "segment routing",
    "fc00::1": "unique local",
    "fd12:3456::1": "unique local",
    "fe80::1": "link-local",
    "fe80::1%lo": "link-local",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
    "4000::1": "reserved",
    "200::1": "reserved",
}
PUBLIC = ["8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.32.0.1", "2606:4700::1111", "2a00:1450::200e"]


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
    """Have every name resolve to the next of `answers`, the last one for good."""
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
    resolving(monkeypatch, [address.removesuffix("%lo")])
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
    """The registration saw a public address; the lookup at the POST brings another, and that one counts."""
    plain = address.removesuffix("%lo")
    resolving(monkeypatch, ["8.8.8.8"], [plain])
    seen = socket.getaddrinfo("rebinding.example.com", 9)[0][4][0]
    assert egress.denial(str(seen), allow_loopback=False) is None
    [outcome] = post("http://rebinding.example.com:9/hooks")
    assert denied(outcome).startswith(f"{plain} is in a denied range: ")


@pytest.mark.parametrize("network", [network for network, _ in (*egress._RANGES_V4, *egress._RANGES_V6)])
def test_every_range_is_among_the_addresses_above_and_denied_from_its_first_to_its_last(network) -> None:
    inside = [address for address in (*DENIED_V4, *DENIED_V6) if ip_address(address.removesuffix("%lo")) in network]
    ends = [egress.denial(str(network[place]), allow_loopback=False) for place in (0, -1)]
    assert inside != []
    assert None not in ends


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
