"""A RouteTable that runs on an event loop in a thread, for tests that write to the database meanwhile."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from django.db import connection
from psycopg import sql

from dashboard.receiver.routes import Route, RouteTable
from dashboard.vault import Secret

T = TypeVar("T")
SOON_S = 5


class Running:
    """A started table. Its methods are those of the table, called on its loop."""

    def __init__(self, table: RouteTable, loop: asyncio.AbstractEventLoop) -> None:
        self.table, self.loop = table, loop

    def get(self, key: str) -> Route | None:
        return self.call(self.table.get(key))

    def get_all(self, keys: list[str]) -> list[Route | BaseException | None]:
        """Return what all keys give that are asked for at the same time."""

        async def ask() -> list[Route | BaseException | None]:
            return await asyncio.gather(*(self.table.get(key) for key in keys), return_exceptions=True)

        return self.call(ask())

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def others(self, route: Route) -> list[str]:
        secrets: list[Secret] = list(self.call(self.table.other_secrets(route)))
        return [secret.reveal() for secret in secrets]


@contextmanager
def running(file: Path | None = None) -> Iterator[Running]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    table = RouteTable(file=file)
    one = Running(table, loop)
    try:
        one.call(table.start())
        yield one
    finally:
        one.call(table.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def soon(condition: Callable[[], object]) -> None:
    """Wait until the condition holds. Raises: AssertionError if it does not soon."""
    until = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.005)


@contextmanager
def database_away() -> Iterator[None]:
    """End all other connections to the database, and refuse new ones, as a server that restarts does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        [name] = cursor.fetchone()
    elsewhere = psycopg.connect(**parameters("postgres"), autocommit=True)
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    try:
        elsewhere.execute(allow.format(sql.Identifier(name), sql.SQL("false")))
        connection.close()
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        elsewhere.execute(ended, [name])
        yield
    finally:
        elsewhere.execute(allow.format(sql.Identifier(name), sql.SQL("true")))
        elsewhere.close()


def parameters(name: str) -> dict[str, Any]:
    django_only = {"cursor_factory", "context", "prepare_threshold"}
    found = {key: value for key, value in connection.get_connection_params().items() if key not in django_only}
    return found | {"dbname": name}
