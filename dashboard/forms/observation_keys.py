"""Issuing and revoking an endpoint's observation key."""

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from dashboard.forms.operation import OperationForm


class ObservationKeyForm(OperationForm):
    """A new key, or none any more. Where one is in use, that it stops working has to be confirmed."""

    confirmed = forms.BooleanField(required=False)

    def __init__(self, data: QueryDict | None, *, replaces: bool) -> None:
        super().__init__(data)
        self.replaces = replaces

    def clean_confirmed(self) -> bool:
        confirmed: bool = self.cleaned_data["confirmed"]
        if self.replaces and not confirmed:
            raise ValidationError("A key is in use. Tick this if it may stop working; nothing was changed yet.")
        return confirmed
