"""The Partner API's rows: what the database refuses, and IDs that reveal nothing about each other."""

import re
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from dashboard.partner_api import models
from dashboard.partner_api.models import App, Endpoint, Event, Install, Token
from tests.partner_api.conftest import THEN, Partner, make_endpoint


@pytest.mark.parametrize(
    ("make", "prefix"),
    [(models.app_id, "app"), (models.install_id, "ins"), (models.token_id, "tok"), (models.endpoint_id, "whe")],
)
def test_ids_are_a_prefix_and_128_random_bits(make: Any, prefix: str) -> None:
    one, other = make(), make()
    assert re.fullmatch(rf"{prefix}_[0-9a-f]{{32}}", one)
    assert one != other


def refused(rows: Any, **columns: Any) -> bool:
    try:
        with transaction.atomic():
            rows.update(**columns)
    except IntegrityError:
        return True
    return False


@pytest.mark.parametrize(
    ("columns", "impossible"),
    [
        ({"status": "ACTIVE", "disabled_at": None, "disabled_reason": None}, False),
        ({"status": "DISABLED", "disabled_at": THEN, "disabled_reason": "Paused."}, False),
        ({"status": "DISABLED"}, True),
        ({"status": "DISABLED", "disabled_at": THEN}, True),
        ({"status": "DISABLED", "disabled_reason": "Paused."}, True),
        ({"status": "ACTIVE", "disabled_at": THEN}, True),
        ({"status": "ACTIVE", "disabled_reason": "Paused."}, True),
        ({"status": "ARCHIVED"}, True),
        ({"event_types": []}, True),
    ],
)
def test_endpoint_is_active_or_disabled_with_a_time_and_a_reason(
    endpoint: Endpoint, columns: dict[str, Any], impossible: bool
) -> None:
    assert refused(Endpoint.objects.filter(pk=endpoint.pk), **columns) is impossible


def test_statuses_and_types_are_those_of_the_contract(partner: Partner) -> None:
    assert refused(Install.objects.all(), status="DELETED")
    assert refused(App.objects.all(), status="DELETED")
    assert not refused(Install.objects.all(), status="REVOKED")
    with pytest.raises(IntegrityError), transaction.atomic():
        Event.objects.create(
            install_id=partner.install_id, type="contract.invented", resource_id="x", body=b"", created_at=THEN
        )


def test_active_is_the_status(partner: Partner) -> None:
    endpoint = make_endpoint(partner).endpoint
    assert endpoint.active
    assert not Endpoint(status=Endpoint.Status.DISABLED).active


def test_token_reaches_no_further_than_its_install() -> None:
    token = Token(scopes=["contracts:read", "usage:write"], install=Install(scopes=["usage:write", "webhooks:manage"]))
    assert token.granted == ["usage:write"]
