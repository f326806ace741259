"""The URLs that deliveries may go to: pure text rules, checked when an endpoint is registered or changed.

Source: partner-api, "Operations": https, and plain http for localhost only. Our own rules: no credentials (they would
appear on pages and in logs), no fragment (it is never sent), and nothing that two parsers could read as different
hosts.
"""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from dashboard.addresses import LOCAL_HOSTS

MAX_LENGTH = 2048
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_BRACKETED = re.compile(r"\[[0-9A-Fa-f:.]+\](:[0-9]+)?")
_HOST_MAX = 253
_UNREADABLE = "is not a URL: its host or port (1 to 65535) cannot be read"
_PRINTABLE = re.compile(r"[\x21-\x7e]+")


class BadTarget(ValueError):
    """Deliveries may not go to the URL. The message says why and what to do, and is safe to show."""


def check(url: str, *, allow_http_localhost: bool) -> str:
    """Return `url` unchanged if deliveries may go there.

    Raises: BadTarget.
    """
    if len(url) > MAX_LENGTH:
        raise BadTarget(f"must be at most {MAX_LENGTH} characters long; this has {len(url)}")
    if not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise BadTarget(
            "must be an absolute URL of printable ASCII without spaces, control characters or backslashes; "
            "write other characters percent-encoded, and an international host name in punycode"
        )
    parts = _split(url)
    if "#" in url:
        raise BadTarget("must not have a fragment: remove # and everything after it")
    if "@" in parts.netloc:
        raise BadTarget("must not contain a user name or password; the signature authenticates the sender")
    host = _host(parts)
    if parts.scheme == "http" and not (allow_http_localhost and host in LOCAL_HOSTS):
        raise BadTarget("must be https; plain http is for localhost, 127.0.0.1 and [::1] only")
    return url


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadTarget(_UNREADABLE) from None
    if parts.scheme not in {"https", "http"} or not url.lower().startswith(f"{parts.scheme}://"):
        raise BadTarget("must begin with https://, or with http:// where the host is localhost")
    if port == 0 or parts.netloc.endswith(":"):
        raise BadTarget("has an invalid port; use 1 to 65535 or leave it out")
    return parts


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if not host:
        raise BadTarget("has no host name")
    if "[" in parts.netloc:
        return _ipv6(host, netloc=parts.netloc)
    labels = host.removesuffix(".").split(".")
    if len(host) > _HOST_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadTarget("has an invalid host name")
    return host


def _ipv6(host: str, *, netloc: str) -> str:
    """Refuse invalid text inside or beside the brackets, which some versions of Python accept."""
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        raise BadTarget(_UNREADABLE) from None
    if not _BRACKETED.fullmatch(netloc):
        raise BadTarget(_UNREADABLE)
    return str(address)
