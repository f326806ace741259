"""Looking up host names without blocking the event loop.

The system's resolver blocks, accepts no time-out and cannot be cancelled, so each lookup has a thread of its own, which
ends with the resolver. A host has one lookup at a time, for which all its callers wait: a name whose servers hang uses
one thread, however many deliveries wait for it. Addresses are kept for a few seconds; failures are not.
"""

import asyncio
import contextlib
import errno
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp.abc import AbstractResolver, ResolveResult

LOOKUPS = 256
"""Most lookups at once. A thread that waits costs little; the others wait for one to end."""
KEEP_S = 10.0
"""How long addresses are used, in seconds."""
HOSTS_KEPT = 1000

Addresses = tuple[str, ...]
LookUp = Callable[[str], Addresses]
"""Returns the addresses of a host, the best first. Runs in a thread. Raises: OSError, UnicodeError."""


def of_system(host: str) -> Addresses:
    """Return the addresses that the system's resolver finds, in its order. Raises: OSError, UnicodeError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True, slots=True)
class _Found:
    addresses: Addresses
    at: float


class Lookups(AbstractResolver):
    """The lookups of one event loop."""

    def __init__(self, look_up: LookUp = of_system) -> None:
        self._look_up = look_up
        self._found: dict[str, _Found] = {}
        self._running: dict[str, asyncio.Task[Addresses]] = {}
        self._places = asyncio.Semaphore(LOOKUPS)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host. Raises: OSError."""
        found = self._found.get(host)
        if found is not None and time.monotonic() - found.at <= KEEP_S:
            addresses = found.addresses
        else:
            # A caller whose time is up leaves the lookup to the others.
            addresses = await asyncio.shield(self._running.get(host) or self._start(host))
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in addresses
        ]

    def forget(self, host: str, *, found_before: float) -> bool:
        """Forget addresses that led nowhere, so that the next call looks them up.

        Returns whether they were found before that time (on the monotonic clock), so that another try makes sense.
        """
        found = self._found.get(host)
        if found is None or found.at >= found_before:
            return False
        del self._found[host]
        return True

    async def close(self) -> None:
        """Give up the lookups. Their threads end with the resolver and keep no process alive."""
        for task in list(self._running.values()):
            task.cancel()

    def _start(self, host: str) -> asyncio.Task[Addresses]:
        task = asyncio.create_task(self._run(host))
        self._running[host] = task
        task.add_done_callback(lambda done: self._end(host, done))
        return task

    async def _run(self, host: str) -> Addresses:
        async with self._places:
            return await self._in_thread(host)

    def _end(self, host: str, done: asyncio.Task[Addresses]) -> None:
        del self._running[host]
        if done.cancelled() or done.exception() is not None:
            return
        if len(self._found) >= HOSTS_KEPT:
            del self._found[next(iter(self._found))]
        self._found.pop(host, None)
        self._found[host] = _Found(done.result(), time.monotonic())

    async def _in_thread(self, host: str) -> Addresses:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Addresses] = loop.create_future()

        def give(addresses: Addresses, error: OSError | None) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(addresses)
            else:
                answer.set_exception(error)

        def look_up() -> None:
            addresses: Addresses = ()
            error: OSError | None = None
            try:
                addresses = self._look_up(host)
                if not addresses:
                    error = socket.gaierror(socket.EAI_NONAME, "no address")
            except OSError as failed:
                error = failed
            except UnicodeError:
                error = socket.gaierror(socket.EAI_NONAME, "not a name")
            with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits any more.
                loop.call_soon_threadsafe(give, addresses, error)

        try:
            threading.Thread(target=look_up, name="look up", daemon=True).start()
        except RuntimeError as error:  # This machine has no thread left.
            raise OSError(errno.ENOMEM, "cannot start a thread") from error
        return await answer
