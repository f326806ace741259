"""Secrets in memory and at rest.

A `Secret` never shows itself by accident: not in a repr, a log line, a format string or a traceback. At rest it is
encrypted with MultiFernet under `settings.FIELD_KEYS` (the first key encrypts, all of them decrypt, so keys rotate).
"""

from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class Unreadable(Exception):
    """A stored secret cannot be decrypted: the key that wrote it is not among FIELD_KEYS."""


@dataclass(frozen=True, slots=True, eq=True)
class Secret:
    """A token or a signing secret. `reveal()` is the only way to its text, so every use of one can be searched for."""

    _text: str = field(repr=False)

    def reveal(self) -> str:
        return self._text

    def __str__(self) -> str:
        return "[secret]"

    __repr__ = __str__


def encrypt(secret: Secret) -> bytes:
    """Return the secret's bytes for the database."""
    return _fernet(tuple(settings.FIELD_KEYS)).encrypt(secret.reveal().encode())


def decrypt(stored: bytes, *, once: bool = False) -> Secret:
    """Return the secret that `encrypt` stored. What is read `once` is not remembered.

    Raises: Unreadable, when none of the keys fits; never an empty or a wrong value.
    """
    read = _decrypted.__wrapped__ if once else _decrypted
    try:
        return read(bytes(stored), keys=tuple(settings.FIELD_KEYS))
    except InvalidToken as error:
        raise Unreadable("A stored secret cannot be read with the keys in FIELD_KEYS.") from error


@lru_cache(maxsize=1024)
def _decrypted(stored: bytes, *, keys: tuple[str, ...]) -> Secret:
    """Keyed by what is stored: a secret that changes is another one. The receiver needs the same few all the time."""
    return Secret(_fernet(keys).decrypt(stored).decode())


@lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])
