"""Cleanup of expired sessions and sign-in attempt counts."""

from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from dashboard.actions import accounts
from dashboard.models import CacheEntry
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def test_forget_ended_removes_what_is_over_and_nothing_else() -> None:
    make_user(username="ana")
    now = timezone.now()
    clients = [Client(), Client()]
    for client in clients:
        client.post("/accounts/login/", {"login": "ana", "password": "a-long-password"})
    Client().post("/accounts/login/", {"login": "ana", "password": "wrong"})
    over = clients[0].session.session_key
    Session.objects.filter(pk=over).update(expire_date=now - timedelta(seconds=1))
    UserSession.objects.filter(session_key=over).update(created_at=now - timedelta(hours=169))
    CacheEntry.objects.create(cache_key="over", value="", expires=now - timedelta(seconds=1))
    counted = CacheEntry.objects.exclude(pk="over").count()
    accounts.forget_ended(now=now)
    left = clients[1].session.session_key
    assert list(UserSession.objects.values_list("session_key", flat=True)) == [left]
    assert Session.objects.filter(pk=left).exists()
    assert not Session.objects.filter(pk=over).exists()
    assert (CacheEntry.objects.count(), counted > 0) == (counted, True)
