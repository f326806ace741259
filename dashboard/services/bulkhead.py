"""How many threads may wait for others at once, in all and for each, so that some are left for everybody else."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator


class Full(Exception):
    """As many are waiting as may: try again later."""


class Waits:
    """Counts who is waiting in this process. Nobody queues: a thread that queues is a thread that is taken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: Counter[str] = Counter()

    @contextlib.contextmanager
    def one(self, *, name: str, most: int, most_of_name: int) -> Iterator[None]:
        """Be one of at most `most` that wait at once, and of at most `most_of_name` that wait under this name.

        Raises: Full.
        """
        with self._lock:
            if self._waiting.total() >= most or self._waiting[name] >= most_of_name:
                raise Full
            self._waiting[name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting[name] -= 1
                if not self._waiting[name]:
                    del self._waiting[name]
