"""A cursor for the few statements that the receiver runs for each delivery, so PostgreSQL parses and plans them once.

Django's own cursor puts the values into the statement's text, so each statement is new to the server.
"""

from typing import cast

from django.db import connection
from django.db.backends.utils import CursorWrapper
from psycopg import Cursor


def prepared_cursor() -> CursorWrapper:
    """Return a cursor that binds values on the server, so psycopg can prepare frequent statements.

    psycopg prepares them if the connection has a `prepare_threshold` (settings.py). Errors and wrappers are Django's.
    """
    connection.ensure_connection()
    cursor = cast("CursorWrapper", Cursor(connection.connection))  # django-stubs types every cursor as a wrapped one
    return connection.make_debug_cursor(cursor) if connection.queries_logged else connection.make_cursor(cursor)
