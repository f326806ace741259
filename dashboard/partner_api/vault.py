"""Signing secrets at rest: readable, because every attempt is signed afresh, and so encrypted under rotating keys."""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.core.exceptions import ImproperlyConfigured

from dashboard.partner_api import conf


class Unreadable(Exception):
    """A stored secret opens with none of the keys; restore the key it was written under."""


def seal(secret: str) -> str:
    """Encrypt under the newest key."""
    return _fernet().encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """Decrypt with whichever key fits.

    Raises: Unreadable.
    """
    try:
        return _fernet().decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise Unreadable("A signing secret cannot be read with any key of PARTNER_API_KEYS.") from None


def _fernet() -> MultiFernet:
    try:
        fernets = [Fernet(key) for key in conf.encryption_keys()]
    except ValueError:
        fernets = []  # the text of a bad key must not reach a trace
    if not fernets:
        raise ImproperlyConfigured(
            "PARTNER_API_KEYS must hold one Fernet key or more, separated by commas, the newest first. Make one with: "
            "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
        ) from None
    return MultiFernet(fernets)
