"""Refused requests for tests."""

from typing import Any

from dashboard.rules.attempts import Refusal
from tests.factories import NOON


def refusal(**columns: Any) -> Refusal:
    given: dict[str, Any] = {
        "received_at": NOON,
        "reason": "mismatch",
        "explanation": "The signature does not match.",
        "answered_status": 401,
        "claimed_delivery_id": "dlv_1",
        "claimed_event_type": "contract.started",
        "request_headers": [],
        "body_size": 2,
        "body_sha256": "",
    }
    return Refusal(**given | columns)
