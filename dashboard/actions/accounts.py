"""What is done to somebody's account by whoever runs Redeliver, and what is left of sessions that are over."""

from datetime import datetime, timedelta

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import transaction

from dashboard.actions import audit
from dashboard.models import CacheEntry, User


def forget_factors(*, user: User) -> int:
    """Take away every second factor of somebody who has lost theirs, and end their sessions; return how many it were.

    Where their role needs one, they set up another at their next sign-in.
    """
    with transaction.atomic():
        factors = Authenticator.objects.filter(user=user)
        gone: int = factors.exclude(type=Authenticator.Type.RECOVERY_CODES).count()
        factors.delete()
        for session in UserSession.objects.filter(user=user):
            session.end()
        words = f"{gone} second factors of {user.get_username()} were taken away, and their sessions ended."
        audit.note(actor=None, action="forget second factors", words=words)
    return gone


def forget_ended(*, now: datetime) -> None:
    """Remove sessions that nobody can use any more, with their keys, and counts of tries that are over."""
    Session.objects.filter(expire_date__lt=now).delete()
    UserSession.objects.filter(created_at__lt=now - timedelta(hours=settings.SESSION_MAX_HOURS)).delete()
    CacheEntry.objects.filter(expires__lt=now).delete()
