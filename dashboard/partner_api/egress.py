"""Which addresses the engine dials: public ones, and this machine for URLs that say localhost.

The table of what is not public is `addresses`. Checked on the address that a socket is about to connect to, so that no
name can resolve to one thing when it is checked and to another when it is dialled.
"""

from ipaddress import IPv6Address, ip_address

from dashboard.addresses import kept_out


def denial(address: str, *, allow_loopback: bool) -> str | None:
    """Say why `address` (as `getaddrinfo` writes it) is not dialled; None when it may be."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return f"{address!r} is not an address"
    # A mapped address reaches the IPv4 address inside it; only this machine's own is told by it, the rest is denied.
    inner = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    if allow_loopback and (inner or parsed).is_loopback:
        return None
    kind = kept_out(address=parsed)
    return None if kind is None else f"{address} is in a denied range: {kind}"
