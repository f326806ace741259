"""Secrets at rest, encrypted anew under the first of FIELD_KEYS, so that an older key can be taken away.

What is chosen here, and why:
- It may run while the site does. Each row is changed only if it still holds what was read (compare and set): a secret
  that somebody replaces meanwhile was encrypted with the first key by that already.
- It may be stopped at any time and run again: what the first key reads is left alone, so it goes on where it was.
- Every new value is decrypted with the first key alone before it is stored, and must be the same secret.
- Columns are found by their type, so that a new one is not forgotten.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.db import models
from django.db.models import BinaryField
from django.db.models.functions import Cast

from dashboard.models.fields import SecretField
from dashboard.vault import Unreadable, decrypt, encrypt

BATCH = 200
"""So many rows are read at a time."""


class KeyMissing(Exception):
    """FIELD_KEYS is empty, so there is nothing to encrypt with."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of secrets."""

    model: type[models.Model]
    name: str

    def __str__(self) -> str:
        return f"{self.model._meta.db_table}.{self.name}"  # noqa: SLF001 - Django's documented API


@dataclass(frozen=True, slots=True)
class Counted:
    """What became of a column's secrets. `unreadable` are the primary keys of those that no key fits."""

    column: Column
    current: int = 0
    changed: int = 0
    overtaken: int = 0
    unreadable: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        return self.current + self.changed + self.overtaken + len(self.unreadable)


def columns() -> list[Column]:
    """Return every column of secrets that there is."""
    return [
        Column(model, field.name)
        for model in apps.get_models()
        for field in model._meta.concrete_fields  # noqa: SLF001 - Django's documented API
        if isinstance(field, SecretField)
    ]


def reencrypt(*, column: Column, dry_run: bool, on_row: Callable[[], None] = lambda: None) -> Counted:
    """Encrypt the column's secrets under the first key; with `dry_run` only say how many are to be. Raises: KeyMissing.

    A row that was changed by somebody else between reading and writing counts as overtaken.
    """
    if not settings.FIELD_KEYS:
        raise KeyMissing("FIELD_KEYS is empty: put the new key first, and the old ones behind it.")
    found = {"current": 0, "changed": 0, "overtaken": 0}
    unreadable = []
    for pk, stored in _stored(column):
        on_row()
        if is_current(stored):
            found["current"] += 1
            continue
        try:
            fresh = _fresh(stored)
        except Unreadable:
            unreadable.append(pk)
            continue
        kept = dry_run or _replace(column, pk=pk, stored=stored, fresh=fresh)
        found["changed" if kept else "overtaken"] += 1
    return Counted(column, unreadable=tuple(unreadable), **found)


def left(*, column: Column) -> int:
    """Return how many of the column's secrets the first key alone does not read: none after `reencrypt`."""
    return sum(not is_current(stored) for _pk, stored in _stored(column))


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


def _stored(column: Column) -> Iterator[tuple[int, bytes]]:
    """Give the column's values as they are stored, a batch at a time, by primary key."""
    rows = column.model._base_manager.filter(**{f"{column.name}__isnull": False})  # noqa: SLF001 - Django's documented API
    sealed = rows.order_by("pk").annotate(sealed=Cast(column.name, BinaryField()))
    after = 0
    while batch := list(sealed.filter(pk__gt=after).values_list("pk", "sealed")[:BATCH]):
        for pk, stored in batch:
            yield pk, bytes(stored)
        after = batch[-1][0]


def _replace(column: Column, *, pk: int, stored: bytes, fresh: bytes) -> bool:
    rows = column.model._base_manager.annotate(sealed=Cast(column.name, BinaryField()))  # noqa: SLF001
    return rows.filter(pk=pk, sealed=stored).update(**{column.name: fresh}) == 1
