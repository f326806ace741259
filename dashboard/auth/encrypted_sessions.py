"""Django's database sessions, encrypted at rest under FIELD_KEYS.

Django only signs session data, so anyone with the database can read it. During setup of an authenticator app, the
session holds its secret.

Sessions stored before encryption was added are still read, and encrypted when next saved. `manage reencrypt` skips
sessions: one in use is saved again within a minute (middleware/sessions.py) under the first key, and one that no key
can read counts as expired.
"""

from typing import Any

from django.contrib.sessions.backends import db

from dashboard import vault
from dashboard.vault import Secret, Unreadable

SIGNED = ":"
"""Separates the parts of Django's signed data; the vault's output never contains it."""


class SessionStore(db.SessionStore):
    """Keeps the name of Django's class, because the name is part of existing signatures."""

    def encode(self, session_dict: dict[str, Any]) -> str:
        return vault.encrypt(Secret(super().encode(session_dict))).decode()

    def decode(self, session_data: bytes | str) -> dict[str, Any]:
        """Return the stored data; empty if it cannot be read, so its owner signs in again."""
        stored = session_data if isinstance(session_data, str) else session_data.decode()
        if SIGNED in stored:
            return super().decode(stored)
        try:
            return super().decode(vault.decrypt(stored.encode(), once=True).reveal())
        except Unreadable:
            return {}
