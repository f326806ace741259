"""Checks of handlers that the console asks for: made here, because deliveries are forwarded from here.

A thread listens for them on a connection of its own, and looks every LOOK_EVERY_S, where no notification gets through.
Further threads make the calls. Deliveries wait for none of this.
"""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
from django.db import connection

from dashboard.actions.handler_checks import CHANNEL, carry_out, take
from dashboard.db.listening import listening

LOOK_EVERY_S = 1.0
AT_ONCE = 8
TRY_EVERY_S = 5.0
"""Seconds between two attempts to connect."""

logger = logging.getLogger(__name__)


class HandlerChecks:
    """Makes checks from `start` to `end`."""

    def __init__(self, *, name: str) -> None:
        """`name` is the receiver's."""
        self._name = name
        self._ending = threading.Event()
        self._calls = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="checks")
        self._thread = threading.Thread(target=self._run, name="checks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self, *, within_s: float = 0) -> None:
        """Take no further checks, and wait for the thread that takes them. Otherwise it ends with the process."""
        self._ending.set()
        self._calls.shutdown(wait=False, cancel_futures=True)
        self._thread.join(within_s)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                with listening(CHANNEL) as database:
                    self._take_all(database)
            except (psycopg.Error, OSError) as error:
                # A warning is the routes' thread's to give: it needs the same database, and deliveries need it.
                logger.info("the database cannot be asked for checks of handlers (%s)", type(error).__name__)
            except Exception:
                logger.exception("checks of handlers cannot be taken")
            self._ending.wait(TRY_EVERY_S)

    def _take_all(self, database: "psycopg.Connection[tuple[object, ...]]") -> None:
        """Take checks until the end. Raises: psycopg.Error."""
        while not self._ending.is_set():
            for check_id, url in take(database, name=self._name):
                self._calls.submit(_carry_out, check_id, url)
            for _ in database.notifies(timeout=LOOK_EVERY_S, stop_after=1):
                pass


def _carry_out(check_id: int, url: str) -> None:
    try:
        carry_out(check_id, url)
    except Exception as error:  # noqa: BLE001 - the console goes on without this answer
        logger.error("a handler is not checked: %s", type(error).__name__)  # noqa: TRY400 - texts may quote the URL
    finally:
        connection.close()  # returns to the pool
