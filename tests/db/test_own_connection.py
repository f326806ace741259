"""A thread with a connection of its own."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from dashboard.db.own_connection import NOTICED, use_own_connection


def in_thread(call: Callable[[], Any]) -> Any:
    found = []

    def run() -> None:
        use_own_connection()
        try:
            found.append(call())
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.django_db(transaction=True)
def test_own_connection_is_of_the_same_database_but_another_session() -> None:
    def session() -> tuple[int, str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid(), current_database()")
            return cursor.fetchone()

    own, others = in_thread(session), session()
    assert own[0] != others[0]
    assert own[1] == others[1]


def test_own_connection_has_no_pool_and_notices_a_host_that_vanished(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"pool": {"min_size": 1}, "prepare_threshold": 5, "connect_timeout": 2}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", given)
    options = in_thread(lambda: dict(connection.settings_dict["OPTIONS"]))
    assert options == {**NOTICED, "prepare_threshold": 5, "connect_timeout": 2}
    assert connection.settings_dict["OPTIONS"] == given
