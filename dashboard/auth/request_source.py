"""From where somebody acts: what the audit says beside who and what.

A context variable, which one middleware sets for the length of a request and one function reads (`actions/audit.py`).
As an argument it would have to pass through every view and action for the sake of that one reader, and an action that
forgot it would leave no trace. Worker and command line act from nowhere, and the audit says so.
"""

import ipaddress
from contextvars import ContextVar
from dataclasses import dataclass

AGENT_CHARS = 300


@dataclass(frozen=True, slots=True)
class Source:
    """A client's address, None where none is known, and what its program calls itself."""

    address: str | None = None
    agent: str = ""


NOWHERE = Source()
current: ContextVar[Source] = ContextVar("source", default=NOWHERE)


def source_of(*, peer: str, forwarded_for: str | None, agent: str) -> Source:
    """Return where a request came from.

    `peer` is who is connected to us. `forwarded_for` is X-Forwarded-For where a proxy of ours stands in front, else
    None: its last entry is the proxy's own, whatever stands before it the client may have written.
    """
    last = (forwarded_for or "").rpartition(",")[2]
    return Source(_address(last) or _address(peer), "".join(filter(str.isprintable, agent))[:AGENT_CHARS])


def _address(text: str) -> str | None:
    try:
        found = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found).partition("%")[0]  # a link-local one's zone is this machine's own
