"""One thread of an event loop, for calls that block, one after the other."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class OneThread:
    """Runs calls in a thread, in the order in which they are given.

    The process does not wait for a call that never returns: the thread ends with it. ThreadPoolExecutor waits.
    """

    def __init__(
        self, *, name: str, begin: Callable[[], None] | None = None, end: Callable[[], None] | None = None
    ) -> None:
        """`begin` and `end` are called in the thread, before its first call and after its last."""
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._begin, self._end = begin, end
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def run(self, call: Callable[[], T]) -> T:
        """Return what the call returns, or raise what it raises. If this is cancelled, the call goes on."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            try:
                outcome, error = call(), None
            except BaseException as raised:  # noqa: BLE001 - it is raised where it is awaited
                outcome, error = None, raised
            with contextlib.suppress(RuntimeError):  # the loop has ended, and who waited with it
                loop.call_soon_threadsafe(_settle, done, outcome, error)

        self._calls.put(run)
        return await done

    async def end(self, *, within_s: float) -> bool:
        """Let the thread end after the calls that it has, and return whether it did within the time."""
        self._calls.put(None)
        await asyncio.to_thread(self._thread.join, within_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        if self._begin is not None:
            self._begin()
        while (call := self._calls.get()) is not None:
            call()
        if self._end is not None:
            self._end()


def _settle(done: "asyncio.Future[Any]", outcome: object, error: BaseException | None) -> None:
    if done.done():  # nobody waits any more
        return
    if error is None:
        done.set_result(outcome)
    else:
        done.set_exception(error)
