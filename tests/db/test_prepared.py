"""A cursor with server-side prepared statements."""

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from dashboard.db.prepared import prepared_cursor
from tests.factories import make_install

pytestmark = pytest.mark.django_db


def prepared() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        return [statement for (statement,) in cursor.fetchall()]


def test_value_goes_beside_the_statement_so_that_it_is_prepared_once() -> None:
    connection.ensure_connection()
    before, connection.connection.prepare_threshold = connection.connection.prepare_threshold, 1
    try:
        for value in ("first", "second", "third"):
            with prepared_cursor() as cursor:
                cursor.execute("SELECT %s::text AS only_here", [value])
                assert cursor.fetchone() == (value,)
    finally:
        connection.connection.prepare_threshold = before
    assert [one for one in prepared() if "only_here" in one] == ["SELECT $1::text AS only_here"]


def test_its_statements_are_seen_among_djangos() -> None:
    with CaptureQueriesContext(connection) as seen, prepared_cursor() as cursor:
        cursor.execute("SELECT 1")
    assert [query["sql"] for query in seen] == ["SELECT 1"]


def test_its_errors_are_djangos() -> None:
    name = make_install().opentrain_id
    with pytest.raises(IntegrityError), transaction.atomic(), prepared_cursor() as cursor:
        cursor.execute("UPDATE dashboard_install SET name = NULL WHERE opentrain_id = %s", [name])
