"""Fixtures of actions on an endpoint: an install that the fake OpenTrain knows, with one registered endpoint."""

import uuid
from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone

from dashboard.actions import endpoints
from dashboard.actions.installs import sync
from dashboard.models import AuditEntry, Delivery, Endpoint, Install, User
from dashboard.services.opentrain import WebhookEndpoint
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_delivery

EVENTS = ["contract.started", "contract.ended"]
UNKNOWN = "OpenTrain did not answer within 15 s. The request may have been taken."


@pytest.fixture
def install(fake_opentrain: FakeOpenTrain, support: User) -> Install:
    _, install = sync.connect(
        actor=support, token=fake_opentrain.add_install(), name="Acme Labs", now=timezone.now(), operation=uuid.uuid4()
    )
    return install


@pytest.fixture
def endpoint(install: Install, support: User) -> Endpoint:
    _, endpoint, _ = register(install, support)
    return endpoint


def register(install: Install, actor: User, **changes: object) -> tuple:
    given = {"url": "", "handler_url": "http://localhost:1/hook", "through_redeliver": True, "event_types": EVENTS}
    return endpoints.register(
        actor=actor, install=install, clock=timezone.now, operation=uuid.uuid4(), **given | changes
    )


def audit(action: str) -> list[tuple[str, str]]:
    entries = AuditEntry.objects.filter(action=action).order_by("id")
    return [(entry.phase, entry.actor_name) for entry in entries]


def make_failed(endpoint: Endpoint, opentrain_id: str) -> Delivery:
    return make_delivery(endpoint=endpoint, opentrain_id=opentrain_id, last_ok=False, attempts_in_round=5)


def says(fake: FakeOpenTrain, operation: str, **columns: Any) -> None:
    """Let the next answer of the operation show the endpoint with these columns."""

    def change(answer: Any) -> Any:
        if isinstance(answer, WebhookEndpoint):
            return replace(answer, **columns)
        return replace(answer, endpoint=replace(answer.endpoint, **columns))

    fake.change_answer(change, operation=operation)
