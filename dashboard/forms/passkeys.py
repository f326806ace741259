"""allauth's passkey forms, tolerant of malformed input.

allauth raises an exception if a part of a passkey's response is missing. Clients can omit any part: that is a rejected
passkey, not a server error.
"""

from typing import Any

from allauth.mfa.webauthn import forms
from django.core.exceptions import ValidationError

from dashboard.rules import json_limits

REFUSED = "That passkey was not accepted. Try again, or sign in another way."


class _Tolerant:
    """A form that rejects input it cannot read."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - allauth's
        super().__init__(*args, **options)
        self.fields["credential"].decoder = json_limits.Decoder  # type: ignore[attr-defined]

    def full_clean(self) -> None:
        try:
            super().full_clean()  # type: ignore[misc]
        except (KeyError, AttributeError, TypeError, ValueError, RecursionError):  # RecursionError: deeply nested CBOR
            self.add_error("credential", REFUSED)

    def add_error(self, field: str | None, error: ValidationError | str) -> None:
        """Replace allauth's "incorrect code" error with one about a passkey."""
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
