"""Adapters that customize django-allauth's sign-in.

Administrators create accounts; there is no sign-up. An identity of the OpenID Connect provider (`OIDC_ISSUER`) is
connected to an account in one of two ways, and in no other:
- A signed-in user connects it themselves, after entering their password or second factor again.
- The provider says that the email address is verified, and exactly one active account without a connected identity has
  that address. Only an administrator can change an account's address, so the person who proves it to the provider,
  which the operator chose to trust, is the person the account was created for.
From then on the account belongs to that identity (issuer and subject), even if its address changes. User names are
never compared, because providers let people choose them.
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
from dashboard.auth import kept_forms, request_source
from dashboard.models import User
from dashboard.rules import json_limits
from dashboard.vault import Secret

logger = logging.getLogger(__name__)

SIGNED_IN_AT, ACTIVE_AT = "signed_in_at", "active_at"
"""Session keys: when the session began, and when it was last used. Read by middleware/sessions.py."""
_TOO_MANY = {"too_many_login_attempts", "rate_limited"}


class Accounts(DefaultAccountAdapter):  # type: ignore[misc]
    """Password sign-in, and safe redirects after it."""

    error_messages: ClassVar[dict[str, Any]] = DefaultAccountAdapter.error_messages | {
        "username_password_mismatch": "Incorrect user name or password. Check both and try again."
        " If you have lost your password, a support lead can give you a link to set a new one."
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def is_safe_url(self, url: str) -> bool:
        """Return whether a redirect to `url` is allowed: only to a path of this site, never with a host name."""
        return url.startswith("/") and url.isprintable() and url_has_allowed_host_and_scheme(url, allowed_hosts=None)

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the address that the audit has too. allauth reads X-Forwarded-For less leniently.

        Raises: PermissionDenied if it is not known.
        """
        return request_source.current.get().address or str(super().get_client_ip(request))

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: str) -> str:  # noqa: ARG002
        """Count attempts by user name alone: allauth adds the Host header, whose port the client chooses."""
        return str(credentials.get("username", "")).lower()

    def validation_error(self, code: str, *args: object) -> ValidationError:
        """Return a form error; too many attempts get a 429 page instead."""
        if code in _TOO_MANY:
            raise ImmediateHttpResponse(respond_429(self.request))
        error: ValidationError = super().validation_error(code, *args)
        return error


class SecondFactors(DefaultMFAAdapter):  # type: ignore[misc]
    """Encrypts TOTP secrets and recovery code seeds at rest under FIELD_KEYS, like every other secret."""

    error_messages: ClassVar[dict[str, Any]] = DefaultMFAAdapter.error_messages | {
        "incorrect_code": "Incorrect code. Enter the one that the app shows now. Each works once, for half a minute."
    }

    def encrypt(self, text: str) -> str:
        return vault.encrypt(Secret(text)).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Raises: dashboard.vault.Unreadable."""
        return vault.decrypt(encrypted_text.encode()).reveal()

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Return the relying party; browsers show its name beside a passkey."""
        return {**super().get_public_key_credential_rp_entity(), "name": "Redeliver"}

    def generate_authenticator_name(self, user: User, type: str) -> str:  # noqa: A002 - allauth's name
        """Return the default name of a new passkey."""
        return f"Passkey {Authenticator.objects.filter(user=user, type=type).count() + 1}"


class Identities(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """Sign-in by OpenID Connect, by the rule at the top of this module."""

    def get_requests_session(self) -> Any:  # noqa: ANN401 - it is requests', which lives in services
        """Return allauth's own, which reads no answer that is nested too deeply."""
        session = super().get_requests_session()
        session.hooks["response"].append(_check_depth)
        return session

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:  # noqa: ARG002
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Connect an identity to the account created for it, or say why there is none."""
        if sociallogin.is_existing:
            return
        if sociallogin.state.get("process") == AuthProcess.CONNECT:
            if SocialAccount.objects.filter(user=request.user).exists():
                raise ImmediateHttpResponse(redirect("socialaccount_connections"))  # that page shows the connected one
            return
        user = _made_for(sociallogin)
        if user is None:
            _refuse(request, sociallogin)
        sociallogin.connect(request, user)
        logger.info("the account of %s is now connected to an identity of the OIDC provider", user.get_username())


def _check_depth(answer: Any, **_: object) -> None:  # noqa: ANN401 - requests'
    json_limits.check_depth(answer.content.decode(errors="replace"))


def _made_for(sociallogin: SocialLogin) -> User | None:
    """Return the account created for an identity that signs in for the first time."""
    claims = sociallogin.account.extra_data["id_token"]
    email = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(email, str) or not email:
        return None
    if not email.isascii():  # case folding maps some other letters to ASCII ones
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
def _begin(request: HttpRequest, user: User, **_: object) -> None:
    """Record when the session began. What someone else typed in this browser is not for this user."""
    kept_forms.keep_only_of(request.session, owner=user.pk)
    request.session.set_expiry(None)  # back to the setting: before sign-in it was shorter
    request.session[SIGNED_IN_AT] = request.session[ACTIVE_AT] = timezone.now().isoformat()
