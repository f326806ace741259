"""The client's address and user agent, for the audit.

A context variable: one middleware sets it for the duration of a request, and `actions/audit.py` reads it. As an
argument it would pass through every view and action for one reader, and a forgotten one would leave no trace. The
worker and the command line have no source, and the audit says so.
"""

import ipaddress
import re
from contextvars import ContextVar
from dataclasses import dataclass

from dashboard.rules.outside_texts import on_one_line

AGENT_CHARS = 300

_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\w+)?|([\d.]+):\w+")
"""An address as some proxies write it: IPv6 in brackets, either with a port."""


@dataclass(frozen=True, slots=True)
class Source:
    """A client's IP address (None if unknown) and its User-Agent."""

    address: str | None = None
    agent: str = ""


NOWHERE = Source()
current: ContextVar[Source] = ContextVar("source", default=NOWHERE)


def source_of(*, peer: str, forwarded_for: str | None, agent: str) -> Source:
    """Return the source of a request.

    `peer` is the address of the connection. `forwarded_for` is the X-Forwarded-For header if a trusted proxy is in
    front, else None. Only its last entry is the proxy's; the client may have written the others. If that entry names no
    address ("unknown"), the source is the peer.
    """
    last = (forwarded_for or "").rpartition(",")[2]
    return Source(_address(_bare(last)) or _address(peer), on_one_line(agent, most=AGENT_CHARS))


def _bare(entry: str) -> str:
    """Return an entry of X-Forwarded-For without port and brackets, and without the syntax of Forwarded (RFC 7239)."""
    text = entry.strip()
    if text[:4].lower() == "for=":
        text = text[4:].partition(";")[0].strip()
    text = text.strip('"')
    found = _WITH_PORT.fullmatch(text)
    return (found[1] or found[2]) if found else text


def _address(text: str) -> str | None:
    try:
        found = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found).partition("%")[0]  # without the zone of a link-local address
