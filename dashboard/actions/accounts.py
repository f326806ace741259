"""What is left of sessions and tries that are over."""

from datetime import datetime, timedelta

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.sessions.models import Session

from dashboard.models import CacheEntry


def forget_ended(*, now: datetime) -> None:
    """Remove sessions that nobody can use any more, with their keys, and counts of tries that are over."""
    Session.objects.filter(expire_date__lt=now).delete()
    UserSession.objects.filter(created_at__lt=now - timedelta(hours=settings.SESSION_MAX_HOURS)).delete()
    CacheEntry.objects.filter(expires__lt=now).delete()
