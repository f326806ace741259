"""The client's address and user agent, for the audit.

A context variable: one middleware sets it for the duration of a request, and `actions/audit.py` reads it. As an
argument it would pass through every view and action for one reader, and a forgotten one would leave no trace. The
worker and the command line have no source, and the audit says so.
"""

import ipaddress
from contextvars import ContextVar
from dataclasses import dataclass

AGENT_CHARS = 300


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
    front, else None. Only its last entry is the proxy's; the client may have written the others.
    """
    last = (forwarded_for or "").rpartition(",")[2]
    return Source(_address(last) or _address(peer), "".join(filter(str.isprintable, agent))[:AGENT_CHARS])


def _address(text: str) -> str | None:
    try:
        found = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found).partition("%")[0]  # without the zone of a link-local address
