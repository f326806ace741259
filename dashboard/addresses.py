"""IP addresses that may be called for a URL from outside: public ones only.

One table for the console (handlers, alert channels) and the Partner API (endpoints). The URL is called from inside our
network, so the check applies to the address that is actually dialled, after the name lookup and before the connect. A
name that resolves differently the next time, or an odd spelling of 127.0.0.1, gains nothing.

Forbidden networks are listed by name, from IANA's registries of special-purpose addresses: `ipaddress.is_global` of
Python 3.11 treats multicast, NAT64, 6to4 and `::127.0.0.1` as global. Addresses that embed another one (mapped, NAT64,
6to4, Teredo) are always forbidden, because no handler needs them.
The networks of public services (AS112, AMT) are forbidden too: they contain no handler, and the nearest operator of an
anycast address answers.

Source: RFC 6890 and the IANA IPv4 and IPv6 Special-Purpose Address Registries.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts in a URL that mean this machine."""

KEPT_OUT = {
    "0.0.0.0/8": "unspecified",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "carrier-grade NAT",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "protocol assignments",
    "192.0.2.0/24": "documentation",
    "192.31.196.0/24": "AS112",
    "192.52.193.0/24": "AMT",
    "192.88.99.0/24": "6to4 relay",
    "192.168.0.0/16": "private",
    "192.175.48.0/24": "AS112",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
    "::/128": "unspecified",
    "::1/128": "loopback",
    "::/96": "IPv4-compatible",
    "::ffff:0:0/96": "IPv4-mapped",
    "::ffff:0:0:0/96": "IPv4-translated",
    "64:ff9b::/96": "NAT64",
    "64:ff9b:1::/48": "NAT64",
    "100::/64": "discard-only",
    "100:0:0:1::/64": "dummy prefix",
    "2001::/32": "Teredo",
    "2001:2::/48": "benchmarking",
    "2001:10::/28": "ORCHID",
    "2001:20::/28": "ORCHID",
    "2001::/23": "protocol assignments",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "2620:4f:8000::/48": "AS112",
    "3fff::/20": "documentation",
    "5f00::/16": "segment routing",
    "fc00::/7": "unique local",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
}
"""Forbidden networks and their purposes. If several contain an address, the first one names it."""

_NETWORKS: list[tuple[IPv4Network | IPv6Network, str]] = [(ip_network(net), kind) for net, kind in KEPT_OUT.items()]
_GLOBAL_UNICAST = ip_network("2000::/3")


class Denied(OSError):
    """The address may not be called. `kind` says why. Here it names the network's purpose, never the address itself,
    which would reveal the internal network to strangers.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def check(address: str) -> None:
    """Accept a public IP address, as `getaddrinfo` returns it, with or without a zone (`fe80::1%eth0`).

    Raises: Denied for any other address.
    """
    kind = kept_out(address=ip_address(address))
    if kind is not None:
        raise Denied(kind)


def kept_out(*, address: IPv4Address | IPv6Address) -> str | None:
    """Return the purpose of the address's forbidden network; None for a public address."""
    for network, kind in _NETWORKS:
        if address in network:
            return kind
    # The rest of IPv6 outside 2000::/3 is unassigned.
    return "reserved" if address.version == 6 and address not in _GLOBAL_UNICAST else None  # noqa: PLR2004
