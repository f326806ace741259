"""People's own settings, and cleanup of expired sessions and sign-in attempt counts."""

import uuid
from datetime import datetime, timedelta

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import transaction

from dashboard.actions import audit
from dashboard.models import CacheEntry, User


def choose_time_zone(*, user: User, name: str, operation: uuid.UUID | None) -> None:
    """Have times shown to the user in this zone, an IANA name; empty is the browser's.

    Raises: audit.NotedBefore. Nothing changes then.
    """
    with transaction.atomic():
        words = f"Times are shown in {name}." if name else "Times are shown in the browser's time zone."
        audit.note(actor=user, action="choose time zone", words=words, operation=operation)
        User.objects.filter(pk=user.pk).update(time_zone=name)


def forget_ended(*, now: datetime) -> None:
    """Delete expired sessions, their entries in the session list, and expired counts of sign-in attempts."""
    Session.objects.filter(expire_date__lt=now).delete()
    UserSession.objects.filter(created_at__lt=now - timedelta(hours=settings.SESSION_MAX_HOURS)).delete()
    CacheEntry.objects.filter(expires__lt=now).delete()
