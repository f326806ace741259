"""What is ours about signing in; the rest is django-allauth's, which asks these classes.

Accounts are made by an administrator, never by signing up. An identity of the OpenID Connect provider (`OIDC_ISSUER`)
comes into an account in one of two ways, and into no other:
- Somebody who is signed in connects it themselves, having shown their password or second factor again.
- The provider says that the e-mail address was verified, and it is the address of exactly one active account that no
  identity is connected to. Nobody can change the address of an account but an administrator, so whoever proves it to
  the provider, which the operator chose to trust, is who the account was made for.
From then on the account belongs to that identity (issuer and subject), whatever address it has later. User names are
never compared: a provider lets people choose those.
"""

import logging
from typing import Any, ClassVar, NoReturn

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.internal.ratelimit import respond_429
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount, SocialLogin
from allauth.socialaccount.providers.base import AuthProcess
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import ValidationError
from django.dispatch import receiver
from django.http import HttpRequest
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme

from dashboard import vault
from dashboard.models import User
from dashboard.rules import json_limits
from dashboard.vault import Secret

logger = logging.getLogger(__name__)

SIGNED_IN_AT, ACTIVE_AT = "signed_in_at", "active_at"
"""In the session: when it began, and when it was last used (dashboard/middleware/sessions.py)."""
_TOO_MANY = {"too_many_login_attempts", "rate_limited"}


class Accounts(DefaultAccountAdapter):  # type: ignore[misc]
    """Passwords, and where people are led."""

    error_messages: ClassVar[dict[str, Any]] = DefaultAccountAdapter.error_messages | {
        "username_password_mismatch": "This user name and password do not belong together. Check both and try again."
        " If you have lost your password, a support lead can give you a link to set a new one."
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def is_safe_url(self, url: str) -> bool:
        """Whether people may be sent on to `url`: only to a path of ours, never by a host's name, not even our own."""
        return url.startswith("/") and url.isprintable() and url_has_allowed_host_and_scheme(url, allowed_hosts=None)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: str) -> str:  # noqa: ARG002
        """Return what tries are counted by: the name alone. allauth adds the host, and its port can be anything."""
        return str(credentials.get("username", "")).lower()

    def validation_error(self, code: str, *args: object) -> ValidationError:
        """Return the error of a form; too many tries are a page of their own, and a 429."""
        if code in _TOO_MANY:
            raise ImmediateHttpResponse(respond_429(self.request))
        error: ValidationError = super().validation_error(code, *args)
        return error


class SecondFactors(DefaultMFAAdapter):  # type: ignore[misc]
    """TOTP secrets and the seeds of recovery codes at rest, as every other secret: under FIELD_KEYS."""

    error_messages: ClassVar[dict[str, Any]] = DefaultMFAAdapter.error_messages | {
        "incorrect_code": "Incorrect code. Type the one that the app shows now: each is good once, for half a minute."
    }

    def encrypt(self, text: str) -> str:
        return vault.encrypt(Secret(text)).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Raises: dashboard.vault.Unreadable."""
        return vault.decrypt(encrypted_text.encode()).reveal()

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Return who we are to a passkey, which shows the name to people."""
        return {**super().get_public_key_credential_rp_entity(), "name": "Redeliver"}

    def generate_authenticator_name(self, user: User, type: str) -> str:  # noqa: A002 - allauth's name
        """Return what a new passkey is called if nobody says otherwise."""
        return f"Passkey {Authenticator.objects.filter(user=user, type=type).count() + 1}"


class Identities(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """Who comes in by OpenID Connect: the rule is at the top of this module."""

    def get_requests_session(self) -> Any:  # noqa: ANN401 - it is requests', which lives in services
        """Return allauth's own, which reads no answer that is nested too deeply."""
        session = super().get_requests_session()
        session.hooks["response"].append(_check_depth)
        return session

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:  # noqa: ARG002
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Connect an identity to the account that was made for it, or say why there is none."""
        if sociallogin.is_existing:
            return
        if sociallogin.state.get("process") == AuthProcess.CONNECT:
            if SocialAccount.objects.filter(user=request.user).exists():
                raise ImmediateHttpResponse(redirect("socialaccount_connections"))  # it says which one
            return
        user = _made_for(sociallogin)
        if user is None:
            _refuse(request, sociallogin)
        sociallogin.connect(request, user)
        logger.info("the account of %s is now connected to an identity of the OIDC provider", user.get_username())


def _check_depth(answer: Any, **_: object) -> None:  # noqa: ANN401 - requests'
    json_limits.check_depth(answer.content.decode(errors="replace"))


def _made_for(sociallogin: SocialLogin) -> User | None:
    """Return the account that was made for an identity that has not come in before."""
    claims = sociallogin.account.extra_data["id_token"]
    email = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(email, str) or not email:
        return None
    if not email.isascii():  # other letters than these are the same as others in upper case only
        return None
    found = list(User.objects.filter(email__iexact=email)[:2])
    if len(found) != 1 or not found[0].is_active or SocialAccount.objects.filter(user=found[0]).exists():
        return None
    return found[0]


def _refuse(request: HttpRequest, sociallogin: SocialLogin) -> NoReturn:
    logger.warning("an identity of the OIDC provider has no account here")
    told = {"email": sociallogin.account.extra_data["id_token"].get("email", "")}
    raise ImmediateHttpResponse(render(request, "socialaccount/no_account.html", told, status=403))


@receiver(user_logged_in, dispatch_uid="begin-session")
def _begin(request: HttpRequest, **_: object) -> None:
    """Note when the session began."""
    request.session.set_expiry(None)  # the settings', no longer a stranger's
    request.session[SIGNED_IN_AT] = request.session[ACTIVE_AT] = timezone.now().isoformat()
