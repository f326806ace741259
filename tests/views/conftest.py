"""Fixtures: an install with endpoints that the fake OpenTrain knows, and browsers signed in as different users."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from types import ModuleType, SimpleNamespace

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from dashboard.actions import endpoints
from dashboard.actions.installs import sync
from dashboard.models import Endpoint, Install, User
from dashboard.presenters import endpoint_contracts
from dashboard.views import delivery_lists
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_attempt, make_endpoint, make_failed_delivery
from tests.refreshes import run_queued

A_TIME = r"\d\d:\d\d UTC(?: on \d+ \w+(?: \d{4})?)?"
"""A time of day on a page, as a regular expression: it has its day if that is not today's, and its year likewise."""


def stop_clock(monkeypatch: pytest.MonkeyPatch, view: ModuleType, *, at: datetime) -> None:
    """Have the module of views read `at` as the time, so that its words do not depend on when the test runs."""
    monkeypatch.setattr(view, "timezone", SimpleNamespace(now=lambda: at))


@pytest.fixture(autouse=True)
def _counts_take_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise the limit of 0.3 s for a count: on a busy machine, even a count of a few rows can take longer."""
    monkeypatch.setattr(delivery_lists, "COUNT_MS", 60_000)
    monkeypatch.setattr(endpoint_contracts, "LIMIT_MS", 60_000)


@dataclass(frozen=True)
class Browser:
    """A signed-in user's browser: it reads pages as text, and presses buttons with or without htmx."""

    client: Client

    def read(self, path: str, *, status: int = 200, **headers: str) -> str:
        response = self.client.get(path, headers=headers)
        assert response.status_code == status
        return response.content.decode()

    def read_refreshed(self, path: str) -> str:
        """Open the page, run the refresh that it requested, and return what its next poll shows."""
        self.read(path)
        assert run_queued() != []
        return self.read(path)

    def press(self, path: str, **form: str) -> str:
        """Send the form with htmx; return the partial."""
        response = self.client.post(path, form, headers={"HX-Request": "true"})
        assert response.status_code == 200
        return response.content.decode()

    def submit(self, path: str, **form: str) -> str:
        """Send the form without JavaScript; return the page that it redirects to."""
        response = self.client.post(path, form, follow=True)
        assert [status for _url, status in response.redirect_chain] == [302]
        return response.content.decode()


@pytest.fixture
def _worker(db: None) -> None:
    """A background worker that has just sent a heartbeat."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (%s)", [timezone.now()])


@pytest.fixture
def ana(support: User) -> Browser:
    return browser_of(support)


@pytest.fixture
def acme_endpoint(acme: Install) -> Endpoint:
    return make_endpoint(install=acme)


@pytest.fixture
def connected(fake_opentrain: FakeOpenTrain, support: User) -> Install:
    """An install with a token that the fake accepts."""
    token = fake_opentrain.add_install()
    _outcome, install = sync.connect(
        actor=support, token=token, name="Acme Labs", now=timezone.now(), operation=uuid.uuid4()
    )
    assert install is not None
    return install


@pytest.fixture
def endpoint(connected: Install, support: User) -> Endpoint:
    """An endpoint of that install, which receives through Redeliver and has a handler."""
    return register(connected, support, handler_url="https://acme.example.com/hook")


@pytest.fixture
def disabled(endpoint: Endpoint, fake_opentrain: FakeOpenTrain) -> Endpoint:
    """The endpoint after ten failures in a row; of three deliveries failed at OpenTrain, two reached Redeliver."""
    ids = fake_opentrain.add_deliveries(endpoint.opentrain_id, failed=3)
    for opentrain_id in ids[:2]:
        delivery = make_failed_delivery(endpoint=endpoint, opentrain_id=opentrain_id)
        make_attempt(delivery=delivery, ok=False, cause="status", answered_status=503, handler_status=503)
    fake_opentrain.disable(endpoint.opentrain_id, "10 consecutive failures")
    sync.refresh(install=endpoint.install, now=timezone.now())
    endpoint.refresh_from_db()
    return endpoint


def browser_of(user: User) -> Browser:
    client = Client()
    client.force_login(user)
    return Browser(client)


def register(install: Install, actor: User, *, handler_url: str = "", url: str = "") -> Endpoint:
    _outcome, endpoint, _secret = endpoints.register(
        actor=actor,
        install=install,
        url=url,
        handler_url=handler_url,
        through_redeliver=not url,
        event_types=["contract.started"],
        clock=timezone.now,
        operation=uuid.uuid4(),
    )
    assert endpoint is not None
    return endpoint
