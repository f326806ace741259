"""Connecting an install, for the tests of installs."""

import uuid

import pytest
from django.utils import timezone

from dashboard.actions.installs import sync
from dashboard.models import User
from dashboard.vault import Secret
from tests.factories import make_user


@pytest.fixture
def support() -> User:
    return make_user(role="support")


def connect(actor: User, token: Secret, name: str = "Acme Labs") -> tuple:
    return sync.connect(actor=actor, token=token, name=name, now=timezone.now(), operation=uuid.uuid4())
