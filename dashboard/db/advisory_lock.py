"""One worker at a time, of any number on any hosts: a lock of PostgreSQL's that goes with its holder's connection.

A lock of Procrastinate's is a row: a killed worker's stays until somebody notices.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def alone(*, name: str, number: int = 0) -> Iterator[bool]:
    """Hold the lock of that name and number in the block; False when somebody else has it: then there is none to hold.

    It is the session's, so that the block may have any transactions.
    """
    key = "hashtextextended(%s, %s)"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_try_advisory_lock({key})", [name, number])
        mine = bool(cursor.fetchone()[0])
    try:
        yield mine
    finally:
        if mine:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT pg_advisory_unlock({key})", [name, number])
