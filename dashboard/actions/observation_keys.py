"""The key with which an endpoint's own handler reports what it saw: issued, replaced, revoked, each with its audit row.

OpenTrain has no part in it. A key is stored as its SHA-256 and shown once, in the answer to the form that issued it.
"""

import hashlib
import secrets
import uuid
from datetime import datetime

from django.db import transaction

from dashboard.actions import audit
from dashboard.models import Endpoint, User
from dashboard.rules.secret_texts import OBSERVATION_KEY_START
from dashboard.vault import Secret

ISSUE = "issue observation key"
"""The audit's name for it."""
REVOKE = "revoke observation key"


def issue(*, actor: User | None, endpoint: Endpoint, now: datetime, operation: uuid.UUID | None = None) -> Secret:
    """Give the endpoint a new key, and return it. The key before it no longer works.

    `actor` is None for whoever sits at the machine itself. `operation` comes from the form, so that one that is sent
    twice does not replace the key that somebody has just copied.

    Raises: NotedBefore, with nothing changed.
    """
    key = OBSERVATION_KEY_START + secrets.token_urlsafe(32)
    words = "A key for observations was issued; one that was issued before no longer works."
    with transaction.atomic():
        audit.note(actor=actor, action=ISSUE, words=words, endpoint=endpoint, operation=operation)
        _set(endpoint=endpoint, digest=_digest(key), at=now)
    return Secret(key)


def revoke(*, actor: User, endpoint: Endpoint, operation: uuid.UUID) -> None:
    """Take the endpoint's key from it: calls that carry it are answered 401 from now on. What was reported stays.

    Raises: NotedBefore, with nothing changed.
    """
    words = (
        "The key for observations was revoked: nothing more can be reported with it. What was reported before is kept."
    )
    with transaction.atomic():
        audit.note(actor=actor, action=REVOKE, words=words, endpoint=endpoint, operation=operation)
        _set(endpoint=endpoint, digest=None, at=None)


def endpoint_of(*, key: Secret) -> Endpoint | None:
    """Return the endpoint that a key was issued for. It is found by its hash, so no timing tells of a part of it."""
    if not key.reveal().startswith(OBSERVATION_KEY_START):
        return None
    return Endpoint.objects.filter(observation_key_sha256=_digest(key.reveal())).first()


def _set(*, endpoint: Endpoint, digest: str | None, at: datetime | None) -> None:
    Endpoint.objects.filter(pk=endpoint.pk).update(observation_key_sha256=digest, observation_key_at=at)
    endpoint.observation_key_sha256, endpoint.observation_key_at = digest, at


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
