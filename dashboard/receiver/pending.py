"""An attempt that a delivery waits for."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from dashboard.actions.deliveries.rows import FirstRows
from dashboard.receiver.keeping import NotKept
from dashboard.rules.attempts import RecordedAttempt


@dataclass(slots=True, eq=False)
class Pending:
    """An attempt that is not kept yet. `until` (monotonic) is when OpenTrain stops waiting.

    Where it is kept may become known late: it is offered to the next place before the first has answered. So it may be
    kept twice, and its name tells.
    """

    attempt: RecordedAttempt
    until: float
    done: "asyncio.Future[None]"
    rows: FirstRows | None = None
    """What the database is to be sent, if it is ready."""
    is_kept: bool = False
    is_given_up: bool = False
    """Whether OpenTrain was told that nothing keeps it. It may be on its way to the disk even so."""
    is_locked: bool = False
    """Whether another transaction has locked its delivery, so that the database cannot be blamed for the wait."""
    is_last_try: bool = False
    """Whether there is no other place left."""
    _timer: asyncio.TimerHandle | None = None

    def expire(self, seconds: float, call: Callable[["Pending"], None]) -> None:
        """Call with this attempt after a time, instead of what was to be called before, unless it is kept."""
        self.stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, call, self)

    def stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def keep(self) -> None:
        """Tell who waits that the attempt is on disk."""
        self.is_kept = True
        self.stop_timer()
        if not self.done.done():
            self.done.set_result(None)

    def fail(self) -> None:
        """Tell who waits that nothing can keep the attempt."""
        self.is_given_up = True
        self.stop_timer()
        if not self.done.done():
            self.done.set_exception(NotKept("Neither the database nor the spool can keep the attempt."))
