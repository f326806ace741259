"""Signing secrets at rest. Every attempt needs the secret for its signature, so it is encrypted, not hashed."""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.core.exceptions import ImproperlyConfigured

from dashboard.partner_api import conf


class Unreadable(Exception):
    """No key decrypts a stored secret. Restore the key that encrypted it."""


def seal(secret: str) -> str:
    """Encrypt under the newest key."""
    return _fernet().encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """Decrypt with the key that fits.

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
        fernets = []  # a malformed key must not appear in a traceback
    if not fernets:
        raise ImproperlyConfigured(
            "PARTNER_API_KEYS must hold one or more Fernet keys, comma-separated, the newest first. Generate one with: "
            "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
        ) from None
    return MultiFernet(fernets)
