"""What a front passes on of a request to the console, and of the console's answer.

Headers are bytes, as they came: values need not be UTF-8. Hop-by-hop headers stay behind (RFC 9110, 7.6.1). The front
sets the forwarding headers itself, and drops the client's unless a trusted proxy, which has set them, is the client.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

HOP_BY_HOP = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    }
)  # fmt: skip
_HOP_BY_HOP = frozenset(name.encode() for name in HOP_BY_HOP)
_OF_REQUEST = _HOP_BY_HOP | {b"expect", b"content-length", b"x-request-id"}
_FORWARDING = frozenset({b"forwarded", b"x-real-ip", b"x-scheme", b"x-url-scheme"})
"""With X-Forwarded-*, what proxies say about a client."""

_ABSOLUTE = re.compile(rb"https?://([a-z0-9._:\[\]-]+)([/?].*)?", re.IGNORECASE)

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Target:
    """What a request asks for: its path with the query, as written, and the host, if the target names it itself."""

    path: bytes
    host: bytes | None = None


def target_of(written: bytes) -> Target | None:
    """Return the target of a request; None if no server takes it (RFC 9112, 3.2).

    Clients ask a proxy for an absolute URL, and servers must accept that too. The host of the URL counts then, and not
    the Host header. One with a user name is refused.
    """
    if written.startswith(b"/"):
        return Target(written)
    found = _ABSOLUTE.fullmatch(written)
    if found is None:
        return None
    path = found[2] or b"/"
    return Target(path if path.startswith(b"/") else b"/" + path, host=found[1])


def request_headers(
    headers: Iterable[tuple[bytes, bytes]],
    *,
    host: bytes | None,
    peer: str,
    request_id: str,
    behind_proxy: bool,
) -> Headers:
    """Return the headers for the console. The body follows in one piece, so its length is the front's to set.

    `host` is what the target names; it replaces the Host header.

    `peer` is the address of the connection. With `behind_proxy` it is a trusted proxy, whose word counts; what it does
    not say is what the connection says. `request_id` names the request in the logs of both.
    """
    given = list(headers)
    stopped = _OF_REQUEST | _named(given) | ({b"host"} if host is not None else set())
    kept = [] if host is None else [(b"Host", host)]
    kept += [
        (name, value)
        for name, value in given
        if (behind_proxy if _is_forwarding(lower := name.lower()) else lower not in stopped)
    ]
    said = {name.lower() for name, _ in kept}
    ours = ((b"X-Forwarded-For", peer), (b"X-Forwarded-Proto", "http"))
    added = [(name, value.encode()) for name, value in ours if name.lower() not in said]
    return [*kept, *added, (b"X-Request-ID", request_id.encode())]


def _is_forwarding(name: bytes) -> bool:
    return name.startswith(b"x-forwarded-") or name in _FORWARDING


def answer_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return the console's headers for the client, with Content-Length if it has one."""
    given = list(headers)
    stopped = _HOP_BY_HOP | _named(given)
    return [(name, value) for name, value in given if name.lower() not in stopped]


def _named(headers: Headers) -> set[bytes]:
    """Return the names in Connection, which makes them hop-by-hop too, except Host, which each hop needs."""
    return {
        one.strip().lower() for name, value in headers if name.lower() == b"connection" for one in value.split(b",")
    } - {b"host"}
