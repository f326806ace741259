"""Connections that listen, and what triggers notify of."""

import psycopg
import pytest
from django.utils import timezone

from dashboard.db import listening as module
from dashboard.db.listening import listening
from dashboard.models import Endpoint
from tests.factories import make_endpoint

pytestmark = pytest.mark.django_db(transaction=True)


def test_only_changes_of_routes_notify() -> None:
    endpoint = make_endpoint()
    with listening("dashboard_routes") as connection:
        make_endpoint(receiver_key=None, secret=None)
        Endpoint.objects.update(
            status="DISABLED", consecutive_failures=10, snapshot_at=timezone.now(), url="https://a/"
        )
        Endpoint.objects.update(handler_url="")
        assert list(connection.notifies(timeout=0)) == []
        Endpoint.objects.filter(pk=endpoint.pk).update(handler_url="https://b/")
        assert [one.payload for one in connection.notifies(timeout=5, stop_after=1)] == [str(endpoint.pk)]


def test_connection_is_closed_at_the_end() -> None:
    with listening("any") as connection:
        assert not connection.closed
    assert connection.closed


def test_database_that_refuses_to_notify_is_used_without(caplog: pytest.LogCaptureFixture) -> None:
    with listening("") as connection:  # refused as a standby refuses any channel
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert "the database cannot notify (SyntaxError)" in caplog.text


def test_database_that_is_away_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NOTICED", {"connect_timeout": 1})
    monkeypatch.setattr(module.default, "get_connection_params", lambda: {"host": "127.0.0.1", "port": 1})
    with pytest.raises(psycopg.OperationalError), listening("any"):
        pass
