"""A PostgreSQL connection that listens to notifications: outside the pool, and for one thread."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection as default
from psycopg import sql

from dashboard.db.own_connection import NOTICED

_OWN = {"cursor_factory", "context", "prepare_threshold"}
"""Parameters that are Django's own, for its cursors and types."""

logger = logging.getLogger(__name__)


@contextmanager
def listening(channel: str) -> Iterator[psycopg.Connection[Any]]:
    """Open a connection in autocommit mode that listens to the channel, and close it at the end.

    Where LISTEN is not possible, as on a standby, the connection is open all the same: callers also look at intervals.

    Raises: psycopg.Error.
    """
    parameters = {name: value for name, value in default.get_connection_params().items() if name not in _OWN}
    with psycopg.connect(**NOTICED | parameters, autocommit=True) as connection:
        try:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        except psycopg.Error as error:
            if connection.closed:
                raise
            logger.warning(
                "the database cannot notify (%s); changes are found a few seconds later", type(error).__name__
            )
        yield connection
