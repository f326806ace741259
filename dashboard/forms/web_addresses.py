"""Addresses that people type: handlers', OpenTrain's and alert channels'."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError

from dashboard import addresses

URL_CHARS = 2048


def web_address(text: str) -> None:
    """Take an http or https address without credentials. Raises: ValidationError."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValidationError("Write the address with plain characters only, without spaces.")
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise ValidationError("This is not an address that can be called.") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ValidationError("Write the whole address, beginning with https://.")
    if parts.username is not None or parts.password is not None:
        raise ValidationError("Leave user name and password out of the address.")


def handler_address(text: str) -> None:
    """Take a web address that a handler may be at. Raises: ValidationError."""
    web_address(text)
    check_public(text, allowed=settings.HANDLER_PRIVATE_ADDRESSES, setting="HANDLER_PRIVATE_ADDRESSES")


def check_public(text: str, *, allowed: bool, setting: str) -> None:
    """Say early that a private address would not be called; a name is checked at each call. `setting` allows others.

    Raises: ValidationError.
    """
    host = urlsplit(text).hostname or ""
    try:
        kind = "loopback" if host == "localhost" else addresses.kept_out(address=ip_address(host))
    except ValueError:
        return  # a name: what it points at can change
    if kind is not None and not allowed:
        raise ValidationError(
            f"This address is not a public one ({kind}), so it would not be called. Write a public address; "
            f"whoever runs Redeliver can allow others with {setting}=1."
        )


def opentrain_address(text: str) -> None:
    """Take what OpenTrain takes: https, and plain http for localhost only. Raises: ValidationError."""
    web_address(text)
    parts = urlsplit(text)
    if parts.scheme == "http" and parts.hostname not in addresses.LOCAL_HOSTS:
        raise ValidationError("OpenTrain delivers to https:// only (plain http:// is for localhost).")
