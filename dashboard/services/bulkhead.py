"""Limits on threads that wait for slow servers, in total and per name, so that some stay free for other requests."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator


class Full(Exception):
    """The limit of waiting threads is reached: try again later."""


class Waits:
    """Counts waiting threads in this process. There is no queue: a thread in a queue would be occupied too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: Counter[str] = Counter()

    @contextlib.contextmanager
    def one(self, *, name: str, most: int, most_of_name: int) -> Iterator[None]:
        """Occupy one of `most` places in total, and one of `most_of_name` places under this name.

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
