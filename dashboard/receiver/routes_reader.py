"""The thread that reads routes from the database, listens to their changes, and asks for keys that are not in memory.

Its connection is its own and listens to the triggers' notifications. Every LOOK_EVERY_S it also compares a digest, so
that a change is found where no notification gets through.

Keys that are asked for at the same time are one statement, and there is at most one each ASK_EVERY_S.

It keeps a file of what it reads (routes_file.py), and begins with that file: it is all there is while the database is
away. A file that cannot be written is logged and tried again; deliveries do not need it.
"""

import asyncio
import logging
import math
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from django.utils import timezone

from dashboard.db.listening import listening
from dashboard.queries import routes
from dashboard.queries.routes import CHANNEL, RouteRow
from dashboard.receiver import routes_file
from dashboard.receiver.routes_file import RoutesUnreadable

LOOK_EVERY_S = 5.0
ASK_EVERY_S = 0.02
ASKED_AT_ONCE = 200
"""Requests for keys that one statement answers."""
HANDED_OVER = 250
"""Rows handed over at a time: between them, the event loop goes on with deliveries."""
ANSWER_WITHIN_S = 1.0
"""Seconds after which a database that does not answer counts as away."""
TRY_EVERY_S = 1.0
"""Seconds between two attempts to connect."""
WRITE_AFTER_S = 1.0
"""Seconds between two writes of the file, at least: changes that come together are written together."""
WRITE_EVERY_S = 3600.0
"""Seconds after which a file is written again though nothing changed: its age says how old the routes are."""
OLD = timedelta(days=1)
"""Age from which on a file is warned about."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A request for a key. It is answered True once the key's row, if any, was handed over; False if that failed."""

    key: str = field(repr=False)
    answer: "asyncio.Future[bool]" = field(repr=False)


class RoutesReader:
    """Reads routes in a thread of its own, and calls what `start` is given from there.

    - `changed` gets rows that are new or differ, and the IDs of endpoints that are gone.
    - `answered` gets requests for keys, and whether the database answered them.
    - `settled` is called after each attempt to connect and read.
    """

    read_at: datetime | None = None
    """When the database last confirmed the rows that were handed over; None if it never has."""

    def __init__(self, *, file: Path | None = None) -> None:
        """`file` is the place of the file of routes, if there is to be one."""
        self._file = file
        self._is_saved = self._is_save_failing = False
        self._saved_at = -math.inf
        self._rows: dict[int, RouteRow] = {}
        self._asked: deque[Asked] = deque()
        self._thread: threading.Thread | None = None
        self._is_ending = False
        self._is_connected = False
        self._busy_since: float | None = None

    def start(
        self,
        *,
        changed: Callable[[Collection[RouteRow], Collection[int]], None],
        answered: Callable[[Collection[Asked], bool], None],
        settled: Callable[[], None],
    ) -> None:
        self._changed, self._answered, self._settled = changed, answered, settled
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="routes", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End the thread. One that waits for a database that does not answer ends with the process."""
        if self._thread is None:
            return
        self._is_ending = True
        self._wake()
        self._thread.join(ANSWER_WITHIN_S)
        if not self._thread.is_alive():
            for end in (self._woken, self._waker):
                end.close()

    @property
    def is_answering(self) -> bool:
        """Whether the database can be asked, as far as is known."""
        busy_since = self._busy_since
        return self._is_connected and (busy_since is None or time.monotonic() - busy_since < ANSWER_WITHIN_S)

    def ask(self, asked: Asked) -> None:
        """Ask the database for a key. Any thread may call it."""
        self._asked.append(asked)
        self._wake()

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # it is woken already
            self._waker.send(b".")

    def _run(self) -> None:
        self._load()
        was_away = False
        while not self._is_ending:
            try:
                with listening(CHANNEL) as connection:
                    self._look(connection)
                    if was_away:
                        logger.info("the database answers again: %d routes are current", len(self._rows))
                    was_away, self._is_connected = False, True
                    self._settled()
                    self._save()
                    self._keep_current(connection)
            except (psycopg.Error, OSError) as error:
                if not was_away:
                    words = "the database cannot be asked for routes (%s); %d are in memory"
                    logger.warning(words, type(error).__name__, len(self._rows))
                was_away = True
            except Exception:
                logger.exception("routes cannot be read; %d are in memory", len(self._rows))
            self._is_connected, self._busy_since = False, None
            self._answered(self._taken(), False)
            self._settled()
            self._sleep_until_next_try()

    def _sleep_until_next_try(self) -> None:
        until = time.monotonic() + TRY_EVERY_S
        while not self._is_ending and (left := until - time.monotonic()) > 0:
            self._sleep(left)

    def _keep_current(self, connection: psycopg.Connection[Any]) -> None:
        """Take changes and answer requests until the thread ends. Raises: psycopg.Error."""
        look_at, ask_at = time.monotonic() + LOOK_EVERY_S, 0.0
        while not self._is_ending:
            # A statement takes in what is notified meanwhile, so the socket would not wake us: first, all that.
            while changed := {int(one.payload) for one in connection.notifies(timeout=0) if one.payload.isdecimal()}:
                self._read_again(connection, changed)
            next_at = min(
                look_at,
                ask_at if self._asked else math.inf,
                math.inf if self._file is None else self._save_at,
            )
            self._sleep(next_at - time.monotonic(), connection)
            if self._asked and time.monotonic() >= ask_at:
                self._answer(connection)
                ask_at = time.monotonic() + ASK_EVERY_S
            if time.monotonic() >= look_at:
                self._look(connection)
                look_at = time.monotonic() + LOOK_EVERY_S
            self._save()

    def _sleep(self, seconds: float, connection: psycopg.Connection[Any] | None = None) -> None:
        """Wait for a notification, for a request, or for the time to pass."""
        polled = select.poll()  # `select` takes no descriptor over 1023, and deliveries may have all others
        polled.register(self._woken, select.POLLIN)
        if connection is not None:
            polled.register(connection, select.POLLIN)
        if any(found == self._woken.fileno() for found, _event in polled.poll(max(seconds, 0) * 1000)):
            self._woken.recv(4096)

    def _look(self, connection: psycopg.Connection[Any]) -> None:
        """Compare the digest, and read everything if it differs. Raises: psycopg.Error."""
        with self._at_work():
            at = timezone.now()
            hashes = [row.hash for row in self._rows.values()]
            if not hashes or None in hashes or routes.digest(connection) != sum(filter(None, hashes)):
                found = {row.endpoint_id: row for row in routes.every(connection)}
                self._hand_over(found.values(), gone=self._rows.keys() - found.keys())
            self.read_at = at

    def _read_again(self, connection: psycopg.Connection[Any], endpoints: Collection[int]) -> None:
        with self._at_work():
            rows = routes.of_endpoints(connection, endpoints)
            self._hand_over(rows, gone=set(endpoints) - {row.endpoint_id for row in rows})

    def _answer(self, connection: psycopg.Connection[Any]) -> None:
        asked = self._taken(ASKED_AT_ONCE)
        try:
            with self._at_work():
                self._hand_over(routes.of_keys(connection, {one.key for one in asked}), gone=())
        except psycopg.Error:
            self._answered(asked, False)
            raise
        self._answered(asked, True)

    def _taken(self, most: int | None = None) -> list[Asked]:
        """Return requests that wait, the oldest first; they wait no longer."""
        count = len(self._asked) if most is None else min(most, len(self._asked))
        return [self._asked.popleft() for _ in range(count)]

    def _hand_over(self, rows: Collection[RouteRow], *, gone: Collection[int]) -> None:
        """Keep the rows, and hand over those that differ from what was kept."""
        changed = [row for row in rows if self._rows.get(row.endpoint_id) != row]
        gone = [endpoint_id for endpoint_id in gone if self._rows.pop(endpoint_id, None)]
        self._rows.update((row.endpoint_id, row) for row in rows)
        if changed or gone:
            self._is_saved = False
            for at in range(0, max(len(changed), 1), HANDED_OVER):
                self._changed(changed[at : at + HANDED_OVER], gone if at == 0 else ())

    def _load(self) -> None:
        """Begin with the routes of the file."""
        if self._file is None:
            return
        try:
            kept = routes_file.read(self._file)
        except RoutesUnreadable as error:
            logger.error("no routes without the database: %s", error)  # noqa: TRY400 - the message says it all
            return
        if kept is None:
            return
        self._hand_over(kept.rows, gone=())
        self.read_at = kept.at
        age = timezone.now() - kept.at
        if age > OLD:
            words = "the routes in %s are %d h old: until the database answers, later changes of endpoints do not count"
            logger.warning(words, self._file, age.total_seconds() // 3600)

    @property
    def _save_at(self) -> float:
        """When the file is to be written next (monotonic)."""
        return self._saved_at + (WRITE_EVERY_S if self._is_saved else WRITE_AFTER_S)

    def _save(self) -> None:
        """Write the file if it is time."""
        if self._file is None or self.read_at is None or time.monotonic() < self._save_at:
            return
        was_failing = self._is_save_failing
        try:
            with self._at_work():
                routes_file.write(self._file, self._rows.values(), at=self.read_at)
            self._is_saved, self._is_save_failing = True, False
        except OSError as error:
            if not was_failing:
                logger.warning("%s cannot be written: %s. It is tried again", self._file, error.strerror)
            self._is_saved, self._is_save_failing, self._busy_since = False, True, None
        self._saved_at = time.monotonic()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Note since when the database is asked: if it does not answer, who asks next need not wait."""
        self._busy_since = time.monotonic()
        yield
        self._busy_since = None
