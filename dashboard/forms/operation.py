"""The form of a button that performs an operation."""

import uuid

from django import forms


class OperationForm(forms.Form):
    """A click on a button. The same `operation` sent twice is one call."""

    operation = forms.UUIDField(widget=forms.HiddenInput, required=False, initial=uuid.uuid4)
