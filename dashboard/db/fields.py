"""A model field that stores a `Secret` encrypted."""

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from dashboard.vault import Secret, decrypt, encrypt


class SecretField(models.BinaryField):  # type: ignore[type-arg]
    """Encrypts on write and decrypts on read.

    Raises: `dashboard.vault.Unreadable` if no key can decrypt a value that is read.
    """

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:  # noqa: ANN401, FBT
        stored = encrypt(value) if isinstance(value, Secret) else value
        return super().get_db_prep_value(stored, connection, prepared)

    def from_db_value(self, value: bytes | None, _expression: object, _connection: object) -> Secret | None:
        return None if value is None else decrypt(value)
