"""The source of a request."""

import pytest

from dashboard.auth.request_source import source_of


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.7", None, "192.0.2.7"),
        ("2001:db8::7", None, "2001:db8::7"),
        ("::ffff:192.0.2.7", None, "192.0.2.7"),
        ("fe80::1%eth0", None, "fe80::1"),
        ("", None, None),  # a Unix socket
        ("", "192.0.2.9", "192.0.2.9"),
        ("10.0.0.1", "192.0.2.9", "192.0.2.9"),
        ("10.0.0.1", "203.0.113.66, 192.0.2.9", "192.0.2.9"),  # the client wrote the earlier entries
        ("10.0.0.1", "192.0.2.9, nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.66, 203.0.113.7:51234", "203.0.113.7"),
        ("10.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
        ("10.0.0.1", "[2001:db8::1]", "2001:db8::1"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "::ffff:203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "[::ffff:203.0.113.7]:51234", "203.0.113.7"),
        ("10.0.0.1", "[fe80::1%eth0]:443", "fe80::1"),
        ("10.0.0.1", "for=203.0.113.7;proto=https", "203.0.113.7"),
        ("10.0.0.1", 'For="[2001:db8::1]:443"', "2001:db8::1"),
        ("10.0.0.1", '"203.0.113.7:_port"', "203.0.113.7"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "for=unknown", "10.0.0.1"),
        ("10.0.0.1", "_hidden", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7:", "10.0.0.1"),
        ("10.0.0.1", "[203.0.113.7:51234", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7:51234:8", "10.0.0.1"),
    ],
)
def test_address_is_the_peers_or_what_our_proxy_says_last(peer: str, forwarded: str | None, address: str) -> None:
    assert source_of(peer=peer, forwarded_for=forwarded, agent="").address == address


def test_agent_is_one_line_of_so_much() -> None:
    assert source_of(peer="", forwarded_for=None, agent="a\r\nb\0" + "c" * 400).agent == "a b " + "c" * 295 + "…"
    assert source_of(peer="", forwarded_for=None, agent="a\u00a0\u00adb").agent == "a\u00a0\u00adb"  # pages show these
