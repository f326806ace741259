"""Form fields into which people paste. They take what rules/pasted.py takes, and say why they refuse the rest."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from dashboard.rules import pasted
from dashboard.rules.pasted import Unusable


def cleaned(read: Callable[[str], str], text: str) -> str:
    """Return `read(text)`. Raises: ValidationError with the reason."""
    try:
        return read(text)
    except Unusable as error:
        raise ValidationError(str(error)) from None


class PastedField(forms.CharField):
    """A text that `read`, a function of rules/pasted.py, reads. The limit of its length is for what remains."""

    def __init__(self, *, read: Callable[[str], str], **options: Any) -> None:  # noqa: ANN401 - Django's
        super().__init__(**options)
        self.read = read

    def to_python(self, value: Any) -> str:  # noqa: ANN401 - Django's
        return cleaned(self.read, super().to_python(value) or "")


class PastedEmailField(forms.EmailField):
    """An email address, also from a link or with a name."""

    def to_python(self, value: Any) -> str:  # noqa: ANN401 - Django's
        return cleaned(pasted.mail_address, super().to_python(value) or "")
