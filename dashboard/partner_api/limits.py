"""How often a token may call: a bucket for each, refilled evenly, kept in this process.

In memory and not in PostgreSQL, because a write for each request would cost more than most requests do; several server
processes so allow several times as much, which is what a protection against runaway loops can afford.
"""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

KEPT = 10_000
"""How many tokens' buckets are kept; the one that called longest ago goes first, and is full when it comes again."""


class Buckets:
    """One bucket of `per_minute` calls for each name."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, *, per_minute: int) -> int | None:
        """Take one call; None when it was there, else after how many whole seconds there will be one."""
        now = self._clock()
        with self._lock:
            left, at = self._left.pop(name, (float(per_minute), now))
            left = min(float(per_minute), left + (now - at) * per_minute / 60)
            allowed = left >= 1
            self._left[name] = (left - 1 if allowed else left, now)
            if len(self._left) > KEPT:
                self._left.popitem(last=False)
        return None if allowed else max(1, math.ceil((1 - left) * 60 / per_minute))


calls = Buckets()
"""The buckets of this process."""
