"""OpenID Connect settings: OIDC_ISSUER, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET, OIDC_NAME."""

import os
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from dashboard.config.environment import secret
from dashboard.rules import pasted

PROVIDER = "sso"
"""Its name in our URLs: the callback is /accounts/oidc/sso/login/callback/."""
_ON_THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Oidc:
    """An OpenID Connect provider, and our client credentials there."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    name: str

    def as_app(self) -> dict[str, Any]:
        """Return it as an allauth app."""
        return {
            "provider_id": PROVIDER,
            "name": self.name,
            "client_id": self.client_id,
            "secret": self.client_secret,
            "settings": {"server_url": self.issuer, "uid_field": "identity", "oauth_pkce_enabled": True},
        }


def read() -> Oidc | None:
    """Return the configured provider; None if OIDC_ISSUER is unset.

    Raises: ImproperlyConfigured if only some variables are set, or if the issuer is not https (except on localhost).
    """
    issuer, client_id = (pasted.bare(os.environ.get(name, "")) for name in ("OIDC_ISSUER", "OIDC_CLIENT_ID"))
    client_secret = secret("OIDC_CLIENT_SECRET")
    if not issuer:
        if client_id or client_secret:
            raise ImproperlyConfigured("OIDC_CLIENT_ID or OIDC_CLIENT_SECRET is set, but OIDC_ISSUER is not.")
        return None
    if not (client_id and client_secret):
        raise ImproperlyConfigured("OIDC_ISSUER is set: OIDC_CLIENT_ID and OIDC_CLIENT_SECRET must be too.")
    parts = urlsplit(issuer)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _ON_THIS_MACHINE):
        raise ImproperlyConfigured("OIDC_ISSUER must begin with https://.")
    name = os.environ.get("OIDC_NAME", "").strip() or "single sign-on"
    return Oidc(issuer=issuer.rstrip("/"), client_id=client_id, client_secret=client_secret, name=name)
