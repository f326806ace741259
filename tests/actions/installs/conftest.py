"""Connecting an install, for the tests of installs."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from dashboard.actions.installs import sync
from dashboard.models import Endpoint, Install, User
from dashboard.vault import Secret
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_user

TYPES = ["contract.ended", "contract.started"]


@pytest.fixture
def support() -> User:
    return make_user(role="support")


def connect(actor: User, token: Secret, name: str = "Acme Labs") -> tuple:
    return sync.connect(actor=actor, token=token, name=name, now=timezone.now(), operation=uuid.uuid4())


@pytest.fixture
def install(fake_opentrain: FakeOpenTrain, support: User) -> Install:
    return connect(support, fake_opentrain.add_install())[1]


@pytest.fixture
def old(install: Install, fake_opentrain: FakeOpenTrain) -> Endpoint:
    """An endpoint that has been at OpenTrain for long."""
    fake_opentrain.create_endpoint(token=install.token, url="https://old.example.com/", event_types=TYPES)
    sync.refresh(install=install, now=timezone.now() - timedelta(minutes=5))
    return Endpoint.objects.get()
