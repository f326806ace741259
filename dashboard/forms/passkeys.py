"""allauth's forms that take what a passkey says.

allauth fails where a part of that is missing. Whoever sends it may leave out what they like: that is a passkey that is
not accepted, and no failure of ours.
"""

from typing import Any

from allauth.mfa.webauthn import forms
from django.core.exceptions import ValidationError

from dashboard.rules import json_limits

REFUSED = "That passkey was not accepted: try again, or sign in another way."


class _Tolerant:
    """A form that takes what it cannot read for wrong."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - allauth's
        super().__init__(*args, **options)
        self.fields["credential"].decoder = json_limits.Decoder  # type: ignore[attr-defined]

    def full_clean(self) -> None:
        try:
            super().full_clean()  # type: ignore[misc]
        except (KeyError, AttributeError, TypeError, ValueError, RecursionError):  # the last of deep CBOR
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
