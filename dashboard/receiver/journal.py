"""The journal: a delivery is answered only after its attempt is on disk, in the database or in the spool.

One coroutine writes into the database, in a thread with a connection of its own. What comes while it commits is the
next group. Attempts wait for it COMMIT_WITHIN_S, or what is left of OpenTrain's time.

When an attempt has waited in vain, the database counts as away: what waits goes to the spool, and all that comes goes
there at once. The coroutine replays the spool. Each replay, or else each report, is the probe: the database counts as
back when it commits quickly and little is left to replay. What comes then waits until that is replayed, so attempts
enter the log in the order of their arrival. A spool that cannot be read (its key is missing, its disk is broken) holds
nothing up: the database gets what comes, and the spool's attempts come into the log once it can be read.

Only an attempt that the spool cannot keep either, and the database does not take within LAST_TRY_S more, is NotKept.

An attempt whose values the database refuses goes to the spool too. Its replay sets it aside (spool.py), with an error
in the log of the process, so that OpenTrain gets the handler's answer.
"""

import asyncio
import contextlib
import dataclasses
import logging
import math
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from django.db import DataError, IntegrityError, connection
from django.db import Error as DatabaseFailed
from django.utils import timezone

from dashboard import metrics
from dashboard.actions.deliveries.groups import MOST, MOST_BYTES, GroupResult, Locked, ready, record_group
from dashboard.db.own_connection import use_own_connection
from dashboard.receiver.appender import APPEND_WITHIN_S, Appender
from dashboard.receiver.keeping import Keeping, Place
from dashboard.receiver.notes import Notes, Taken
from dashboard.receiver.one_thread import OneThread
from dashboard.receiver.own_spool import adopt_dead, name_of, open_own
from dashboard.receiver.pending import Pending
from dashboard.receiver.replay import replay_some
from dashboard.receiver.segments import KeyMissing, UnknownFormat
from dashboard.receiver.spool import Spool
from dashboard.receiver.spool_folder import SpoolFailed, SpoolHeld
from dashboard.rules.attempts import RecordedAttempt, Refusal
from dashboard.rules.causes import Cause
from dashboard.vault import Sealed

COMMIT_WITHIN_S = 1.0
"""Seconds that an attempt waits for its commit before it goes to the spool."""
LAST_TRY_S = 0.5
"""Seconds that an attempt waits for its commit where the spool cannot keep it."""
QUICK_S = 0.5
"""A commit within this time says that the database is back."""
LITTLE = 500
"""Attempts in the spool that new ones may wait for."""
RETRY_EVERY_S = 0.25
"""Seconds between two tries while the database is away."""
UNREADABLE_FOR_S = 5.0
"""Seconds after which a spool that could not be read is read again."""
LOCKED_FOR_S = 0.02
"""Seconds after which attempts are recorded again whose deliveries are locked."""
NOTES_EVERY_S = 1.0
MORE_NOTES_AFTER_S = 0.02
"""Seconds after which notes are stored again that were too many for one transaction: attempts go first."""
REPORT_EVERY_S = 5.0
LOOK_AFTER_SPOOLS_EVERY_S = 10.0
"""Seconds between two looks for spools of dead receivers, and for a disk that works again."""

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Journal:
    """Keeps the attempts of one event loop."""

    def __init__(self, *, folder: Path | None, name: str, keys: Sequence[str], max_bytes: int) -> None:
        """`folder` holds the spools of this machine's receivers, if there are to be any; `name` is this machine's.

        `keys` are FIELD_KEYS; `max_bytes` limits the spool.
        """
        self._folder, self._name, self._keys, self._max_bytes = folder, name, keys, max_bytes
        self._database = OneThread(name="journal", begin=use_own_connection, end=_close)
        self._disk = OneThread(name="spool")
        self._spool: Spool | None = None
        self._appender: Appender | None = None
        self._notes = Notes(name=name_of(name), began_at=timezone.now())
        self._queue: deque[Pending] = deque()
        self._in_flight: dict[Pending, None] = {}
        self._is_direct = True
        self._is_before_replay = self._is_replay_next = False
        self._unreadable_until = -math.inf
        self._unreadable_why = ""
        self._notes_at = self._report_at = 0.0
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._told_of: set[str] = set()

    async def start(self) -> None:
        """Open the spool and begin to write. A spool that cannot be opened is logged and tried again."""
        await self._look_after_spools()
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._keep_looking())]

    async def stop(self, *, within_s: float = 3.0) -> None:
        """Write what waits, report, and give up the spool. Call this once no delivery comes any more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._settle()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._say_goodbye()
        await self._database.end(within_s=1)
        await self._disk.end(within_s=1)
        if self._spool is not None:
            self._spool.close()

    async def record(self, attempt: RecordedAttempt, *, left_s: float) -> None:
        """Return once the attempt is on disk. `left_s` is what is left of the time that OpenTrain waits.

        If this is cancelled, the attempt is kept all the same.

        Raises: NotKept.
        """
        loop = asyncio.get_running_loop()
        one = Pending(attempt, until=loop.time() + left_s, done=loop.create_future())
        if self._is_direct or self._appender is None:
            self._to_database(one)
        else:
            self._to_spool(one)
        await one.done

    def refuse(self, *, endpoint_id: int, refusal: Refusal) -> None:
        """Record a refused request soon, without waiting."""
        self._notes.refuse(endpoint_id, refusal)

    def told(self, attempt_id: uuid.UUID, in_time: bool) -> None:
        """Note whether OpenTrain got the answer in time. The log has it soon; until then it is not known."""
        self._notes.told(attempt_id, Cause.NONE if in_time else Cause.GONE)
        if self._notes.is_full and self._is_clear:
            self._notes_at = 0.0
            self._wake.set()

    def proven(self, endpoint_id: int, secret: Sealed) -> None:
        """Store soon that a first delivery of the endpoint has verified with this secret."""
        self._notes.proven(endpoint_id, secret)

    def can_keep(self) -> Keeping:
        """Return where the next attempt would be kept, as far as is known."""
        if self._is_direct:
            return Keeping(Place.DATABASE, "Attempts are recorded in the database.")
        if self._appender is None:
            where = "no spool: set RECEIVER_SPOOL_DIR" if self._folder is None else "no spool: the log says why"
            return Keeping(Place.NOTHING, f"The database records no attempts, and there is {where}.")
        if self._appender.trouble:
            return Keeping(Place.NOTHING, f"The database records no attempts. {self._appender.trouble}")
        return Keeping(Place.SPOOL, f"The database records no attempts. {self.held} wait in the spool.")

    @property
    def name(self) -> str:
        """What the receiver is called in its reports."""
        return self._notes.name

    @property
    def held(self) -> int:
        """Number of attempts that are kept, or about to be, but are not in the log."""
        spooled = 0 if self._spool is None else self._spool.waiting
        return spooled + (0 if self._appender is None else self._appender.count)

    @property
    def _is_clear(self) -> bool:
        """Whether all attempts that are kept are in the log."""
        return self._is_direct and self.held == 0

    # Where an attempt goes. Each of these may call the next, in this order: database, spool, database once more.

    def _to_database(self, one: Pending) -> None:
        left_s = max(one.until - asyncio.get_running_loop().time(), 0)
        one.rows = ready(one.attempt)  # here, so that it is done while the group before commits
        self._queue.append(one)
        one.expire(min(COMMIT_WITHIN_S, left_s), self._waited_whole if left_s >= COMMIT_WITHIN_S else self._waited)
        self._wake.set()

    def _waited_whole(self, one: Pending) -> None:
        """An attempt has waited as long as any may."""
        if not one.is_locked:
            self._go_away("it does not commit")
        self._waited(one)

    def _waited(self, one: Pending) -> None:
        if self._withdraw(one):  # otherwise it is on its way to the spool
            self._to_spool(one)

    def _withdraw(self, one: Pending) -> bool:
        """Let an attempt wait for the database no longer, and return whether it did. It may be committed even so."""
        if one in self._in_flight:
            del self._in_flight[one]
            return True
        try:
            self._queue.remove(one)
        except ValueError:
            return False
        return True

    def _to_spool(self, one: Pending) -> None:
        if self._appender is None:
            self._try_last(one)
        else:
            one.expire(APPEND_WITHIN_S, self._try_last)
            self._appender.add(one)

    def _spooled(self, one: Pending) -> None:
        self._keep(one, Place.SPOOL)
        self._wake.set()

    def _keep(self, one: Pending, place: Place) -> None:
        if not one.is_kept:
            one.keep()
            if not one.is_given_up:
                metrics.count_kept(place=place)

    def _try_last(self, one: Pending) -> None:
        if one.is_kept or one.is_last_try:
            return
        one.is_last_try = True
        self._queue.append(one)
        one.expire(LAST_TRY_S, self._give_up)
        self._wake.set()

    def _give_up(self, one: Pending) -> None:
        self._withdraw(one)
        if self._appender is not None:
            self._appender.withdraw(one)
        one.fail()
        metrics.count_kept(place=Place.NOTHING)
        self._notes.told(one.attempt.id, Cause.UNKEPT)  # should it be kept after all

    def _go_away(self, why: str) -> None:
        """Count the database as away, and move what waits for it to the spool."""
        if self._is_direct:
            self._is_direct, self._is_before_replay = False, True
            logger.warning("the database counts as away: %s", why)
        moved = [one for one in (*self._in_flight, *self._queue) if not (one.is_kept or one.is_last_try)]
        self._queue = deque(one for one in self._queue if one.is_last_try)
        self._in_flight = {one: None for one in self._in_flight if one.is_last_try}
        for one in moved:
            self._to_spool(one)

    def _has_committed(self, took_s: float) -> None:
        """The database has committed something: count it as back if that was quick and there is little to replay."""
        if self._is_direct or took_s > QUICK_S or (self.held > LITTLE and not self._is_unreadable):
            return
        self._is_direct = True
        logger.info("the database records attempts again")

    # The coroutine that writes

    async def _write(self) -> None:
        while True:
            try:
                await self._turn()
            except (SpoolFailed, KeyMissing, UnknownFormat) as error:
                self._hold_replay(str(error))
            except DatabaseFailed as error:
                self._go_away(type(error.__cause__ or error).__name__)  # such as ReadOnlySqlTransaction
                await asyncio.sleep(RETRY_EVERY_S)
            except Exception:
                logger.exception("attempts cannot be recorded")
                self._go_away("an error that the log of the process has")
                await asyncio.sleep(RETRY_EVERY_S)

    async def _turn(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._notes_at:
            await self._store_notes(now)
        elif (spool := self._replayable) is not None and (self._is_direct or self._is_replay_next or not self._queue):
            self._is_replay_next = False
            await self._replay(spool)
        elif self._queue:
            await self._record_group()
            self._is_replay_next = True  # what waits has its turn, though a full spool lets new ones pass all the time
        else:
            wait_until = self._unreadable_until if self._is_unreadable else math.inf
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(min(self._notes_at, wait_until)):
                    await self._wake.wait()
            self._wake.clear()

    @property
    def _is_unreadable(self) -> bool:
        return asyncio.get_running_loop().time() < self._unreadable_until

    @property
    def _replayable(self) -> Spool | None:
        """The spool, if it has something to replay."""
        return None if self._spool is None or self._spool.is_empty or self._is_unreadable else self._spool

    async def _record_group(self) -> None:
        group = self._next_group()
        if not group:
            return
        self._in_flight = dict.fromkeys(group)
        attempts = [one.attempt for one in group]
        rows = {one.attempt.id: one.rows for one in group if one.rows is not None}
        try:
            results = await self._timed(lambda: record_group(attempts=attempts, wait=False, rows=rows))
        except BaseException:
            self._queue.extendleft(reversed(self._in_flight))
            self._in_flight = {}
            raise
        waiting, self._in_flight = self._in_flight, {}
        for one, result in zip(group, results, strict=True):
            self._take_result(one, result, is_waiting=one in waiting)
        if self._queue and all(isinstance(result.error, Locked) for result in results):
            await asyncio.sleep(LOCKED_FOR_S)

    def _take_result(self, one: Pending, result: GroupResult, *, is_waiting: bool) -> None:
        if result.error is None:
            self._keep(one, Place.DATABASE)
        elif not is_waiting:
            return  # it went to the spool meanwhile
        elif isinstance(result.error, Locked):
            one.is_locked = True
            self._queue.append(one)
        elif one.is_last_try:
            self._give_up(one)
        else:
            self._to_spool(one)

    def _next_group(self) -> list[Pending]:
        group: list[Pending] = []
        size = 0
        while self._queue and len(group) < MOST:
            size += len(self._queue[0].attempt.event.body or b"")
            if group and size > MOST_BYTES:
                break
            one = self._queue.popleft()
            if not one.is_kept:  # the spool was quicker
                group.append(one)
        return group

    async def _replay(self, spool: Spool) -> None:
        if self._is_before_replay:
            await self._store_missed()
            self._is_before_replay = False
        unanswered = self._notes.missed
        replayed = await self._timed(lambda: replay_some(spool, unanswered=unanswered))
        self._unreadable_why = ""
        if replayed and (taken := self._notes.take_told(replayed.ids, at=timezone.now())):
            await self._store(taken)

    def _hold_replay(self, why: str) -> None:
        if why != self._unreadable_why:
            logger.error("the spool is not replayed: %s", why)
        self._unreadable_why = why
        self._unreadable_until = asyncio.get_running_loop().time() + UNREADABLE_FOR_S

    async def _store_notes(self, now: float) -> None:
        """Store notes, and a report if it is time. While nothing can be replayed, each is a probe."""
        is_probe = not self._is_direct
        self._notes_at = now + (RETRY_EVERY_S if is_probe and self._replayable is None else NOTES_EVERY_S)
        is_report = is_probe or now >= self._report_at
        held = self.held if is_report and self._spool is not None else None
        if is_probe and self._spool is None:
            self._notes.gone([self.name])  # it has nothing to report: this is the probe
        taken = self._notes.take(at=timezone.now(), held=held, is_report=is_report, with_in_time=self._is_clear)
        if taken is not None:
            await self._store(taken)
            if self._notes.is_full and self._is_clear:
                self._notes_at = min(self._notes_at, asyncio.get_running_loop().time() + MORE_NOTES_AFTER_S)
        if is_report:
            self._report_at = now + REPORT_EVERY_S

    async def _store_missed(self) -> None:
        """Note once which attempts OpenTrain got no answer to. Their retries may wait in the spool."""
        left = self._notes.missed_count
        while left > 0 and (taken := self._notes.take_missed(at=timezone.now())):
            left -= len(taken.told)
            await self._store(taken)

    async def _store(self, taken: Taken, *, is_last: bool = False) -> None:
        """Store notes. What the database does not take waits again, unless it is refused for its values, or `is_last`.

        Raises: django.db.Error if the database is away.
        """
        is_clear = self._is_clear  # then what the log lacks does not come any more
        try:
            unnoted = await self._timed(taken.store)
        except (DataError, IntegrityError, ValueError) as error:
            # The error's text may quote what was sent.
            words = "%d refused requests are not recorded: %s"
            logger.error(words, len(taken.refusals), type(error).__name__)  # noqa: TRY400
            self._notes.put_back(dataclasses.replace(taken, refusals=[]))
        except Exception:
            self._notes.put_back(taken)
            raise
        else:
            again = unnoted.locked if is_clear else unnoted.locked | unnoted.missing
            for name in () if is_last else again:
                self._notes.told(name, taken.told[name])

    async def _settle(self) -> None:
        """Return once each attempt is kept or given up, also those for which nobody waits any more."""
        # Three places can have them, and it is only for the end: no event is worth it.
        while self._queue or self._in_flight or (self._appender and self._appender.count):  # noqa: ASYNC110
            await asyncio.sleep(LOCKED_FOR_S)

    async def _say_goodbye(self) -> None:
        """Store the last notes. The report goes where no attempt is held."""
        held, is_report = self.held or None, True
        if held is None:
            self._notes.gone([self.name])
        try:
            while taken := self._notes.take(
                at=timezone.now(), held=held, is_report=is_report, with_in_time=self._is_clear
            ):
                held, is_report = None, False
                await self._store(taken, is_last=True)
        except Exception as error:  # noqa: BLE001 - what is left to do at the end must be done all the same
            logger.warning("the last notes are not stored: %s", type(error).__name__)

    async def _timed(self, call: Callable[[], T]) -> T:
        """Return what the call returns in the database's thread, and note how long the database took."""
        took_s, outcome = await self._database.run(lambda: _in_database(call))
        self._has_committed(took_s)
        return outcome

    # Spools

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AFTER_SPOOLS_EVERY_S)
            try:
                await self._look_after_spools()
            except Exception:
                logger.exception("the spools cannot be looked after; it is tried again")

    async def _look_after_spools(self) -> None:
        """Open the spool if it is not open, and take over those of receivers that have ended."""
        if self._folder is None:
            return
        folder = self._folder
        if self._spool is None:
            await self._open(folder)
        if (spool := self._spool) is None or self._appender is None:
            return
        await self._appender.try_again()
        self._notes.gone(await asyncio.to_thread(adopt_dead, spool, folder, told=self._told_of))
        if self.held > LITTLE:
            self._is_direct = False
        self._wake.set()

    async def _open(self, folder: Path) -> None:
        try:
            spool = await asyncio.to_thread(
                open_own, folder, name=self._name, keys=self._keys, max_bytes=self._max_bytes
            )
        except (SpoolFailed, SpoolHeld) as error:
            logger.error("there is no spool: %s", error)  # noqa: TRY400 - the message says it all
            return
        self._spool, self._notes.name = spool, spool.folder.name
        self._appender = Appender(spool, thread=self._disk, kept=self._spooled, failed=self._try_last)


def _in_database(call: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds that the call took, and what it returned. After an error the connection is not used again."""
    began = time.monotonic()
    try:
        outcome = call()
    except BaseException:
        _close()
        raise
    return time.monotonic() - began, outcome


def _close() -> None:
    with contextlib.suppress(DatabaseFailed):
        connection.close()
