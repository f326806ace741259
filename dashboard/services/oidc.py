"""Verified OpenID Connect identities.

allauth trusts an ID token that it fetched itself without checking the signature, prefers the userinfo to it, and
identifies a user by the subject alone. Here the signature is always verified, the userinfo must have the same subject
and overrides no claim, and an identity is issuer and subject together, so that a change of provider cannot give one
person another's account.
"""

import base64
import hashlib
from typing import Any

from allauth.socialaccount.internal import jwtkit
from allauth.socialaccount.models import SocialApp, SocialLogin, SocialToken
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.http import HttpRequest

from dashboard.rules import json_limits
from dashboard.rules.outside_texts import storable

CLAIM_CHARS = 2000
"""Characters of a claim that are kept. A longer email address matches no account."""


class Provider(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    """The provider configured in the settings."""

    @property
    def openid_config(self) -> dict[str, Any]:
        """Return the provider's configuration document. Raises: OAuth2Error if it is another issuer's."""
        config: dict[str, Any] = super().openid_config
        expected = self.get_provider().app.settings["server_url"]
        if str(config.get("issuer", "")).rstrip("/") != expected:
            raise OAuth2Error("The provider describes another issuer.")
        return config

    def complete_login(
        self, request: HttpRequest, app: SocialApp, token: SocialToken, *, response: dict[str, Any], **_: object
    ) -> SocialLogin:
        """Return the verified identity. Raises: OAuth2Error."""
        claims = self._verified(app, response.get("id_token", ""))
        told = self._fetch_user_info(token.token) if self.openid_config.get("userinfo_endpoint") else {}
        if told and told.get("sub") != claims["sub"]:
            raise OAuth2Error("The userinfo and the ID token have different subjects.")
        if "email" in claims:  # an address and its verification must have the same source
            told = {name: value for name, value in told.items() if name not in {"email", "email_verified"}}
        whole = {**told, **claims}
        whole["identity"] = hashlib.sha256(f"{claims['iss']}\n{claims['sub']}".encode()).hexdigest()
        return self.get_provider().sociallogin_from_response(request, {"id_token": _kept(whole)})

    def _verified(self, app: SocialApp, id_token: str) -> dict[str, Any]:
        """Return the token's claims after verifying its signature, issuer, audience and times. Raises: OAuth2Error."""
        try:
            for part in id_token.split(".")[:2]:
                json_limits.loads(base64.urlsafe_b64decode(part + "=="))
            claims: dict[str, Any] = jwtkit.verify_and_decode(
                credential=id_token,
                keys_url=self.openid_config["jwks_uri"],
                issuer=self.openid_config["issuer"],
                audience=app.client_id,
                lookup_kid=jwtkit.lookup_kid_jwk,
                verify_signature=True,
            )
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise OAuth2Error("The ID token cannot be verified.") from error
        if not (isinstance(claims.get("sub"), str) and claims["sub"] and "exp" in claims):
            raise OAuth2Error("The ID token has no subject or no expiry.")
        return claims


def _kept(value: Any) -> Any:  # noqa: ANN401 - JSON is Any
    """Return claims that PostgreSQL can store: JSON may hold NUL and lone surrogates, and its column may not."""
    if isinstance(value, str):
        return storable(value, most=CLAIM_CHARS)
    if isinstance(value, dict):
        return {storable(name, most=CLAIM_CHARS): _kept(item) for name, item in value.items()}
    return [_kept(item) for item in value] if isinstance(value, list) else value
