"""Sessions at rest: Django's own, signed as ever, and encrypted under FIELD_KEYS besides.

While an authenticator app is being set up, its secret lies in the session. Signing keeps nobody from reading.

A session of before is read as it is and encrypted when it is next stored. `manage reencrypt` leaves sessions alone: one
that is used is stored anew within a minute (dashboard/middleware/sessions.py), under the first key, and one that no key
reads any more is over, as if it had run out.
"""

from typing import Any

from django.contrib.sessions.backends import db

from dashboard import vault
from dashboard.vault import Secret, Unreadable

SIGNED = ":"
"""Stands between the parts of what Django signs, and in nothing that the vault gives."""


class SessionStore(db.SessionStore):
    """Named as Django's is: the name goes into the signature, which sessions of before have."""

    def encode(self, session_dict: dict[str, Any]) -> str:
        return vault.encrypt(Secret(super().encode(session_dict))).decode()

    def decode(self, session_data: bytes | str) -> dict[str, Any]:
        """Return what was stored; nothing where it cannot be read: whose it was signs in again."""
        stored = session_data if isinstance(session_data, str) else session_data.decode()
        if SIGNED in stored:
            return super().decode(stored)
        try:
            return super().decode(vault.decrypt(stored.encode(), once=True).reveal())
        except Unreadable:
            return {}
