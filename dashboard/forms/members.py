"""Inviting members, and setting a password by a link."""

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import QueryDict

from dashboard.forms.operation import OperationForm
from dashboard.models import Role, User


class InviteForm(OperationForm):
    """Who is invited, and as what."""

    username = forms.CharField(
        max_length=150,
        validators=[User.username_validator],
        error_messages={"required": "Give a user name, to sign in with."},
    )
    role = forms.ChoiceField(choices=[(role.value, role.label) for role in Role if role])
    email = forms.EmailField(required=False, max_length=254)

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        if email and User.objects.filter(email__iexact=email).exists():
            raise ValidationError("There is an account of this address already.")
        return email

    def clean_username(self) -> str:
        username: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=username).exists():
            raise ValidationError("There is an account of this name already.")
        return username


class SetPasswordForm(forms.Form):
    """A password, twice, by the code of a link. `owner` is whose it becomes."""

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
            raise ValidationError("The two are not the same.")
        return again
