"""The addresses that the engine may connect to: public ones, and this machine for URLs with the host localhost.

`addresses` has the table of addresses that are not public. The check is made on the address that a socket is about to
connect to, so that a name cannot resolve to one address for the check and to another for the connection.
"""

from ipaddress import IPv6Address, ip_address

from dashboard.addresses import kept_out


def denial(address: str, *, allow_loopback: bool) -> str | None:
    """Return why connecting to `address` (as `getaddrinfo` returns it) is denied; None if it is allowed."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return f"{address!r} is not an address"
    # A mapped address reaches the IPv4 address inside it. Only loopback is recognized this way; all others are denied.
    inner = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    if allow_loopback and (inner or parsed).is_loopback:
        return None
    kind = kept_out(address=parsed)
    return None if kind is None else f"{address} is in a denied range: {kind}"
