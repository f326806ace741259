"""The one clock that all hosts share: the database's.

What is due, and until when a claim holds, is compared by runs on many hosts. Each on its own wall clock, one that is an
hour ahead would take away what another has in flight, or hold for an hour what it claimed before it died. A run asks
the database what time it is and counts on from there by its monotonic clock, which no correction of the host's time
moves.
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
    """The database's time, without asking it each time. `set` it before the first use, and now and then after."""

    def __init__(self) -> None:
        self._then: datetime | None = None
        self._at = 0.0

    def set(self) -> None:
        """Ask the database; a query, so not from an event loop's thread."""
        asked = time.monotonic()
        self._then, self._at = now(), (asked + time.monotonic()) / 2

    def __call__(self) -> datetime:
        if self._then is None:
            raise RuntimeError("The clock was not set.")
        return self._then + timedelta(seconds=time.monotonic() - self._at)
