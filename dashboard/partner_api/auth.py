"""Who is calling, and whether they may.

The order of the checks, the same for every operation: 401 while the token is missing, malformed, unknown or
revoked; then 429 where it calls too often; then 403 while the install or the app is not ACTIVE or the feature is off;
then 403 for a missing scope. A caller without a good token so learns nothing about the install.

Tokens are stored as a plain SHA-256: with 256 random bits there is nothing to guess, so that a slow password hash would
cost every request and protect nothing, and a fast one can be looked up by an index.
"""

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from ninja.security import HttpBearer

from dashboard.partner_api import conf, limits
from dashboard.partner_api.errors import Forbidden, RateLimited, Unauthorized
from dashboard.partner_api.models import App, Install, Scope, Token

_SHAPE = re.compile(r"ot_ptk_[A-Za-z0-9_-]{43}")
_TOUCH_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token at the one moment when its text is known."""

    id: str
    text: str

    def __repr__(self) -> str:
        return f"NewToken(id={self.id!r})"


def issue(*, install: Install, name: str, scopes: list[str], now: datetime) -> NewToken:
    """Make a token of `install`. Its text is in the answer only.

    Raises: ValueError, when it would reach further than the install.
    """
    excess = sorted(set(scopes) - set(install.scopes))
    if excess:
        raise ValueError(f"the install does not have the scopes {', '.join(excess)}")
    text = f"ot_ptk_{secrets.token_urlsafe(32)}"
    token = Token.objects.create(install=install, name=name, scopes=scopes, token_hash=_digest(text), created_at=now)
    return NewToken(id=token.pk, text=text)


def revoke(*, token_id: str, now: datetime) -> None:
    """End a token for good. Revoking it again keeps the first time."""
    Token.objects.filter(pk=token_id, revoked_at=None).update(revoked_at=now)


class _Bearer(HttpBearer):
    def __init__(self, scope: Scope | None) -> None:
        super().__init__()
        self.scope = scope

    def __call__(self, request: HttpRequest) -> Token:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            raise Unauthorized("No token was sent. Send the header Authorization: Bearer ot_ptk_….")
        return self.authenticate(request, text.strip())

    def authenticate(self, request: HttpRequest, token: str) -> Token:  # noqa: ARG002 - ninja's signature
        found = _live(token)
        _count(found)
        _check_install(found.install)
        if self.scope is not None and self.scope not in found.granted:
            raise Forbidden(
                f"This token lacks the scope {self.scope}. Ask the customer to reconnect the app with it.",
                details={"requiredScope": str(self.scope), "scopes": found.granted},
            )
        _touch(found, now=timezone.now())
        return found


any_token: Callable[[HttpRequest], Any] = _Bearer(None)
"""Any live token will do."""

manages_webhooks: Callable[[HttpRequest], Any] = _Bearer(Scope.WEBHOOKS_MANAGE)
"""A live token with `webhooks:manage`."""


def _live(text: str) -> Token:
    found = None
    if _SHAPE.fullmatch(text):
        found = Token.objects.select_related("install__app").filter(token_hash=_digest(text), revoked_at=None).first()
    if found is None:
        raise Unauthorized("The token is not valid: it is malformed, unknown or revoked.")
    return found


def _check_install(install: Install) -> None:
    if install.status != Install.Status.ACTIVE:
        raise Forbidden(f"The install is {install.status}, not ACTIVE.", details={"installStatus": install.status})
    if install.app.status != App.Status.ACTIVE:
        raise Forbidden(f"The app is {install.app.status}, not ACTIVE.", details={"appStatus": install.app.status})
    if not install.feature_enabled:
        raise Forbidden("The Partner API is not enabled for this organization.")


def _count(token: Token) -> None:
    wait_s = limits.take(token.pk, per_minute=conf.calls_per_minute())
    if wait_s is not None:
        raise RateLimited(
            f"This token called more than {conf.calls_per_minute()} times in a minute. Try again in {wait_s} s.",
            retry_after=wait_s,
        )


def _touch(token: Token, *, now: datetime) -> None:
    """Note when the token was last used, to the minute: a write per request would be more than that is worth."""
    stale = now - _TOUCH_EVERY
    if token.last_used_at is None or token.last_used_at < stale:
        due = Q(last_used_at=None) | Q(last_used_at__lt=stale)
        Token.objects.filter(due, pk=token.pk).update(last_used_at=now)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
