"""Connecting an install."""

from django import forms
from django.core.exceptions import ValidationError

from dashboard.forms.operation import OperationForm
from dashboard.rules.secret_texts import TOKEN_START


class ConnectForm(OperationForm):
    """An install's token, which is never shown again, not even in its own field."""

    token = forms.CharField(
        max_length=200,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "form-control"}),
        error_messages={"required": "Paste the token. OpenTrain shows it once, on the consent screen."},
    )
    name = forms.CharField(
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "class": "form-control"}),
    )

    def clean_token(self) -> str:
        token: str = self.cleaned_data["token"]
        if not token.startswith(TOKEN_START) or not token.isascii() or not token.isprintable() or " " in token:
            raise ValidationError(f"This is not an install token. Install tokens begin with {TOKEN_START}.")
        return token
