"""Model fields that encrypt a `Secret`, and model fields that mask secrets in texts and headers (rules/masking.py).

The masked fields mask on write and again on read. Rows that an earlier release wrote may hold text that is masked
today, and audit entries cannot be rewritten. Migrations name Django's own fields, because the columns are the same.
"""

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from dashboard.config.masking import masking
from dashboard.rules.outside_texts import storable
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


class _Masked:
    """Masks the text on write and on read."""

    _plain: str
    """Name of the Django field that migrations use in place of this one."""

    def get_prep_value(self, value: Any) -> Any:  # noqa: ANN401 - Django's signature
        prepared = super().get_prep_value(value)  # type: ignore[misc]  # of the field that it is mixed into
        return masking().text(prepared) if isinstance(prepared, str) else prepared

    def from_db_value(self, value: str | None, _expression: object, _connection: object) -> str | None:
        return None if value is None else masking().text(value)

    def deconstruct(self) -> Any:  # noqa: ANN401 - Django's signature
        name, _path, args, kwargs = super().deconstruct()  # type: ignore[misc]
        return name, f"django.db.models.{self._plain}", args, kwargs


class MaskedCharField(_Masked, models.CharField):  # type: ignore[type-arg]
    """Masks, then cuts the text to `max_length`: a mask may be longer than the secret that it replaces."""

    _plain = "CharField"

    def get_prep_value(self, value: Any) -> Any:  # noqa: ANN401 - Django's signature
        prepared = super().get_prep_value(value)
        most = self.max_length
        return storable(prepared, most=most) if isinstance(prepared, str) and most is not None else prepared


class MaskedTextField(_Masked, models.TextField):  # type: ignore[type-arg]
    """Masks; a text column has no limit."""

    _plain = "TextField"


class MaskedHeadersField(models.JSONField):
    """[[name, value], …], masked on write and on read."""

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:  # noqa: ANN401, FBT
        return super().get_db_prep_value(_headers(value), connection, prepared)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:  # noqa: ANN401 - Django's signature
        return _headers(super().from_db_value(value, expression, connection))

    def deconstruct(self) -> Any:  # noqa: ANN401 - Django's signature
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs


def _headers(value: Any) -> Any:  # noqa: ANN401 - JSON is Any
    return masking().headers(value) if isinstance(value, list) else value
