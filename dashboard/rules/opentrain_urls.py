"""The addresses that OpenTrain delivers to. Source: partner-api, "Operations"."""

from urllib.parse import urlsplit

from dashboard.addresses import LOCAL_HOSTS

HTTPS_ONLY = "OpenTrain delivers to https:// only (http:// only for localhost)."


def is_delivered_to(url: str) -> bool:
    """Return whether OpenTrain accepts a web address: https, and http for localhost only."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL_HOSTS)
