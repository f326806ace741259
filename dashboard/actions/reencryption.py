"""Secrets at rest, encrypted anew under the first of FIELD_KEYS, so that an older key can be taken away.

What is chosen here, and why:
- It may run while the site does. Each row is changed only if it still holds what was read (compare and set): a secret
  that somebody replaces meanwhile was encrypted with the first key by that already.
- It may be stopped at any time and run again: what the first key reads is left alone, so it goes on where it was.
- Every new value is decrypted with the first key alone before it is stored, and must be the same secret.
- Where secrets are, dashboard/queries/stored_secrets.py knows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings

from dashboard.queries.stored_secrets import Place
from dashboard.vault import Unreadable, decrypt, encrypt


class KeyMissing(Exception):
    """FIELD_KEYS is empty, so there is nothing to encrypt with."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What became of a place's secrets. `unreadable` are the primary keys of those that no key fits."""

    place: Place
    current: int = 0
    changed: int = 0
    overtaken: int = 0
    unreadable: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        return self.current + self.changed + self.overtaken + len(self.unreadable)


def reencrypt(*, place: Place, dry_run: bool, on_row: Callable[[], None] = lambda: None) -> Counted:
    """Encrypt the place's secrets under the first key; with `dry_run` only say how many are to be. Raises: KeyMissing.

    A row that was changed by somebody else between reading and writing counts as overtaken.
    """
    if not settings.FIELD_KEYS:
        raise KeyMissing("FIELD_KEYS is empty: put the new key first, and the old ones behind it.")
    found = {"current": 0, "changed": 0, "overtaken": 0}
    unreadable = []
    for pk, stored in place.stored():
        on_row()
        if is_current(stored):
            found["current"] += 1
            continue
        try:
            fresh = _fresh(stored)
        except Unreadable:
            unreadable.append(pk)
            continue
        kept = dry_run or place.replace(pk=pk, stored=stored, fresh=fresh)
        found["changed" if kept else "overtaken"] += 1
    return Counted(place, unreadable=tuple(unreadable), **found)


def left(*, place: Place) -> int:
    """Return how many of the place's secrets the first key alone does not read: none after `reencrypt`."""
    return sum(not is_current(stored) for _pk, stored in place.stored())


def is_current(stored: bytes) -> bool:
    """Whether the first key wrote it."""
    try:
        _first(settings.FIELD_KEYS[0]).decrypt(stored)
    except InvalidToken:
        return False
    return True


def _fresh(stored: bytes) -> bytes:
    """Return the same secret under the first key. Raises: Unreadable."""
    secret = decrypt(stored)
    fresh = encrypt(secret)
    if _first(settings.FIELD_KEYS[0]).decrypt(fresh).decode() != secret.reveal():
        raise Unreadable("The first key does not read what it wrote.")
    return fresh


@cache
def _first(key: str) -> Fernet:
    return Fernet(key)
