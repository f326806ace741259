"""Appends attempts to the spool: what comes during one append is the next one, with one fsync for all."""

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from dashboard.receiver.one_thread import OneThread
from dashboard.receiver.pending import Pending
from dashboard.receiver.spool import Spool
from dashboard.receiver.spool_folder import SpoolFailed
from dashboard.rules.attempt_codec import to_bytes

AT_ONCE = 500
BYTES_AT_ONCE = 8 * 1024 * 1024
"""Most bytes of bodies in one append, unless one body is larger: they are copied a few times."""
APPEND_WITHIN_S = 1.0
"""Seconds that an attempt waits for the disk."""
ROOM = 4 * 1024 * 1024
"""Bytes that a spool must have left to count as one that can keep an attempt."""

logger = logging.getLogger(__name__)


class Appender:
    """Appends to one spool, on one event loop."""

    def __init__(
        self, spool: Spool, *, thread: OneThread, kept: Callable[[Pending], None], failed: Callable[[Pending], None]
    ) -> None:
        """`kept` and `failed` are called for each attempt."""
        self._spool, self._thread, self._kept, self._failed = spool, thread, kept, failed
        self._waiting: OrderedDict[Pending, None] = OrderedDict()
        self._appending = 0
        self._began_at = math.inf
        self._task: asyncio.Task[None] | None = None
        self._trouble = ""

    @property
    def count(self) -> int:
        """Number of attempts that are not in the spool yet."""
        return len(self._waiting) + self._appending

    @property
    def trouble(self) -> str:
        """Why the spool cannot keep an attempt, as far as is known; empty if it can."""
        if not self._trouble and self._spool.bytes_used + ROOM > self._spool.max_bytes:
            return f"The spool {self._spool.folder} is full."
        if not self._trouble and time.monotonic() - self._began_at > APPEND_WITHIN_S:
            return f"The disk of the spool {self._spool.folder} does not answer."
        return self._trouble

    def add(self, one: Pending) -> None:
        """Append an attempt soon."""
        self._waiting[one] = None
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._append_all())

    def withdraw(self, one: Pending) -> None:
        """Append an attempt no more, unless that has begun. A disk that hangs must not fill the memory with them."""
        self._waiting.pop(one, None)

    async def try_again(self) -> None:
        """Find out whether a spool that failed can be written to again."""
        if self._trouble:
            try:
                await self._thread.run(self._spool.try_disk)
            except SpoolFailed:
                return
            self._note("")

    async def _append_all(self) -> None:
        while group := self._next_group():
            self._appending = len(group)
            trouble, count = await self._append(group)
            self._appending = 0
            self._note(trouble)
            for one in group[:count]:
                self._kept(one)
            for one in group[count:]:
                self._failed(one)

    async def _append(self, group: list[Pending]) -> tuple[str, int]:
        """Append a group, and return what went wrong, and the number of attempts, from the first, that are kept."""
        self._began_at = time.monotonic()
        try:
            await self._thread.run(lambda: self._spool.append([to_bytes(one.attempt) for one in group]))
        except SpoolFailed as failed:
            return str(failed), failed.kept
        except Exception as error:  # what cannot be written down at all is tried in the database
            logger.exception("attempts cannot be spooled")
            return f"Attempts cannot be spooled ({type(error).__name__}).", 0
        finally:
            self._began_at = math.inf
        return "", len(group)

    def _next_group(self) -> list[Pending]:
        group: list[Pending] = []
        size = 0
        while self._waiting and len(group) < AT_ONCE:
            one, _ = self._waiting.popitem(last=False)
            size += len(one.attempt.event.body or b"")
            if group and size > BYTES_AT_ONCE:
                self._waiting[one] = None
                self._waiting.move_to_end(one, last=False)
                break
            if not one.is_kept:  # the database was quicker
                group.append(one)
        return group

    def _note(self, trouble: str) -> None:
        if trouble and not self._trouble:
            logger.error("%s", trouble)
        elif self._trouble and not trouble:
            logger.info("the spool %s keeps attempts again", self._spool.folder)
        self._trouble = trouble
