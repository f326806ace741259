"""The clock that all hosts share: the database's.

Runs on many hosts compare due times and leases. With its own wall clock, a host that is an hour ahead would claim what
another has in flight, or, after a crash, hold its claims for an hour. A run reads the database's time and adds to it
the time elapsed on its monotonic clock, which corrections of the host's time do not affect.
"""

import time
from datetime import datetime, timedelta

from django.db import connection


def now() -> datetime:
    """Return the database's time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment


class SharedClock:
    """The database's time without a query per reading. Call `set` before the first use, and again from time to time."""

    def __init__(self) -> None:
        self._then: datetime | None = None
        self._at = 0.0

    def set(self) -> None:
        """Query the database's time. This blocks, so do not call it from an event loop's thread."""
        asked = time.monotonic()
        self._then, self._at = now(), (asked + time.monotonic()) / 2

    def __call__(self) -> datetime:
        if self._then is None:
            raise RuntimeError("The clock was not set.")
        return self._then + timedelta(seconds=time.monotonic() - self._at)
