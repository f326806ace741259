"""Threads for what uses the database without asyncio: few, so that they leave the processor to deliveries."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connection

Given = TypeVar("Given")


class Full(Exception):
    """As many calls as may wait do wait: try again later."""


class DatabaseThreads:
    """`most` threads, for which `waiting` further calls may wait."""

    def __init__(self, *, name: str, most: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=most, thread_name_prefix=name)
        self._free = most + waiting

    async def run(self, function: Callable[[], Given]) -> Given:
        """Return what the function returns in a thread, in this context. Raises: Full, and what it raises."""
        if not self._free:
            raise Full
        self._free -= 1
        context = contextvars.copy_context()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, context.run, _in_thread, function)
        finally:
            self._free += 1

    def close(self) -> None:
        """Let the threads end with what they do."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _in_thread(function: Callable[[], Given]) -> Given:
    try:
        return function()
    finally:
        connection.close()  # returns to the pool
