"""Cleanup of expired sessions and sign-in attempt counts."""

from datetime import datetime, timedelta

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.sessions.models import Session

from dashboard.models import CacheEntry


def forget_ended(*, now: datetime) -> None:
    """Delete expired sessions, their entries in the session list, and expired counts of sign-in attempts."""
    Session.objects.filter(expire_date__lt=now).delete()
    UserSession.objects.filter(created_at__lt=now - timedelta(hours=settings.SESSION_MAX_HOURS)).delete()
    CacheEntry.objects.filter(expires__lt=now).delete()
