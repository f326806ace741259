"""Observation keys, with which an endpoint's handler reports what it saw: issue, replace and revoke, each audited.

OpenTrain is not involved. Only the SHA-256 of a key is stored. The key is shown once, after the form that issues it.
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
"""Name of this action in the audit."""
REVOKE = "revoke observation key"


def issue(*, actor: User | None, endpoint: Endpoint, now: datetime, operation: uuid.UUID | None = None) -> Secret:
    """Issue a new key for the endpoint and return it. The previous key stops working.

    `actor` is None for the command line. `operation` comes from the form, so a form that is submitted twice does not
    replace the key that the user has just copied.

    Raises: NotedBefore, with nothing changed.
    """
    key = OBSERVATION_KEY_START + secrets.token_urlsafe(32)
    words = "An observation key was issued. A previous key no longer works."
    with transaction.atomic():
        audit.note(actor=actor, action=ISSUE, words=words, endpoint=endpoint, operation=operation)
        _set(endpoint=endpoint, digest=_digest(key), at=now)
    return Secret(key)


def revoke(*, actor: User, endpoint: Endpoint, operation: uuid.UUID) -> None:
    """Revoke the endpoint's key: calls that use it get a 401. Recorded observations stay.

    Raises: NotedBefore, with nothing changed.
    """
    words = "The observation key was revoked. Calls that use it are rejected. Recorded observations are kept."
    with transaction.atomic():
        audit.note(actor=actor, action=REVOKE, words=words, endpoint=endpoint, operation=operation)
        _set(endpoint=endpoint, digest=None, at=None)


def endpoint_of(*, key: Secret) -> Endpoint | None:
    """Return the endpoint of a key. The lookup is by hash, so its timing reveals nothing about the key."""
    if not key.reveal().startswith(OBSERVATION_KEY_START):
        return None
    return Endpoint.objects.filter(observation_key_sha256=_digest(key.reveal())).first()


def _set(*, endpoint: Endpoint, digest: str | None, at: datetime | None) -> None:
    Endpoint.objects.filter(pk=endpoint.pk).update(observation_key_sha256=digest, observation_key_at=at)
    endpoint.observation_key_sha256, endpoint.observation_key_at = digest, at


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
