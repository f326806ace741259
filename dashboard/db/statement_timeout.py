"""A limit of time for the database: better no answer than one that holds up the page."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled


class TooSlow(Exception):
    """Ask for less: what was asked for would have taken longer than it may."""


@contextmanager
def at_most(*, ms: int) -> Iterator[None]:
    """Give each statement of the block so many milliseconds. The block is one transaction, which must only read.

    Raises: TooSlow.
    """
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(ms)])
            yield
    except OperationalError as error:
        if not isinstance(error.__cause__, QueryCanceled):
            raise
        raise TooSlow from error
