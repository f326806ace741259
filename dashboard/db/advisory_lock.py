"""One worker at a time, of any number on any hosts: a lock of PostgreSQL's that goes with its holder's connection.

A lock of Procrastinate's is a row: a killed worker's stays until somebody notices.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

_KEY = "hashtextextended(%s, %s)"


@contextmanager
def alone(*, name: str, number: int = 0) -> Iterator[bool]:
    """Hold the lock of that name and number in the block; yields False if another worker holds it.

    It is the session's, so that the block may have any transactions.
    """
    mine = _taken("pg_try_advisory_lock", name, number)
    try:
        yield mine
    finally:
        if mine:
            _taken("pg_advisory_unlock", name, number)


def alone_in_transaction(*, name: str, number: int = 0) -> bool:
    """Take the same lock until the transaction ends; False if another worker holds it.

    Nobody sees the lock free before they see what the transaction wrote.
    """
    return _taken("pg_try_advisory_xact_lock", name, number)


def _taken(function: str, name: str, number: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}({_KEY})", [name, number])
        return bool(cursor.fetchone()[0])
