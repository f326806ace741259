"""Re-encryption of stored secrets under the first of FIELD_KEYS, so that an older key can be removed.

Design decisions:
- It can run while the site is in use. A row is changed only if it still holds the value that was read (compare and
  set): a secret that is replaced in between is already encrypted with the first key.
- It can be stopped and run again at any time. It skips what the first key can read, so it continues where it stopped.
- Before a new value is stored, it is decrypted with the first key alone and compared with the original secret.
- dashboard/queries/stored_secrets.py lists the places of secrets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings

from dashboard.queries.stored_secrets import Place
from dashboard.vault import Unreadable, decrypt, encrypt


class KeyMissing(Exception):
    """FIELD_KEYS is empty, so there is no key to encrypt with."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts of a place's secrets by result. `unreadable` holds the primary keys of those that no key can decrypt."""

    place: Place
    current: int = 0
    changed: int = 0
    overtaken: int = 0
    unreadable: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        return self.current + self.changed + self.overtaken + len(self.unreadable)


def reencrypt(*, place: Place, dry_run: bool, on_row: Callable[[], None] = lambda: None) -> Counted:
    """Encrypt the place's secrets under the first key; with `dry_run`, only count them. Raises: KeyMissing.

    A row that another process changes between read and write counts as `overtaken`.
    """
    if not settings.FIELD_KEYS:
        raise KeyMissing("FIELD_KEYS is empty: put the new key first and the old keys after it.")
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
    """Return how many of the place's secrets the first key alone cannot read: none after `reencrypt`."""
    return sum(not is_current(stored) for _pk, stored in place.stored())


def is_current(stored: bytes) -> bool:
    """Return whether the first key encrypted the value."""
    try:
        _first(settings.FIELD_KEYS[0]).decrypt(stored)
    except InvalidToken:
        return False
    return True


def _fresh(stored: bytes) -> bytes:
    """Return the same secret encrypted with the first key. Raises: Unreadable."""
    secret = decrypt(stored)
    fresh = encrypt(secret)
    if _first(settings.FIELD_KEYS[0]).decrypt(fresh).decode() != secret.reveal():
        raise Unreadable("The first key cannot decrypt the value that it encrypted.")
    return fresh


@cache
def _first(key: str) -> Fernet:
    return Fernet(key)
