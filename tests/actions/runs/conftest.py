"""An endpoint at the fake OpenTrain, and a handler whose responses the test chooses."""

import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from dashboard.actions import endpoints
from dashboard.actions.installs import sync
from dashboard.models import Endpoint, Install, User
from dashboard.services import handler
from tests.actions.runs.by_bits import make_failed
from tests.contract.fake import FakeOpenTrain

HANDLER = "https://acme.example.com/hook"


@pytest.fixture(autouse=True)
def probe(monkeypatch: pytest.MonkeyPatch, settings: Any) -> SimpleNamespace:
    """The handler's response to a probe, and the deadline used; calls follow each other without a pause."""
    settings.RUN_PACE_MS = 0
    answer = SimpleNamespace(status=405, latency_ms=31, error=None, waited_s=None, url=None)

    def probed(*, url: str, deadline_s: float) -> SimpleNamespace:
        answer.waited_s, answer.url = deadline_s, url
        if answer.error:
            raise answer.error
        return answer

    monkeypatch.setattr(handler, "probe", probed)
    return answer


@pytest.fixture
def endpoint(install: Install, support: User) -> Endpoint:
    _, endpoint, _ = endpoints.register(
        actor=support,
        install=install,
        url="",
        handler_url=HANDLER,
        through_redeliver=True,
        event_types=["contract.started"],
        clock=timezone.now,
        operation=uuid.uuid4(),
    )
    return endpoint


@pytest.fixture
def broken(endpoint: Endpoint, fake_opentrain: FakeOpenTrain) -> Callable[..., Endpoint]:
    """Disable the endpoint, with `failed` deliveries that reached Redeliver and `unseen` ones that did not."""

    def disable(*, failed: int, unseen: int = 0) -> Endpoint:
        make_failed(endpoint, fake_opentrain, failed)
        fake_opentrain.add_deliveries(endpoint.opentrain_id, failed=unseen)
        fake_opentrain.disable(endpoint.opentrain_id, "10 consecutive failures")
        sync.refresh(install=endpoint.install, now=timezone.now())
        return endpoint

    return disable
