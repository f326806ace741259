"""Installs: a customer grants access to a partner's app, with a token that is shown once."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils.text import slugify

from dashboard.partner_api import announcements, auth
from dashboard.partner_api.announcements import Announcer
from dashboard.partner_api.models import App, Install, Scope, Token

SLUG_CHARS, HASH_CHARS = 50, 8


class Unusable(ValueError):
    """The install cannot be created; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A new install and its token, whose text is not stored."""

    install_id: str
    token: str

    def __repr__(self) -> str:
        return f"Granted(install_id={self.install_id!r})"


@transaction.atomic
def create(*, organization: str, app_name: str, scopes: Sequence[str], now: datetime) -> Granted:
    """Install the app named `app_name` (created if it is new) for an organization, with every scope in `scopes`.

    The organization's ID is derived from its name, so two installs of one customer have the same organization.

    Raises: Unusable.
    """
    unknown = sorted(set(scopes) - set(Scope.values))
    if unknown or not scopes:
        raise Unusable(f"There is no scope {', '.join(unknown) or '(none)'}. The scopes are {', '.join(Scope.values)}.")
    if not organization.strip() or not app_name.strip():
        raise Unusable("An organization and an app need a name.")
    granted = list(dict.fromkeys(scopes))
    install = Install.objects.create(
        app=_app(name=app_name.strip(), now=now),
        organization_id=f"org_{_slug(organization)}",
        organization_name=organization.strip(),
        scopes=granted,
        pii_consent=Scope.PARTICIPANTS_EMAIL in granted,
        created_at=now,
    )
    token = auth.issue(install=install, name="Consent screen", scopes=granted, now=now)
    return Granted(install_id=install.pk, token=token.text)


def disconnect(*, install_id: str, announcer: Announcer, now: datetime) -> None:
    """Revoke an install and its tokens. It is announced first: a revoked install gets no new events.

    Raises: Unusable if it is revoked already.
    """
    install = Install.objects.get(pk=install_id)
    if install.status == Install.Status.REVOKED:
        raise Unusable("This install is disconnected already.")
    announcer.announce(announcements.of_revocation(install), now=now)
    with transaction.atomic():
        _revoke(install_id, now=now)


def reconnect(
    *, install_id: str, scopes: Sequence[str] | None, as_new: bool, announcer: Announcer, now: datetime
) -> Granted:
    """Grant access again, with `scopes` or those of before, and issue a token in the place of all others.

    `as_new` revokes the install and creates another one for the same app and organization, without endpoints and links.
    The contract does not say which of the two OpenTrain does.
    """
    install = Install.objects.get(pk=install_id)
    granted = list(dict.fromkeys(scopes or install.scopes))
    announcer.announce(announcements.of_revocation(install), now=now)
    with transaction.atomic():
        _revoke(install_id, now=now)
        if as_new:
            install = Install(
                app=install.app,
                organization_id=install.organization_id,
                organization_name=install.organization_name,
                feature_enabled=install.feature_enabled,
                created_at=now,
            )
        install.status = Install.Status.ACTIVE
        install.scopes, install.pii_consent = granted, Scope.PARTICIPANTS_EMAIL in granted
        install.save()
        token = auth.issue(install=install, name="Consent screen", scopes=granted, now=now)
    return Granted(install_id=install.pk, token=token.text)


def _revoke(install_id: str, *, now: datetime) -> None:
    Install.objects.filter(pk=install_id).update(status=Install.Status.REVOKED)
    Token.objects.filter(install_id=install_id, revoked_at=None).update(revoked_at=now)


def _app(*, name: str, now: datetime) -> App:
    app, _ = App.objects.get_or_create(slug=_slug(name), defaults={"name": name, "created_at": now})
    return app


def _slug(name: str) -> str:
    """Return the name as a slug. One that is too long ends with a hash: two long names must not become one."""
    slug = slugify(name)
    if len(slug) > SLUG_CHARS:
        digest = hashlib.sha256(name.encode()).hexdigest()[:HASH_CHARS]
        slug = f"{slug[: SLUG_CHARS - HASH_CHARS - 1]}-{digest}"
    return slug or secrets.token_hex(4)
