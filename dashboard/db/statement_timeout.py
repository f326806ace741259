"""A time limit for database statements: a page is better off without a result than with one that comes too late."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled


class TooSlow(Exception):
    """A statement exceeded its time limit. Narrow the query."""


@contextmanager
def at_most(*, ms: int) -> Iterator[None]:
    """Limit each statement in the block to `ms` milliseconds. The block is one transaction, which must only read.

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
