"""Connecting an install."""

from django import forms

from dashboard.forms.names import INSTALL_NAME_CHARS, NameField
from dashboard.forms.operation import OperationForm
from dashboard.forms.pasted import PastedField
from dashboard.rules import pasted


class ConnectForm(OperationForm):
    """An install's token, which is never shown again, not even in its own field."""

    token = PastedField(
        read=pasted.token,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "form-control"}),
        error_messages={"required": "Paste the token. OpenTrain shows it once, on the consent screen."},
    )
    name = NameField(
        most=INSTALL_NAME_CHARS,
        widget=forms.TextInput(attrs={"autocomplete": "off", "class": "form-control"}),
    )
