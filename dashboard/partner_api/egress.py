"""Which addresses may be dialled: public unicast, and this machine only for URLs that say localhost.

Checked on the address that a socket is about to connect to, so that no name can resolve to one thing when it is checked
and to another when it is dialled. The standard library's `is_global` calls multicast, NAT64, 6to4 and several more
global; here each range that leads, or may be made to lead, into somebody's own network is denied by its name.

Source: the IANA special-purpose address registries, RFC 6052 (NAT64), 3056 (6to4), 4380 (Teredo), 4291 (mapped).
"""

import ipaddress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

_V4 = {
    "this network": ["0.0.0.0/8"],
    "loopback": ["127.0.0.0/8"],
    "private": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"],
    "shared (carrier NAT)": ["100.64.0.0/10"],
    "link-local": ["169.254.0.0/16"],
    "protocol assignments": ["192.0.0.0/24"],
    "documentation": ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"],
    "anycast relays": ["192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24"],
    "6to4 relay": ["192.88.99.0/24"],
    "benchmarking": ["198.18.0.0/15"],
    "multicast": ["224.0.0.0/4"],
    "reserved": ["240.0.0.0/4"],
}
_V6 = {
    "unspecified": ["::/128"],
    "loopback": ["::1/128"],
    "IPv4-mapped": ["::ffff:0:0/96"],
    "IPv4-translated": ["::ffff:0:0:0/96"],
    "IPv4-compatible": ["::/96"],
    "NAT64": ["64:ff9b::/96", "64:ff9b:1::/48"],
    "discard": ["100::/64", "100:0:0:1::/64"],
    "Teredo": ["2001::/32"],
    "protocol assignments": ["2001::/23"],
    "documentation": ["2001:db8::/32", "3fff::/20"],
    "6to4": ["2002::/16"],
    "AS112": ["2620:4f:8000::/48"],
    "segment routing": ["5f00::/16"],
    "unique local": ["fc00::/7"],
    "link-local": ["fe80::/10"],
    "site-local": ["fec0::/10"],
    "multicast": ["ff00::/8"],
}
_RANGES_V4 = [(IPv4Network(text), name) for name, texts in _V4.items() for text in texts]
_RANGES_V6 = [(IPv6Network(text), name) for name, texts in _V6.items() for text in texts]
_UNICAST_V6 = IPv6Network("2000::/3")


def denial(address: str, *, allow_loopback: bool) -> str | None:
    """Say why `address` (as `getaddrinfo` writes it) is not dialled; None when it may be."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return f"{address!r} is not an address"
    # A mapped address reaches the IPv4 address inside it; only this machine's own is told by it, the rest is denied.
    inner = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    if allow_loopback and (inner or parsed).is_loopback:
        return None
    name = _range_of(parsed)
    return None if name is None else f"{address} is in a denied range: {name}"


def _range_of(address: IPv4Address | IPv6Address) -> str | None:
    if isinstance(address, IPv4Address):
        return next((name for network, name in _RANGES_V4 if address in network), None)
    found = next((name for network, name in _RANGES_V6 if address in network), None)
    if found is None and address not in _UNICAST_V6:
        return "reserved"
    return found
