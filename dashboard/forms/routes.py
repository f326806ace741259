"""Putting endpoints behind the receiver: one, or several of an install."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from django import forms
from django.http import QueryDict

from dashboard.forms.operation import OperationForm
from dashboard.forms.pasted import PastedField
from dashboard.models import Endpoint
from dashboard.rules import pasted

NO_SECRET = "Paste the signing secret, or tick the box below."  # noqa: S105 - a sentence
WITHOUT_SECRET = "Route those without a secret too"  # noqa: S105 - a label
ANYWAY = "Route an endpoint even if the check of its handler fails"
NO_SECRET_OF_ONE = f"Paste the signing secret, or tick “{WITHOUT_SECRET}”."


def _secret_field() -> PastedField:
    """Return the field of a signing secret, which is never shown again, not even in its own field."""
    widget = forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "form-control"})
    return PastedField(read=pasted.signing_secret, required=False, widget=widget)


class RouteForm(OperationForm):
    """One endpoint. `anyway`: route although its handler did not pass the check."""

    secret = _secret_field()
    without_secret = forms.BooleanField(required=False)
    anyway = forms.BooleanField(required=False)

    def __init__(self, data: QueryDict | None, *, knows_secret: bool) -> None:
        """`knows_secret`: Redeliver has the endpoint's secret from before."""
        super().__init__(data)
        self.knows_secret = knows_secret

    def clean(self) -> dict[str, object]:
        cleaned: dict[str, object] = super().clean() or {}
        has_one = cleaned.get("secret") or cleaned.get("without_secret") or self.knows_secret
        if not has_one and "secret" not in self.errors:
            self.add_error("secret", NO_SECRET)
        return cleaned


@dataclass(frozen=True, slots=True)
class Wanted:
    """An endpoint to route, its secret ("" if none was given), and the operation's ID."""

    endpoint: Endpoint
    secret: str = field(repr=False)
    operation: uuid.UUID


class RouteInstallForm(forms.Form):
    """Several endpoints of an install, each with a box, a secret and an operation of its own.

    One that lacks its secret does not hold up the others: their secrets would have to be pasted again. So the form can
    be used although it has errors, if `wanted` has an endpoint.
    """

    without_secret = forms.BooleanField(required=False, label=WITHOUT_SECRET)
    anyway = forms.BooleanField(required=False, label=ANYWAY)

    def __init__(self, data: QueryDict | None, *, endpoints: Sequence[Endpoint], knowing: set[int]) -> None:
        """`knowing` are the IDs of the endpoints whose secrets Redeliver has from before."""
        super().__init__(data)
        self.endpoints, self.knowing = endpoints, knowing
        for endpoint in endpoints:
            is_wanted = not endpoint.is_bypassed  # someone took Redeliver out of its path
            self.fields[f"route_{endpoint.pk}"] = forms.BooleanField(required=False, initial=is_wanted)
            self.fields[f"secret_{endpoint.pk}"] = _secret_field()
            self.fields[f"operation_{endpoint.pk}"] = forms.UUIDField(
                widget=forms.HiddenInput, required=False, initial=uuid.uuid4
            )

    def clean(self) -> dict[str, object]:
        cleaned: dict[str, object] = super().clean() or {}
        if not self._chosen(cleaned):
            self.add_error(None, "Choose at least one endpoint.")
        for one in self._chosen(cleaned):
            name = f"secret_{one.pk}"
            has_one = cleaned.get(name) or cleaned.get("without_secret") or one.pk in self.knowing
            if not has_one and name not in self.errors:
                self.add_error(name, NO_SECRET_OF_ONE)
        return cleaned

    @property
    def wanted(self) -> list[Wanted]:
        """The chosen endpoints that can be routed, of a form whose errors have been looked for."""
        given = self.cleaned_data
        return [
            Wanted(
                one,
                cast("str", given[f"secret_{one.pk}"]),
                cast("uuid.UUID | None", given.get(f"operation_{one.pk}")) or uuid.uuid4(),
            )
            for one in self._chosen(given)
            if f"secret_{one.pk}" not in self.errors
        ]

    @property
    def lacking(self) -> list[tuple[Endpoint, str]]:
        """The chosen endpoints whose secrets are missing or cannot be used, with what to do about it."""
        errors = [(one, self.errors.get(f"secret_{one.pk}")) for one in self._chosen(self.cleaned_data)]
        return [(one, str(found[0])) for one, found in errors if found]

    def _chosen(self, cleaned: Mapping[str, object]) -> list[Endpoint]:
        return [one for one in self.endpoints if cleaned.get(f"route_{one.pk}")]
