"""PostgreSQL advisory locks: one worker at a time, across processes and hosts.

PostgreSQL releases the lock when its holder's connection ends. Procrastinate's own locks are rows, and a killed
worker's row stays until its job counts as stalled.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

_KEY = "hashtextextended(%s, %s)"


@contextmanager
def alone(*, name: str, number: int = 0) -> Iterator[bool]:
    """Hold the lock of this name and number during the block; yield False if it is already held.

    The lock belongs to the database session, so the block may open any transactions.
    """
    mine = _taken("pg_try_advisory_lock", name, number)
    try:
        yield mine
    finally:
        if mine:
            _taken("pg_advisory_unlock", name, number)


def alone_in_transaction(*, name: str, number: int = 0) -> bool:
    """Take the same lock until the transaction ends; return False if it is already held.

    It is released after the commit, so the next holder sees what the transaction wrote.
    """
    return _taken("pg_try_advisory_xact_lock", name, number)


def wait_in_transaction(*, name: str, number: int = 0) -> None:
    """Take the same lock until the transaction ends, after waiting for its holder. Only for short transactions."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_xact_lock({_KEY})", [name, number])


def _taken(function: str, name: str, number: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}({_KEY})", [name, number])
        return bool(cursor.fetchone()[0])
