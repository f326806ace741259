"""allauth's forms that take what a passkey says.

allauth fails where a part of that is missing. Whoever sends it may leave out what they like: that is a passkey that is
not accepted, and no failure of ours.
"""

from allauth.mfa.webauthn import forms
from django.core.exceptions import ValidationError

REFUSED = "That passkey was not accepted: try again, or sign in another way."


class _Tolerant:
    """A form that takes what it cannot read for wrong."""

    def full_clean(self) -> None:
        try:
            super().full_clean()  # type: ignore[misc]
        except (KeyError, AttributeError, TypeError, ValueError):
            self.add_error("credential", REFUSED)

    def add_error(self, field: str | None, error: ValidationError | str) -> None:
        """Say what was wrong with a passkey; allauth calls it an incorrect code."""
        is_code = isinstance(error, ValidationError) and getattr(error, "code", "") == "incorrect_code"
        super().add_error(field, REFUSED if is_code else error)  # type: ignore[misc]


class Add(_Tolerant, forms.AddWebAuthnForm):  # type: ignore[misc]
    pass


class Authenticate(_Tolerant, forms.AuthenticateWebAuthnForm):  # type: ignore[misc]
    pass


class Login(_Tolerant, forms.LoginWebAuthnForm):  # type: ignore[misc]
    pass


class Reauthenticate(_Tolerant, forms.ReauthenticateWebAuthnForm):  # type: ignore[misc]
    pass
