"""Sample answers of OpenTrain, and helpers for the client's tests."""

import dataclasses
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from dashboard.services import opentrain
from dashboard.services.opentrain import OpenTrainError, WebhookEndpoint
from dashboard.services.opentrain.call import Limits
from dashboard.vault import Secret
from tests.services import misbehaving as bad
from tests.services.misbehaving import Behaviour

TOKEN = Secret("ot_ptk_" + "c4n4ry" * 7)
REQUEST_ID = "9d1f2c3b-0000-4000-8000-000000000001"
QUICK = Limits(connect_s=0.5, read_s=0.4, total_s=1.2, max_bytes=20_000, tries=3, pause_s=0.02)
"""Limits that a test waits for: for servers that never answer."""
PATIENT = dataclasses.replace(QUICK, connect_s=20, read_s=20, total_s=20)
"""Limits far above the duration of an answer, even on a busy machine."""
SLACK_S = 15
"""Allowed delay on a busy machine, in seconds. A server that hangs here does so for 30 s."""

ENDPOINT: dict[str, Any] = {
    "id": "whe_1",
    "url": "https://your-platform.example.com/webhooks/opentrain",
    "eventTypes": ["contract.started", "contract.ended"],
    "status": "ACTIVE",
    "createdAt": "2026-06-12T10:00:00.000Z",
    "consecutiveFailures": 0,
    "disabledAt": None,
    "disabledReason": None,
}
READ = WebhookEndpoint(
    id="whe_1",
    url="https://your-platform.example.com/webhooks/opentrain",
    event_types=("contract.started", "contract.ended"),
    status="ACTIVE",
    created_at=datetime(2026, 6, 12, 10, 0, tzinfo=UTC),
    consecutive_failures=0,
    disabled_at=None,
    disabled_reason=None,
)
INSTALL: dict[str, Any] = {
    "id": "ins_1",
    "status": "ACTIVE",
    "scopes": ["webhooks:manage"],
    "piiConsent": True,
    "organizationId": "org_1",
    "createdAt": "2026-06-12T10:00:00.000Z",
    "partnerApp": {"id": "app_1", "slug": "studio", "name": "Studio"},
    "token": {"id": "tok_1", "name": "Consent screen", "scopes": ["webhooks:manage"]},
}
LOOK_AT_ENDPOINT = "Check the endpoint before you repeat the request."
CHECK_LATER = "Try again in a minute; if that does not help, check this server's network and its OPENTRAIN_BASE_URL."
SOMETHING_BETWEEN = (
    "Something between this server and OpenTrain may have answered instead. "
    "Try again in a minute; if that does not help, check OPENTRAIN_BASE_URL."
)


def get() -> WebhookEndpoint:
    return opentrain.get_endpoint(token=TOKEN, endpoint_id="whe_1")


def write() -> WebhookEndpoint:
    return opentrain.update_endpoint(token=TOKEN, endpoint_id="whe_1", status="ACTIVE")


def ok(body: object) -> Behaviour:
    return bad.answer(200, json.dumps(body).encode(), headers=[f"X-Request-Id: {REQUEST_ID}"])


def envelope(status: int, code: str, said: str = "It is so.", **more: object) -> Behaviour:
    body = {"error": said, "code": code, "requestId": REQUEST_ID, "details": {}} | more
    return bad.answer(status, json.dumps(body).encode())


def fails(call: Callable[[], object], kind: type[OpenTrainError]) -> Any:
    """Call, and expect exactly this exception, in time."""
    started = time.monotonic()
    with pytest.raises(OpenTrainError) as caught:
        call()
    assert time.monotonic() - started < QUICK.total_s + SLACK_S
    assert type(caught.value) is kind
    assert caught.value.message == str(caught.value)
    return caught.value
