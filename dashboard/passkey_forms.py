"""allauth's forms that take what a passkey says.

allauth fails where a part of that is missing. Whoever sends it may leave out what they like: that is a passkey that is
not accepted, and no failure of ours.
"""

from allauth.mfa.webauthn import forms


class _Tolerant:
    """A form that takes what it cannot read for wrong."""

    def full_clean(self) -> None:
        try:
            super().full_clean()  # type: ignore[misc]
        except (KeyError, AttributeError, TypeError, ValueError):
            self.add_error("credential", "That passkey was not accepted: try again.")  # type: ignore[attr-defined]


class Add(_Tolerant, forms.AddWebAuthnForm):  # type: ignore[misc]
    pass


class Authenticate(_Tolerant, forms.AuthenticateWebAuthnForm):  # type: ignore[misc]
    pass


class Login(_Tolerant, forms.LoginWebAuthnForm):  # type: ignore[misc]
    pass


class Reauthenticate(_Tolerant, forms.ReauthenticateWebAuthnForm):  # type: ignore[misc]
    pass
