"""The example receiver of alert webhooks in docs/alerts.md, run as written, and its JSON compared with a real alert."""

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dashboard.rules.alert_messages import json_body
from dashboard.services import alerts
from dashboard.vault import Secret
from tests.factories import SECRET
from tests.rules.test_alert_messages import MESSAGE
from tests.services.misbehaving import answer, misbehaving

PAGE = Path(__file__).parents[2] / "docs/alerts.md"
OTHER = "whsec_" + "b" * 32


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return found


@pytest.fixture
def is_from_redeliver() -> Callable[[str, str, bytes], bool]:
    names: dict[str, Any] = {}
    exec(block("python"), names)  # noqa: S102 - our own docs
    return names["is_from_redeliver"]


def sent(settings: Any, *, at: float) -> tuple[str, bytes]:
    settings.ALERT_PRIVATE_ADDRESSES = True
    with misbehaving(answer(200)) as server:
        alerts.post(
            url=Secret(server.url), secret=Secret(SECRET), body=json_body(MESSAGE), message_id="m1", timestamp=int(at)
        )
    (request,) = server.requests
    return request.values("X-Redeliver-Signature")[0], request.body


def test_example_accepts_what_redeliver_sends(settings: Any, is_from_redeliver: Callable[..., bool]) -> None:
    signature, body = sent(settings, at=time.time())
    assert is_from_redeliver(SECRET, signature, body)
    assert not is_from_redeliver(OTHER, signature, body)
    assert not is_from_redeliver(SECRET, signature, body + b" ")
    assert not is_from_redeliver(SECRET, signature.replace("t=", "t=1"), body)


def test_example_refuses_an_old_signature(settings: Any, is_from_redeliver: Callable[..., bool]) -> None:
    signature, body = sent(settings, at=time.time() - 301)
    assert not is_from_redeliver(SECRET, signature, body)


def test_body_is_the_one_that_is_sent() -> None:
    shown, said = json.loads(block("json")), json.loads(json_body(MESSAGE))
    assert shown | {"id": said["id"]} == said
    assert said["createdAt"] == datetime(2026, 6, 12, 12, 0, tzinfo=UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
