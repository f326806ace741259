"""The form behind a button."""

import uuid

from django import forms


class OperationForm(forms.Form):
    """A press of a button. The same `operation` sent twice is one call."""

    operation = forms.UUIDField(widget=forms.HiddenInput, required=False, initial=uuid.uuid4)
