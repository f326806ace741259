"""Who signed in, out, or tried to, and whose password changed: what allauth and Django signal, noted in the audit.

Of a sign-in that failed the name is kept only if it is somebody's: people type their password into the wrong field.
"""

from typing import Any

from allauth.account import signals as account
from django.contrib.auth import signals as auth
from django.http import HttpRequest

from dashboard.actions import audit
from dashboard.models import User

SIGN_IN = "sign in"


def connect() -> None:
    """Listen, from when the app is ready. allauth tells of sign-ins when they are complete, whatever the way."""
    account.user_logged_in.connect(signed_in, dispatch_uid="audit-signed-in")
    auth.user_login_failed.connect(failed, dispatch_uid="audit-sign-in-failed")
    auth.user_logged_out.connect(signed_out, dispatch_uid="audit-signed-out")
    for changed in (account.password_changed, account.password_set, account.password_reset):
        changed.connect(password_changed, dispatch_uid="audit-password-changed")


def signed_in(*, user: User, **_: object) -> None:
    audit.note(actor=user, action=SIGN_IN, words="Signed in.")


def failed(*, credentials: dict[str, Any], request: HttpRequest | None = None, **_: object) -> None:  # noqa: ARG001
    typed = str(credentials.get("username") or "").replace("\0", "")
    user = User.objects.filter(username__iexact=typed).first() if typed else None
    words = "The password was wrong." if user is not None else "No account has the name that was typed."
    audit.note(actor=user, action=SIGN_IN, words=words, phase=audit.REFUSED, actor_name="unknown")


def signed_out(*, user: User | None, **_: object) -> None:
    if user is not None:
        audit.note(actor=user, action="sign out", words="Signed out.")


def password_changed(*, user: User, **_: object) -> None:
    audit.note(actor=user, action="change password", words="The password was changed.")
