"""Denied addresses: every kind, in every form in which it can be written or resolved."""

import socket
from ipaddress import ip_address, ip_network

import pytest

from dashboard import addresses
from dashboard.forms.endpoints import RegisterForm
from dashboard.partner_api import egress
from dashboard.rules.causes import Cause, describe_cause
from dashboard.services import handler
from tests.services.exchanging import fail
from tests.services.misbehaving import answer, misbehaving

V4 = [
    ("0.0.0.0", "unspecified"),  # noqa: S104 - nothing binds to it
    ("0.1.2.3", "unspecified"),
    ("10.0.0.0", "private"),
    ("10.0.0.1", "private"),
    ("10.255.255.255", "private"),
    ("100.64.0.0", "carrier-grade NAT"),
    ("100.127.255.255", "carrier-grade NAT"),
    ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback"),
    ("169.254.0.1", "link-local"),
    ("169.254.169.254", "link-local"),
    ("172.16.0.0", "private"),
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),
    ("192.0.0.8", "protocol assignments"),
    ("192.0.0.170", "protocol assignments"),
    ("192.0.2.1", "documentation"),
    ("192.31.196.1", "AS112"),
    ("192.52.193.1", "AMT"),
    ("192.88.99.1", "6to4 relay"),
    ("192.168.0.1", "private"),
    ("192.168.1.1", "private"),
    ("192.175.48.1", "AS112"),
    ("198.18.0.0", "benchmarking"),
    ("198.19.255.255", "benchmarking"),
    ("198.51.100.7", "documentation"),
    ("203.0.113.7", "documentation"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.255", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "reserved"),
]
V6 = [
    ("::", "unspecified"),
    ("::1", "loopback"),
    ("::127.0.0.1", "IPv4-compatible"),
    ("::8.8.8.8", "IPv4-compatible"),
    ("::ffff:8.8.8.8", "IPv4-mapped"),
    ("::ffff:0:10.0.0.1", "IPv4-translated"),
    ("64:ff9b::10.0.0.1", "NAT64"),
    ("64:ff9b::8.8.8.8", "NAT64"),
    ("64:ff9b:1::10.0.0.1", "NAT64"),
    ("64:ff9b:1::1", "NAT64"),
    ("100::1", "discard-only"),
    ("100:0:0:1::1", "dummy prefix"),
    ("2001::1", "Teredo"),
    ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
    ("2001:2::1", "benchmarking"),
    ("2001:10::1", "ORCHID"),
    ("2001:20::1", "ORCHID"),
    ("2001:1ff::1", "protocol assignments"),
    ("2001:db8::1", "documentation"),
    ("2002:7f00:1::", "6to4"),
    ("2002:808:808::", "6to4"),
    ("2620:4f:8000::1", "AS112"),
    ("3fff::1", "documentation"),
    ("5f00::1", "segment routing"),
    ("fc00::1", "unique local"),
    ("fdff::1", "unique local"),
    ("fd12:3456::1", "unique local"),
    ("fe80::1", "link-local"),
    ("fe80::1%1", "link-local"),
    ("fe80::1%lo", "link-local"),
    ("febf::1", "link-local"),
    ("fec0::1", "site-local"),
    ("ff02::1", "multicast"),
    ("4000::1", "reserved"),
    ("1::1", "reserved"),
    ("200::1", "reserved"),
]
PUBLIC = [
    "8.8.8.8", "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
    "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "198.17.255.255", "198.20.0.0",
    "223.255.255.255", "2001:200::1", "2001:4860:4860::8888", "2606:4700::1111", "2003::1",
    "2a00:1450::200e", "3ffe::1",
]  # fmt: skip


def dialled(monkeypatch) -> list[str]:
    """Record every connect and refuse it, so that no test reaches a real host."""
    called: list[str] = []

    class Noting(socket.socket):
        def connect(self, address) -> None:
            called.append(address[0])
            raise ConnectionRefusedError

    monkeypatch.setattr("dashboard.services.http.deadline_socket.socket.socket", Noting)
    return called


def resolving(monkeypatch, *answers: list[str]) -> None:
    """Replace the name server: the first lookup gets the first answer, and so on."""
    left = list(answers)

    def getaddrinfo(host, port, **_given):
        found = left.pop(0)
        return [
            (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in found
        ]

    monkeypatch.setattr("dashboard.services.http.deadline_socket.socket.getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(("address", "kind"), V4 + V6)
def test_address_that_is_not_public_is_named_for_what_it_is(address, kind) -> None:
    assert addresses.kept_out(address=ip_address(address)) == kind


@pytest.mark.parametrize("network", addresses.KEPT_OUT)
def test_each_network_of_the_table_is_tried_above_and_kept_out_from_its_first_address_to_its_last(network) -> None:
    whole = ip_network(network)
    assert [address for address, _kind in V4 + V6 if ip_address(address) in whole] != []
    assert None not in [addresses.kept_out(address=whole[place]) for place in (0, -1)]


# While each had its own table, only the Partner API denied these networks.
@pytest.mark.parametrize(
    ("first", "last", "kind"),
    [
        ("192.31.196.0", "192.31.196.255", "AS112"),
        ("192.52.193.0", "192.52.193.255", "AMT"),
        ("192.175.48.0", "192.175.48.255", "AS112"),
        ("2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", "AS112"),
    ],
)
def test_network_that_only_the_partner_api_kept_out_is_kept_out_by_both(first, last, kind) -> None:
    ends = ip_address(first), ip_address(last)
    assert [addresses.kept_out(address=end) for end in ends] == [kind, kind]
    assert [egress.denial(str(end), allow_loopback=False) for end in ends] == [
        f"{first} is in a denied range: {kind}", f"{last} is in a denied range: {kind}",
    ]  # fmt: skip
    assert [addresses.kept_out(address=beside) for beside in (ends[0] - 1, ends[1] + 1)] == [None, None]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_may_be_called(address) -> None:
    assert addresses.kept_out(address=ip_address(address)) is None


@pytest.mark.parametrize(("address", "kind"), V4 + V6)
def test_literal_that_is_not_public_is_denied_before_it_is_dialled(monkeypatch, address, kind) -> None:
    called = dialled(monkeypatch)
    resolving(monkeypatch, [address])  # as the system resolves a literal, without a name server
    host = f"[{address.partition('%')[0]}]" if ":" in address else address
    failure = fail(f"http://{host}/", public_only=True)
    assert (failure.cause, failure.sent, str(failure)) == (
        Cause.DENIED, False, f"the address is not public ({kind})",
    )  # fmt: skip
    assert called == []


@pytest.mark.parametrize("spelling", ["127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "[::ffff:127.0.0.1]", "[::1]"])
def test_odd_spelling_of_loopback_is_denied_by_the_real_resolver(spelling) -> None:
    with misbehaving(answer(200)) as server:
        failure = fail(f"http://{spelling}:{server.port}/", public_only=True)
        assert (failure.cause, server.connections) == (Cause.DENIED, 0)


@pytest.mark.parametrize(("address", "kind"), V4 + V6)
def test_name_that_points_inside_is_denied_before_it_is_dialled(monkeypatch, address, kind) -> None:
    called = dialled(monkeypatch)
    resolving(monkeypatch, [address])
    failure = fail("https://handler.example.com/", public_only=True)
    assert (failure.cause, failure.detail, called) == (Cause.DENIED, kind, [])


@pytest.mark.parametrize(("address", "_kind"), V4)
def test_mapped_form_is_denied_whatever_it_carries(monkeypatch, address, _kind) -> None:
    called = dialled(monkeypatch)
    resolving(monkeypatch, [f"::ffff:{address}"])
    assert fail("http://handler.example.com/", public_only=True).detail == "IPv4-mapped"
    assert called == []


@pytest.mark.parametrize(("address", "kind"), V4 + V6)
def test_name_that_is_rebound_between_two_calls_is_denied_at_the_second(monkeypatch, address, kind) -> None:
    called = dialled(monkeypatch)
    resolving(monkeypatch, ["8.8.8.8"], [address])
    assert fail("http://handler.example.com/", public_only=True).cause is Cause.REFUSED
    assert fail("http://handler.example.com/", public_only=True).detail == kind
    assert called == ["8.8.8.8"]


def test_name_with_a_public_and_a_private_address_is_called_at_the_public_one(monkeypatch) -> None:
    called = dialled(monkeypatch)
    resolving(monkeypatch, ["10.0.0.1", "8.8.8.8"])
    assert fail("http://handler.example.com/", public_only=True).cause is Cause.REFUSED
    assert called == ["8.8.8.8"]


def test_handler_on_loopback_is_denied_unless_the_setting_allows_it(settings) -> None:
    with misbehaving(answer(204)) as server:
        settings.HANDLER_PRIVATE_ADDRESSES = False
        with pytest.raises(handler.HandlerFailed) as failed:
            handler.probe(url=server.url, deadline_s=20)
        assert (failed.value.cause, server.connections) == (Cause.DENIED, 0)
        settings.HANDLER_PRIVATE_ADDRESSES = True
        assert handler.probe(url=server.url, deadline_s=20).status == 204


def test_denied_cause_says_what_to_do() -> None:
    assert describe_cause(cause="denied", status=502) == (
        "the handler's address is not public; set a public address, or allow private ones (HANDLER_PRIVATE_ADDRESSES)"
    )


@pytest.mark.parametrize("url", ["http://localhost:9/x", "http://10.0.0.1/", "https://[fd00::1]/", "http://127.0.0.1/"])
def test_form_says_early_that_a_private_handler_would_not_be_called(settings, url) -> None:
    settings.HANDLER_PRIVATE_ADDRESSES = False
    form = RegisterForm({"path": "receiver", "handler_url": url, "event_types": ["contract.started"]})
    assert form.errors["handler_url"][0].startswith("This address is not public (")
    settings.HANDLER_PRIVATE_ADDRESSES = True
    form = RegisterForm({"path": "receiver", "handler_url": url, "event_types": ["contract.started"]})
    assert form.is_valid()


@pytest.mark.parametrize("url", ["https://8.8.8.8/", "https://handler.example.com/x"])
def test_form_takes_a_handler_that_may_be_public(settings, url) -> None:
    settings.HANDLER_PRIVATE_ADDRESSES = False
    form = RegisterForm({"path": "receiver", "handler_url": url, "event_types": ["contract.started"]})
    assert form.is_valid()
