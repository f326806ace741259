"""A journal on an event loop of its own, with a database that a test can stop, break and slow down."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography.fernet import Fernet
from django.db import OperationalError

from dashboard.models import Attempt, Endpoint
from dashboard.receiver import journal
from dashboard.receiver.journal import Journal
from dashboard.rules.attempts import RecordedAttempt
from tests.actions.deliveries.recorded import attempt

T = TypeVar("T")
KEY = Fernet.generate_key().decode()
ROOM = 2**30
SOON_S = 20
LONG_S = 9.0
"""What is left of OpenTrain's time when a handler answers at once."""


def attempts(endpoint: Endpoint, number: int) -> list[RecordedAttempt]:
    return [attempt(endpoint, f"dlv_{count:05}") for count in range(number)]


@dataclass
class Database:
    """Stands between a journal and its database.

    While it is `away`, each call raises. While it is stopped, each call waits; it goes on when `go` is called. With
    `forgets`, a call does its work and then raises, as when the connection breaks after the commit.
    """

    away: Exception | None = None
    forgets: bool = False
    slow_s: float = 0.0
    calls: int = 0
    _going: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._going.set()

    def stop(self) -> None:
        self._going.clear()

    def go(self) -> None:
        self._going.set()

    def break_off(self) -> None:
        self.away = OperationalError("the connection is lost")

    def come_back(self) -> None:
        self.away = None

    def through(self, call: Callable[[], T]) -> T:
        self.calls += 1
        assert self._going.wait(SOON_S)
        threading.Event().wait(self.slow_s)
        if self.away is not None:
            raise self.away
        outcome = call()
        if self.forgets:
            raise OperationalError("the connection is lost")
        return outcome


class Running:
    """A journal that runs, and its loop."""

    def __init__(self, made: Journal, loop: asyncio.AbstractEventLoop) -> None:
        self.journal, self.loop = made, loop

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(SOON_S)

    def do(self, call: Callable[[], T]) -> T:
        """Return what a call returns on the loop."""

        async def run() -> T:
            return call()

        return self.call(run())

    def record(self, *given: RecordedAttempt, left_s: float = LONG_S) -> list[BaseException | None]:
        """Record attempts that come at once; return what each raised."""

        async def all_at_once() -> list[BaseException | None]:
            return await asyncio.gather(
                *(self.journal.record(one, left_s=left_s) for one in given), return_exceptions=True
            )

        return self.call(all_at_once())

    def begin(self, *given: RecordedAttempt, left_s: float = LONG_S) -> None:
        """Begin to record attempts, and wait for none of them."""

        async def begin() -> None:
            self.tasks = [asyncio.ensure_future(self.journal.record(one, left_s=left_s)) for one in given]

        self.call(begin())

    def finish(self) -> list[BaseException | None]:
        async def finish() -> list[BaseException | None]:
            return await asyncio.gather(*self.tasks, return_exceptions=True)

        return self.call(finish())

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        async def wait() -> None:
            async with asyncio.timeout(SOON_S):
                while not is_so():  # noqa: ASYNC110 - what it waits for has no event
                    await asyncio.sleep(0.005)

        self.call(wait())

    @property
    def place(self) -> str:
        return self.do(self.journal.can_keep).place


@contextmanager
def running(folder: Path | None, **options: Any) -> Iterator[Running]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    made = Journal(**{"folder": folder, "name": "web1", "keys": [KEY], "max_bytes": ROOM, **options})
    one = Running(made, loop)
    try:
        one.call(made.start())
        yield one
    finally:
        one.call(made.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def install(patch: pytest.MonkeyPatch) -> Database:
    """Put a database that a test controls between journals and the real one."""
    database = Database()
    real = journal._in_database
    patch.setattr(journal, "_in_database", lambda call: real(lambda: database.through(call)))
    return database


def in_log(endpoint: Endpoint) -> list[str]:
    """Return the IDs of the log's deliveries, one for each attempt, in the order in which they entered it."""
    rows = Attempt.objects.filter(delivery__endpoint=endpoint).order_by("id")
    return list(rows.values_list("delivery__opentrain_id", flat=True))
