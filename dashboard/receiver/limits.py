"""How many deliveries may wait for handlers at once, and how much of their bodies may be in memory.

A delivery that waits has two descriptors: its own connection and the handler's. So the limits come from the process's
descriptors. No endpoint may use more than half of the places, so a handler that hangs leaves the other half to others.
"""

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

WAITS, WAITS_OF_ENDPOINT = 5000, 1000
"""Places that a process and an endpoint need at least; with fewer descriptors there are fewer, and the log says so."""
MOST_WAITS = 10_000
"""Places with any number of descriptors. Memory is the limit then: a waiting delivery costs some tens of kilobytes."""
RESERVED = 512
"""Descriptors for everything else: the database, the spool, lookups, idle connections, the console."""
BODIES_BYTES = 128 * 1024 * 1024

logger = logging.getLogger(__name__)


class Busy(Exception):
    """A limit is reached: answer 503, and OpenTrain tries again."""


@dataclass(slots=True)
class Held:
    """The bytes of one request's body that count as in memory."""

    _limits: "Limits"
    size: int = 0

    def add(self, size: int) -> None:
        """Count bytes that have arrived. Raises: Busy."""
        if self._limits.bytes_held + size > self._limits.most_bytes:
            raise Busy
        self.size += size
        self._limits.bytes_held += size


class Limits:
    """The counts of one event loop; only its thread uses them."""

    def __init__(self, *, descriptors: int, most_bytes: int = BODIES_BYTES) -> None:
        """`descriptors` is how many the process may have open."""
        places = (descriptors - RESERVED) // 2
        self.most = max(min(places, MOST_WAITS), 1)
        self.most_of_endpoint = max(self.most // 2, 1)
        self.most_bytes = most_bytes
        self.bytes_held = 0
        self._waiting: Counter[int] = Counter()
        self._total = 0
        if self.most < WAITS or self.most_of_endpoint < WAITS_OF_ENDPOINT:
            logger.warning(
                "only %d deliveries may wait for handlers at once, because this process may open %d files; "
                "raise its limit of open files (LimitNOFILE, ulimit -n) to %d",
                self.most, descriptors, 2 * WAITS + RESERVED,
            )  # fmt: skip

    @property
    def waiting(self) -> int:
        """Number of deliveries that wait for handlers now."""
        return self._total

    @contextlib.contextmanager
    def wait_of(self, endpoint_id: int) -> Iterator[None]:
        """Occupy a place of this endpoint. Raises: Busy."""
        if self._total >= self.most or self._waiting[endpoint_id] >= self.most_of_endpoint:
            raise Busy
        self._total += 1
        self._waiting[endpoint_id] += 1
        try:
            yield
        finally:
            self._total -= 1
            self._waiting[endpoint_id] -= 1
            if not self._waiting[endpoint_id]:
                del self._waiting[endpoint_id]

    @contextlib.contextmanager
    def body(self) -> Iterator[Held]:
        """Count a body's bytes as they arrive, until the delivery is done."""
        held = Held(self)
        try:
            yield held
        finally:
            self.bytes_held -= held.size
