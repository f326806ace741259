"""Unsaved model instances: presenters only read them."""

import uuid
from datetime import UTC, datetime
from typing import Any

from dashboard.models import Endpoint, Install, Run, User
from dashboard.models.installs import MANAGE_SCOPE
from dashboard.presenters.rows import EndpointRow, health_of
from dashboard.presenters.runs import RunRow
from dashboard.rules.endpoints import Severity
from dashboard.rules.runs import Tally

NOW = datetime(2026, 6, 12, 12, tzinfo=UTC)
OPERATION = uuid.UUID("6f1d5f54-28a5-4b5e-9a1f-6a0d4f0a7b11")
SUPPORT = User(pk=1, username="ana", role="support")
VIEWER = User(pk=2, username="vic", role="viewer")


def install(**fields: Any) -> Install:
    made = {"pk": 4, "name": "Acme", "status": "ACTIVE", "token_scopes": [MANAGE_SCOPE], "rank": Severity.ACTIVE}
    return Install(**(made | fields))


def endpoint(**fields: Any) -> Endpoint:
    """An active, healthy endpoint of the receiver, unless the fields say otherwise."""
    made = {"pk": 7, "opentrain_id": "whe_7", "status": "ACTIVE", "receiver_key": "key", "install": install()}
    made["url"] = "https://redeliver.example.com/hooks/key/" if fields.get("receiver_key", "key") else "https://a.test/"
    return Endpoint(**(made | fields))


def row(one: Endpoint | None = None, *, failed: int = 0) -> EndpointRow:
    one = one or endpoint()
    return EndpointRow(one, health_of(one), failed, OPERATION, OPERATION)


def run(*, tally: Tally = Tally(), **fields: Any) -> RunRow:  # noqa: B008 - frozen
    made = {"pk": 9, "kind": "recovery", "state": "running", "endpoint": endpoint(), "why": ""}
    return RunRow(Run(**(made | fields)), tally)


def labels(controls: Any) -> list[tuple[str, str]]:
    """Return each control's label and look."""
    return [(one.label, one.look) for one in controls]
