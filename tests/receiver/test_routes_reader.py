"""The thread that reads routes: how often it asks, and what it survives."""

import logging
import re

import pytest
from django.db import connection

from dashboard.models import Endpoint
from dashboard.receiver import routes_reader
from tests.factories import make_endpoint, make_endpoints, make_install
from tests.receiver.tables import database_away, running, soon

pytestmark = pytest.mark.django_db(transaction=True)


def test_keys_asked_at_the_same_time_are_few_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    of_keys = routes_reader.routes.of_keys
    monkeypatch.setattr(routes_reader.routes, "of_keys", lambda on, keys: asked.append(len(keys)) or of_keys(on, keys))
    with running() as table:
        assert table.get_all([f"key-{number}" for number in range(500)]) == [None] * 500
        assert sum(asked) == 500
        assert len(asked) <= 5


def test_nothing_is_read_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, reads = [], []
    digest, every = routes_reader.routes.digest, routes_reader.routes.every
    monkeypatch.setattr(routes_reader, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(routes_reader.routes, "digest", lambda on: looks.append(1) or digest(on))
    monkeypatch.setattr(routes_reader.routes, "every", lambda on: reads.append(1) or every(on))
    install = make_install()
    make_endpoint(install=install)
    with running() as table:
        soon(lambda: len(looks) > 5)
        Endpoint.objects.update(status="DISABLED", consecutive_failures=10)
        make_endpoints(install=install, count=3)
        so_far = len(looks)
        soon(lambda: len(looks) > so_far + 5)
        assert len(reads) == 1
        assert table.table.count == 1


def test_outage_is_logged_once_and_its_end_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(routes_reader, "TRY_EVERY_S", 0.01)
    tries = []
    listening = routes_reader.listening
    monkeypatch.setattr(routes_reader, "listening", lambda channel: tries.append(1) or listening(channel))
    caplog.set_level(logging.INFO)
    make_endpoint()
    with running() as table:
        with database_away():
            soon(lambda: len(tries) > 5)
        soon(lambda: table.table._reader.is_answering)
    away, again = [record.getMessage() for record in caplog.records if record.name == routes_reader.__name__]
    assert re.fullmatch(r"the database cannot be asked for routes \(\w+\); 1 are in memory", away)
    assert again == "the database answers again: 1 routes are current"


def test_thread_goes_on_after_an_error_that_nobody_expected(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(routes_reader, "TRY_EVERY_S", 0.01)
    of_keys = routes_reader.routes.of_keys
    failures = iter([ZeroDivisionError()])

    def failing_once(on, keys):
        for error in failures:
            raise error
        return of_keys(on, keys)

    monkeypatch.setattr(routes_reader.routes, "of_keys", failing_once)
    with running() as table:
        [away] = table.get_all(["unknown-key"])
        assert type(away).__name__ == "RoutesAway"
        soon(lambda: table.table._reader.is_answering)
        assert table.get("unknown-key") is None
    assert "ZeroDivisionError" in caplog.text


def test_notification_that_is_not_ours_is_left_alone() -> None:
    with running() as table:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify('dashboard_routes', 'anything')")
        endpoint = make_endpoint()
        soon(lambda: table.table.count)
        assert table.get(endpoint.receiver_key)


def test_table_that_never_started_ends() -> None:
    routes_reader.RoutesReader().end()
