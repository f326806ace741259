"""Installs: a customer grants access to a partner's app, with a token that is shown once."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils.text import slugify

from dashboard.partner_api import auth
from dashboard.partner_api.models import App, Install, Scope

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
