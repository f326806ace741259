"""Secrets in memory and at rest.

A `Secret` never leaks by accident: not in a repr, a log line, a format string or a traceback. At rest it is encrypted
with MultiFernet under `settings.FIELD_KEYS`: the first key encrypts, all of them decrypt, so keys can rotate.
"""

from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class Unreadable(Exception):
    """A stored secret cannot be decrypted: FIELD_KEYS lacks the key that encrypted it."""


@dataclass(frozen=True, slots=True, eq=True)
class Secret:
    """A token or signing secret. Only `reveal()` returns its text, so every use can be searched for."""

    _text: str = field(repr=False)

    def reveal(self) -> str:
        return self._text

    def __str__(self) -> str:
        return "[secret]"

    __repr__ = __str__


class Sealed(Secret):
    """A secret that stays encrypted in memory. Each use decrypts it."""

    __slots__ = ()

    @classmethod
    def of(cls, stored: bytes) -> "Sealed":
        """Return the secret that `encrypt` returned the bytes of. It is not decrypted yet."""
        return cls(bytes(stored).decode("latin-1"))

    @property
    def stored(self) -> bytes:
        """The bytes that `encrypt` returned."""
        return self._text.encode("latin-1")

    def reveal(self) -> str:
        """Return the secret's text. Raises: Unreadable."""
        return decrypt(self.stored).reveal()


def encrypt(secret: Secret) -> bytes:
    """Return the encrypted bytes to store."""
    return _fernet(tuple(settings.FIELD_KEYS)).encrypt(secret.reveal().encode())


def decrypt(stored: bytes, *, once: bool = False) -> Secret:
    """Return the secret that `encrypt` returned the bytes of. `once` bypasses the cache.

    Raises: Unreadable if no key fits. It never returns an empty or wrong value.
    """
    read = _decrypted.__wrapped__ if once else _decrypted
    try:
        return read(bytes(stored), keys=tuple(settings.FIELD_KEYS))
    except InvalidToken as error:
        raise Unreadable("A stored secret cannot be read with the keys in FIELD_KEYS.") from error


@lru_cache(maxsize=1024)
def _decrypted(stored: bytes, *, keys: tuple[str, ...]) -> Secret:
    """Cached by stored bytes, so a changed secret is a new entry. The receiver reads the same few repeatedly."""
    return Secret(_fernet(keys).decrypt(stored).decode())


@lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])
