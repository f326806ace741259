"""Audit entries for sign-ins, sign-outs, failed attempts and credential changes, from signals of allauth and Django.

A failed sign-in stores the typed name only if an account has it, because people type passwords into the wrong field.
"""

from dataclasses import dataclass
from typing import Any

from allauth.account import signals as account
from allauth.mfa import signals as mfa
from allauth.mfa.models import Authenticator
from allauth.socialaccount import signals as identities
from allauth.socialaccount.models import SocialAccount, SocialLogin
from django.contrib.auth import signals as auth
from django.http import HttpRequest

from dashboard.actions import audit
from dashboard.models import User

SIGN_IN = "sign in"
IDENTITY = "change identity"
_FACTORS = {
    Authenticator.Type.TOTP: "Authenticator app",
    Authenticator.Type.WEBAUTHN: "Passkey",
    Authenticator.Type.RECOVERY_CODES: "Recovery codes",
}


def connect() -> None:
    """Connect the signals. Call it once the app is ready. allauth signals a completed sign-in, by any method."""
    account.user_logged_in.connect(signed_in, dispatch_uid="audit-signed-in")
    auth.user_login_failed.connect(failed, dispatch_uid="audit-sign-in-failed")
    auth.user_logged_out.connect(signed_out, dispatch_uid="audit-signed-out")
    for changed in (account.password_changed, account.password_set, account.password_reset):
        changed.connect(password_changed, dispatch_uid="audit-password-changed")
    mfa.authentication_failed.connect(code_failed, dispatch_uid="audit-code-failed")
    for changed, words in (
        (mfa.authenticator_added, "added"),
        (mfa.authenticator_removed, "removed"),
        (mfa.authenticator_reset, "regenerated"),
    ):
        changed.connect(_FactorChanged(words), weak=False, dispatch_uid=f"audit-factor-{words}")
    identities.social_account_added.connect(identity_connected, dispatch_uid="audit-identity-connected")
    identities.social_account_removed.connect(identity_disconnected, dispatch_uid="audit-identity-disconnected")


def signed_in(*, user: User, **_: object) -> None:
    audit.note(actor=user, action=SIGN_IN, words="Signed in.")


def failed(*, credentials: dict[str, Any], request: HttpRequest | None = None, **_: object) -> None:  # noqa: ARG001
    typed = str(credentials.get("username") or "").replace("\0", "")
    user = User.objects.filter(username__iexact=typed).first() if typed else None
    words = "The password was wrong." if user is not None else "No account has the user name that was typed."
    audit.note(actor=user, action=SIGN_IN, words=words, phase=audit.REFUSED, actor_name="unknown")


def signed_out(*, user: User | None, **_: object) -> None:
    if user is not None:
        audit.note(actor=user, action="sign out", words="Signed out.")


@dataclass(frozen=True, slots=True)
class _FactorChanged:
    """Audits a change of a second factor."""

    words: str

    def __call__(self, *, user: User, authenticator: Authenticator, **_: object) -> None:
        what = _FACTORS[authenticator.type]
        audit.note(actor=user, action="change second factor", words=f"{what}: {self.words}.")


def code_failed(*, user: User, authenticator: Authenticator, **_: object) -> None:  # noqa: ARG001
    audit.note(
        actor=user,
        action=SIGN_IN,
        words="The password was accepted, but the second-factor code was wrong.",
        phase=audit.REFUSED,
    )


def identity_connected(*, sociallogin: SocialLogin, **_: object) -> None:
    audit.note(actor=sociallogin.user, action=IDENTITY, words="An OpenID Connect identity was connected.")


def identity_disconnected(*, socialaccount: SocialAccount, **_: object) -> None:
    audit.note(actor=socialaccount.user, action=IDENTITY, words="The OpenID Connect identity was disconnected.")


def password_changed(*, user: User, **_: object) -> None:
    audit.note(actor=user, action="change password", words="The password was changed.")
