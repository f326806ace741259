"""Issuing and revoking an endpoint's observation key."""

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from dashboard.forms.operation import OperationForm


class ObservationKeyForm(OperationForm):
    """Issuing or revoking a key. If a key is in use, the user must confirm that it stops working."""

    confirmed = forms.BooleanField(required=False)

    def __init__(self, data: QueryDict | None, *, replaces: bool) -> None:
        super().__init__(data)
        self.replaces = replaces

    def clean_confirmed(self) -> bool:
        confirmed: bool = self.cleaned_data["confirmed"]
        if self.replaces and not confirmed:
            raise ValidationError(
                "A key is in use. Check this box to confirm that it stops working. Nothing changed yet."
            )
        return confirmed
