"""Probes of the Partner API."""

from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

ANY_HOST = {"Host": "10.42.0.17:8100"}


@pytest.fixture(autouse=True)
def _urls(settings: Any) -> None:
    settings.ROOT_URLCONF = "dashboard.partner_api.urls"
    settings.ALLOWED_HOSTS = ["localhost"]


def test_healthz_answers_without_a_database_for_any_host(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "cursor", _refuse)
    assert client.get("/healthz", headers=ANY_HOST).json() == {"ok": True}


def test_readyz_says_whether_the_database_answers(client: Client, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    response = client.get("/readyz", headers=ANY_HOST)
    assert (response.status_code, response.json()) == (200, {"ready": True, "checks": {"database": {"ok": True}}})
    with monkeypatch.context() as patched:
        patched.setattr(connection, "cursor", _refuse)
        response = client.get("/readyz", headers=ANY_HOST)
    assert (response.status_code, response.json()["ready"]) == (503, False)
    assert "secret-place" not in response.content.decode()


def _refuse(*_: object) -> None:
    raise OperationalError("connection to /run/secret-place failed")
