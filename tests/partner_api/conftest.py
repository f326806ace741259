"""Fixtures for the Partner API: an install, a partner that calls with its token, and deliveries in any state."""

import json
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client

from dashboard.partner_api import contracts, endpoints, events, installs, links
from dashboard.partner_api.announcements import Announcer
from dashboard.partner_api.contracts import Trainer
from dashboard.partner_api.models import Contract, Delivery, Endpoint, Event, Install, Job, ProjectLink, Scope
from tests.partner_api import sink

BASE = "/api/partner/v1"
THEN = datetime(2026, 6, 12, 10, 0, 0, tzinfo=UTC)
BOTH = ["contract.started", "contract.ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAnswer:
    """An answer of the API, read as JSON; its header holds a request ID."""

    status: int
    json: Any
    headers: dict[str, str]


class Partner:
    """An API client with a token."""

    def __init__(self, *, install_id: str, token: str) -> None:
        self.install_id = install_id
        self.token = token
        self._client = Client(raise_request_exception=False)

    @property
    def install(self) -> Install:
        return Install.objects.get(pk=self.install_id)

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        raw: bytes | None = None,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> ApiAnswer:
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {self.token}"} if headers is None else headers
        response = self._client.generic(method, f"{BASE}{path}", data, content_type=content_type, headers=sent)
        assert response["Content-Type"] == "application/json; charset=utf-8" or response["Content-Type"].startswith(
            "application/json"
        )
        assert str(uuid.UUID(response["X-Request-Id"])) == response["X-Request-Id"]
        return ApiAnswer(status=response.status_code, json=response.json(), headers=dict(response.headers))


def make_partner(*, organization: str = "Acme Labs", scopes: list[str] | None = None) -> Partner:
    granted = installs.create(
        organization=organization, app_name="Label Studio Cloud", scopes=scopes or list(Scope.values), now=THEN
    )
    return Partner(install_id=granted.install_id, token=granted.token)


def make_endpoint(
    partner: Partner,
    *,
    url: str = "https://partner.example.com/hooks",
    event_types: list[str] | None = None,
) -> endpoints.Registered:
    return endpoints.register(install_id=partner.install_id, url=url, event_types=event_types or BOTH, now=THEN)


MARIA = Trainer(
    opentrain_user_id="usr_maria",
    display_name="Maria G.",
    country="Spain",
    profile_url="https://app.opentrain.ai/profile/maria-g",
    work_email="maria.g@opentrain.work",
)


def make_job(partner: Partner, *, title: str = "Traffic signs", now: datetime = THEN) -> Job:
    return contracts.post_job(install=partner.install, title=title, now=now)


def make_link(partner: Partner, *, job: Job | None, project: str = "42", now: datetime = THEN) -> ProjectLink:
    new = links.NewLink(external_project_id=project, job_id=None if job is None else job.pk)
    return links.create(install_id=partner.install_id, new=new, announcer=Announcer(), now=now)


def hire(
    job: Job,
    *,
    trainers: Sequence[Trainer] = (MARIA,),
    payment_type: str | None = "PAY_PER_HOUR",
    announcer: Announcer | None = None,
    now: datetime = THEN,
) -> Contract:
    return contracts.hire(
        job=job,
        title=f"{job.title} - annotation",
        payment_type=payment_type,
        trainers=trainers,
        announcer=announcer or Announcer(),
        now=now,
    )


def bodies_of(event_type: str) -> list[dict[str, Any]]:
    """The bodies of the events of a type, oldest first."""
    found = Event.objects.filter(type=event_type).order_by("id")
    return [json.loads(bytes(event.body)) for event in found]


def emit_one(partner: Partner, *, event_type: str = "contract.started", now: datetime = THEN) -> events.Emitted:
    return events.emit(
        install_id=partner.install_id,
        event_type=event_type,
        resource_id="ctr_1",
        job_id="job_1",
        data={"title": "Ünïcode"},
        now=now,
    )


def make_deliveries(partner: Partner, endpoint: Endpoint, *, count: int, status: str) -> list[str]:
    """Emit `count` events and set the endpoint's new deliveries of them to `status`; return their IDs, oldest first."""
    known = set(endpoint.delivery_set.values_list("id", flat=True))
    for _ in range(count):
        emit_one(partner)
    made = endpoint.delivery_set.exclude(pk__in=known).order_by("event_id")
    ids = list(made.values_list("id", flat=True))
    due = THEN if status == "PENDING" else None
    Delivery.objects.filter(pk__in=ids).update(status=status, next_attempt_at=due)
    return ids


@pytest.fixture(autouse=True)
def _own_middleware(settings) -> None:
    """The Partner API is a separate system: the console's middleware is not in its path."""
    settings.MIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]


@pytest.fixture
def partner(db: None) -> Partner:
    return make_partner()


@pytest.fixture
def outsider(db: None) -> Partner:
    return make_partner(organization="Somebody Else")


@pytest.fixture
def registered(partner: Partner) -> endpoints.Registered:
    return make_endpoint(partner)


@pytest.fixture
def endpoint(registered: endpoints.Registered) -> Endpoint:
    return registered.endpoint


@pytest.fixture
def receiver() -> Iterator[sink.Sink]:
    with sink.running_sink() as running:
        yield running


@pytest.fixture
def hooked(partner: Partner, receiver: sink.Sink) -> endpoints.Registered:
    """An endpoint that the receiver serves."""
    return make_endpoint(partner, url=receiver.url)


@pytest.fixture
def environment(postgres_server: Any) -> dict[str, str]:
    """Environment variables for a process that works on this test's database."""
    return os.environ | {
        "PARTNER_API_DATABASE_URL": postgres_server.url(connection.settings_dict["NAME"]),
        "PARTNER_API_KEYS": ",".join(django_settings.PARTNER_API_KEYS),
        "PARTNER_API_RUN_INTERVAL_S": "1",
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture
def _no_jobs(transactional_db: None) -> Iterator[None]:
    """Procrastinate's models are unmanaged: Django does not empty their tables between tests."""
    _truncate_jobs()
    yield
    _truncate_jobs()


def _truncate_jobs() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs, procrastinate_workers, procrastinate_periodic_defers CASCADE")
