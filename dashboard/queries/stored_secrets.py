"""All places of encrypted secrets in the database: Redeliver's columns and allauth's second factors."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import models
from django.db.models import BinaryField, F, Func, JSONField, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from dashboard.db.fields import SecretField

BATCH = 200
"""Number of rows to read at a time."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of secrets."""

    model: type[models.Model]
    name: str

    def __str__(self) -> str:
        return f"{self.model._meta.db_table}.{self.name}"  # noqa: SLF001 - Django's documented API

    def stored(self) -> Iterator[tuple[int, bytes]]:
        """Yield each row's primary key and encrypted bytes, ordered by key, read in batches."""
        after = 0
        while batch := list(self._sealed(after).values_list("pk", "sealed")[:BATCH]):
            for pk, stored in batch:
                yield pk, bytes(stored)
            after = batch[-1][0]

    def replace(self, *, pk: int, stored: bytes, fresh: bytes) -> bool:
        """Replace `stored` by `fresh` if it is unchanged; return whether it was."""
        rows = self.model._base_manager.annotate(sealed=Cast(self.name, BinaryField()))  # noqa: SLF001
        return rows.filter(pk=pk, sealed=stored).update(**{self.name: fresh}) == 1

    def _sealed(self, after: int) -> models.QuerySet[Any]:
        rows = self.model._base_manager.filter(**{f"{self.name}__isnull": False}, pk__gt=after)  # noqa: SLF001
        sealed: models.QuerySet[Any] = rows.order_by("pk").annotate(sealed=Cast(self.name, BinaryField()))
        return sealed


@dataclass(frozen=True, slots=True)
class FactorKey:
    """A key in allauth's JSON of a second factor. The secret there is the encrypted token as ASCII text."""

    name: str

    def __str__(self) -> str:
        return f"mfa_authenticator.data.{self.name}"

    def stored(self) -> Iterator[tuple[int, bytes]]:
        """Yield each row's primary key and encrypted bytes, ordered by key."""
        rows = self._rows().filter(data__has_key=self.name).order_by("pk")
        for pk, sealed in rows.annotate(sealed=KT(f"data__{self.name}")).values_list("pk", "sealed"):
            yield pk, sealed.encode()

    def replace(self, *, pk: int, stored: bytes, fresh: bytes) -> bool:
        """Replace `stored` by `fresh` if it is unchanged. Other keys, such as the used codes, are not touched."""
        changed = Func(F("data"), Value(f"{{{self.name}}}"), Value(fresh.decode(), JSONField()), function="jsonb_set")
        rows = self._rows().annotate(sealed=KT(f"data__{self.name}"))
        return bool(rows.filter(pk=pk, sealed=stored.decode()).update(data=changed))

    def _rows(self) -> models.QuerySet[Any]:
        return apps.get_model("mfa", "Authenticator")._base_manager.all()  # type: ignore[no-any-return]  # noqa: SLF001


Place = Column | FactorKey


def places() -> list[Place]:
    """Return all places. Columns are found by their field type, so new ones are included automatically."""
    columns = [
        Column(model, field.name)
        for model in apps.get_models()
        for field in model._meta.concrete_fields  # noqa: SLF001 - Django's documented API
        if isinstance(field, SecretField)
    ]
    return [*columns, FactorKey("secret"), FactorKey("seed")]
