"""Where OpenTrain delivers to: an endpoint's URL, compared with the receiver's address and the endpoint's key.

An endpoint's URL can be changed outside Redeliver. An endpoint can be created outside at an address of the receiver.
"""

import re
from datetime import datetime
from enum import StrEnum
from urllib.parse import unquote, urlsplit

HOOKS = "/hooks/"
"""Path of the receiver's addresses, before the key."""
KEY_CHARS = 43
"""Length of a key of 256 bits."""
_KEY = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]+)?(/[!-\"$->@-~]*)(?:[?#][!-~]*)?")
"""A URL whose path is what stands there: nearly every one. `urlsplit` takes far longer, and lists read many."""


class Source(StrEnum):
    """Where an endpoint's deliveries go, and what Redeliver sees of them."""

    RECEIVER = "receiver"
    """To Redeliver's receiver, which verifies them."""
    NO_SECRET = "no_secret"  # noqa: S105 - a name
    """To the receiver, which lacks the signing secret and refuses them."""
    WAITING = "waiting"
    """To the receiver, with a signing secret that no delivery has proven: what does not fit is passed on too."""
    UNVERIFIED = "unverified"
    """To the receiver, which passes everything on, because nobody gave the signing secret."""
    ROUTING = "routing"
    """To its own URL, as far as is known: whether OpenTrain carried out the change to the receiver is unknown."""
    BYPASSED = "bypassed"
    """To the handler itself since Redeliver was taken out of the path."""
    MOVED = "moved"
    """To another URL since it was changed outside Redeliver."""
    REMADE = "remade"
    """To an address of the receiver, for an endpoint that was created outside Redeliver."""
    TAKEN = "taken"
    """To the receiver's address of another endpoint, which is in use."""
    STRANGE = "strange"
    """To an address of the receiver that belongs to no endpoint of the install."""
    OBSERVED = "observed"
    """To another URL, whose handler reports them."""
    DIRECT = "direct"
    """To another URL, unseen."""


def key_in(*, url: str, receiver_url: str) -> str:
    """Return the receiver key in a URL; empty if it is not an address of the receiver at `receiver_url`."""
    try:
        there, here = urlsplit(url), urlsplit(receiver_url)
        same = (there.scheme, there.hostname, _port(there.scheme, there.port)) == (
            here.scheme, here.hostname, _port(here.scheme, here.port),
        )  # fmt: skip
    except ValueError:
        return ""
    start = here.path.rstrip("/") + HOOKS
    key = there.path.removeprefix(start).strip("/") if there.path.startswith(start) else ""
    return key if same and "/" not in key else ""


def leads_to(*, url: str, key: str) -> bool:
    """Return whether a URL ends with the receiver's path and this key, on any host.

    The host is not compared: after a change of RECEIVER_URL, endpoints keep the address that they were registered with.
    """
    plain = _PLAIN.fullmatch(url)
    try:
        path = plain[1] if plain else urlsplit(url).path
    except ValueError:
        return False
    return path.rstrip("/").endswith(f"{HOOKS}{key}")


def log_began(
    *, is_received: bool, routed_at: datetime | None, created_at: datetime | None, observed_at: datetime | None
) -> datetime | None:
    """Return since when an endpoint's log is whole, as far as is known: from the receiver, or from observations."""
    return (routed_at or created_at) if is_received else observed_at


def key_at_end(*, url: str) -> str:
    """Return the receiver key that a URL ends with, on any host; empty if its path is not like one of the receiver.

    A proxy may lead from any host to the receiver, and servers read %41 as A.
    """
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        return ""
    _before, hooks, key = path.rstrip("/").rpartition(HOOKS)
    return key if hooks and _KEY.fullmatch(key) else ""


def whole_key(text: str) -> str:
    """Return the receiver key that a text is, or that its URL ends with; empty if it has none, or a part of one."""
    key = key_at_end(url=text) or text
    return key if len(key) == KEY_CHARS and _KEY.fullmatch(key) else ""


def _port(scheme: str, port: int | None) -> int | None:
    return port or {"http": 80, "https": 443}.get(scheme)
