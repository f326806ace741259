"""The addresses that OpenTrain delivers to. Source: partner-api, "Operations"."""

from urllib.parse import urlsplit

from dashboard.addresses import LOCAL_HOSTS

HTTPS_ONLY = "OpenTrain delivers to https:// only (http:// only for localhost)."


def is_same_place(one: str, other: str) -> bool:
    """Return whether two web addresses lead to the same place: the case of a host, a default port and a slash at the
    end make no difference.
    """
    return _place(one) == _place(other)


def _place(url: str) -> tuple[str, str, int | None, str, str] | str:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return url
    return parts.scheme, parts.hostname or "", port, parts.path.rstrip("/"), parts.query


def is_delivered_to(url: str) -> bool:
    """Return whether OpenTrain accepts a web address: https, and http for localhost only."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL_HOSTS)
