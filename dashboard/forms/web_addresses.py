"""Validators for URLs that people enter, for handlers, OpenTrain and alert channels."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError

from dashboard import addresses
from dashboard.models.endpoints import leads_to_a_receiver
from dashboard.rules.opentrain_urls import HTTPS_ONLY, is_delivered_to

URL_CHARS = 2048


def web_address(text: str) -> None:
    """Accept an http or https URL without credentials. Raises: ValidationError for any other text."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValidationError("Use plain characters only, without spaces.")
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise ValidationError("This is not a valid URL.") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ValidationError("Enter the full address, beginning with https://.")
    if parts.username is not None or parts.password is not None:
        raise ValidationError("Remove the user name and password from the address.")


def handler_address(text: str) -> None:
    """Accept a web address that a handler may have. Raises: ValidationError for any other text."""
    web_address(text)
    _not_a_receiver(text)
    check_public(text, allowed=settings.HANDLER_PRIVATE_ADDRESSES, setting="HANDLER_PRIVATE_ADDRESSES")


def _not_a_receiver(text: str) -> None:
    """Reject addresses of our own receiver, also behind another host. Raises: ValidationError."""
    if leads_to_a_receiver(url=text):
        raise ValidationError(
            "This address leads back to Redeliver: it is a receiver's, where OpenTrain delivers to. "
            "Enter the address of your own server."
        )


def check_public(text: str, *, allowed: bool, setting: str) -> None:
    """Reject a private address early; host names are checked at each call. `setting` allows private addresses.

    Raises: ValidationError if the address is private and not `allowed`.
    """
    host = urlsplit(text).hostname or ""
    try:
        kind = "loopback" if host == "localhost" else addresses.kept_out(address=ip_address(host))
    except ValueError:
        return  # a host name: its address can change
    if kind is not None and not allowed:
        raise ValidationError(
            f"This address is not public ({kind}), so Redeliver would not call it. Enter a public address, "
            f"or ask your administrator to set {setting}=1."
        )


def opentrain_address(text: str) -> None:
    """Accept the addresses that OpenTrain accepts: https, and http for localhost only. Raises: ValidationError."""
    web_address(text)
    if not is_delivered_to(text):
        raise ValidationError(HTTPS_ONLY)
