"""Authentication by bearer token, rate limit and scopes.

Every operation makes the checks in the same order: 401 if the token is missing, malformed, unknown or revoked; then 429
if it calls too often; then 403 if the install or the app is not ACTIVE or the feature is off; then 403 if the scope is
missing. So a caller without a valid token learns nothing about the install.

Tokens are stored as a plain SHA-256. Their 256 random bits cannot be guessed, so a slow password hash would cost time
on every request and protect nothing; a fast hash can be looked up in an index.
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
    """A new token with its text, which is not stored."""

    id: str
    text: str

    def __repr__(self) -> str:
        return f"NewToken(id={self.id!r})"


def issue(*, install: Install, name: str, scopes: list[str], now: datetime) -> NewToken:
    """Create a token of `install`. Only the returned value contains its text.

    Raises: ValueError if it has scopes that the install does not have.
    """
    excess = sorted(set(scopes) - set(install.scopes))
    if excess:
        raise ValueError(f"the install does not have the scopes {', '.join(excess)}")
    text = f"ot_ptk_{secrets.token_urlsafe(32)}"
    token = Token.objects.create(install=install, name=name, scopes=scopes, token_hash=_digest(text), created_at=now)
    return NewToken(id=token.pk, text=text)


def revoke(*, token_id: str, now: datetime) -> None:
    """Revoke a token permanently. Revoking it again keeps the time of the first revocation."""
    Token.objects.filter(pk=token_id, revoked_at=None).update(revoked_at=now)


class _Bearer(HttpBearer):
    """Requires a live token, with one of `scopes` if any are given. Errors name the first one."""

    def __init__(self, *scopes: Scope) -> None:
        super().__init__()
        self.scopes = scopes

    def __call__(self, request: HttpRequest) -> Token:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            raise Unauthorized("No token was sent. Send the header Authorization: Bearer ot_ptk_….")
        return self.authenticate(request, text.strip())

    def authenticate(self, request: HttpRequest, token: str) -> Token:  # noqa: ARG002 - ninja's signature
        found = _live(token)
        _count(found)
        _check_install(found.install)
        if self.scopes and not set(self.scopes) & set(found.granted):
            raise Forbidden(
                f"This token lacks the scope {self.scopes[0]}. Ask the customer to reconnect the app with it.",
                details={"requiredScope": str(self.scopes[0]), "scopes": found.granted},
            )
        _touch(found, now=timezone.now())
        return found


_Check = Callable[[HttpRequest], Any]
any_token: _Check = _Bearer()
"""Requires a valid token."""

reads_links: _Check = _Bearer(Scope.PROJECT_LINKS_READ, Scope.PROJECT_LINKS_WRITE)
"""Requires `project-links:read`, which `project-links:write` implies."""
writes_links: _Check = _Bearer(Scope.PROJECT_LINKS_WRITE)
reads_contracts: _Check = _Bearer(Scope.CONTRACTS_READ)
reads_participants: _Check = _Bearer(Scope.PARTICIPANTS_READ)
writes_usage: _Check = _Bearer(Scope.USAGE_WRITE)
manages_webhooks: _Check = _Bearer(Scope.WEBHOOKS_MANAGE)


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
    """Record when the token was last used, at most once per minute: a write per request would cost too much."""
    stale = now - _TOUCH_EVERY
    if token.last_used_at is None or token.last_used_at < stale:
        due = Q(last_used_at=None) | Q(last_used_at__lt=stale)
        Token.objects.filter(due, pk=token.pk).update(last_used_at=now)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
