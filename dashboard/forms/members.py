"""Inviting members, and setting a password with a link."""

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import QueryDict

from dashboard.forms.operation import OperationForm
from dashboard.forms.pasted import PastedEmailField, PastedField
from dashboard.models import Role, User
from dashboard.rules import pasted


class InviteForm(OperationForm):
    """The user name, role and email address of an invitation."""

    username = PastedField(
        read=pasted.user_name,
        max_length=150,
        validators=[User.username_validator],
        error_messages={"required": "Enter a user name."},
    )
    role = forms.ChoiceField(choices=[(role.value, role.label) for role in Role if role])
    email = PastedEmailField(required=False, max_length=254)

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        if email and User.objects.filter(email__iexact=email).exists():
            raise ValidationError("An account with this address already exists.")
        return email

    def clean_username(self) -> str:
        username: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=username).exists():
            raise ValidationError("An account with this name already exists.")
        return username


class SetPasswordForm(forms.Form):
    """A new password, entered twice, with the code of a link. `owner` is the account that it is for."""

    code = forms.CharField(max_length=200)
    password = forms.CharField(max_length=1000, strip=False)
    again = forms.CharField(max_length=1000, strip=False)

    def __init__(self, data: QueryDict | None = None, *, owner: User | None = None) -> None:
        super().__init__(data)
        self.owner = owner

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        validate_password(password, self.owner)
        return password

    def clean_again(self) -> str:
        again: str = self.cleaned_data["again"]
        if "password" in self.cleaned_data and again != self.cleaned_data["password"]:
            raise ValidationError("The passwords don't match.")
        return again
