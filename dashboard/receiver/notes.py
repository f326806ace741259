"""What a receiver stores soon, but for which no delivery waits.

- Refused requests, and whether OpenTrain was answered in time. They wait in memory, so their number is limited, and
  what is dropped is counted. A process that is killed loses them: then the log says that the second is not known.
  Attempts that OpenTrain got no answer to come first, because the log takes them for delivered until then.
- Endpoints of which a first delivery has verified. After a kill, the next one that verifies tells it again.
- The names of receivers whose spools this one has taken over.
"""

import logging
import uuid
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from dashboard.actions import receivers
from dashboard.actions.deliveries.answered import Unnoted, note_answered
from dashboard.actions.deliveries.record import record_refusals
from dashboard.actions.signing_secrets import mark_proven
from dashboard.rules.attempts import Refusal
from dashboard.rules.causes import Cause
from dashboard.vault import Sealed

MOST_REFUSALS = 1000
"""Refused requests that wait. Anyone who knows an address can send more than the database takes."""
MOST_TOLD = 100_000
"""Attempts that were answered in time, as many that were not, and as many that were not kept, of which that waits."""
AT_ONCE = 500
"""Most refused requests, and attempts without an answer, that one transaction stores."""
TOLD_AT_ONCE = 25
"""Most attempts that one transaction notes as answered in time, because new attempts wait meanwhile. With more, a note
takes no less time."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """What is stored now. `held` is the number of attempts in the spool, None if it is not to be reported.

    `began_at` is when the process started if it reports that it runs, else None.
    `told` has NONE for attempts that were answered in time, and why the others were not.
    """

    name: str
    at: datetime
    held: int | None
    refusals: list[tuple[int, Refusal]] = field(default_factory=list)
    told: Mapping[uuid.UUID, Cause] = field(default_factory=dict)
    proven: Mapping[int, Sealed] = field(default_factory=dict)
    gone: Collection[str] = ()
    began_at: datetime | None = None

    def store(self) -> Unnoted:
        """Write it into the database, and return what could not be noted.

        Raises: django.db.Error; then it can be stored once more.
        """
        unnoted = note_answered(self.told) if self.told else Unnoted()
        if self.held is not None:
            receivers.report(name=self.name, held=self.held, now=self.at)
        if self.began_at is not None:
            receivers.mark_present(name=self.name, began_at=self.began_at, now=self.at)
        if self.proven:
            mark_proven(self.proven)
        if self.gone:
            receivers.forget(names=self.gone)
        if self.refusals:  # last, because storing it twice shows
            record_refusals(self.refusals)
        return unnoted


class Notes:
    """Collects notes, on one event loop. `dropped_refusals` and `dropped_told` count what there was no room for."""

    def __init__(self, *, name: str, began_at: datetime) -> None:
        """`name` is the receiver's, for its reports, and `began_at` is when its process started."""
        self.name, self.began_at = name, began_at
        self.dropped_refusals = self.dropped_told = 0
        self._refusals: deque[tuple[int, Refusal]] = deque()
        self._in_time: dict[uuid.UUID, Cause] = {}
        self._missed: dict[uuid.UUID, Cause] = {}
        self._unkept: dict[uuid.UUID, Cause] = {}
        self._proven: dict[int, Sealed] = {}
        self._gone: set[str] = set()
        self._logged_dropped = self._logged_dropped_told = 0

    def refuse(self, endpoint_id: int, refusal: Refusal) -> None:
        """Note a refused request. The newest are kept."""
        if len(self._refusals) >= MOST_REFUSALS:
            self._refusals.popleft()
            self.dropped_refusals += 1
        self._refusals.append((endpoint_id, refusal))

    def told(self, attempt_id: uuid.UUID, missed: Cause = Cause.NONE) -> None:
        """Note that OpenTrain was answered in time, or why not; without room it stays unknown."""
        notes = {Cause.NONE: self._in_time, Cause.UNKEPT: self._unkept}.get(missed, self._missed)
        if len(notes) >= MOST_TOLD:
            self.dropped_told += 1
        else:
            notes[attempt_id] = missed

    def proven(self, endpoint_id: int, secret: Sealed) -> None:
        """Note that a delivery of the endpoint has verified with this secret. It is never dropped."""
        self._proven[endpoint_id] = secret

    def gone(self, names: Collection[str]) -> None:
        """Note the names of receivers of which this one holds the attempts now."""
        self._gone.update(names)

    @property
    def is_full(self) -> bool:
        """Whether as much waits of attempts as one transaction stores."""
        return len(self._in_time) >= TOLD_AT_ONCE

    @property
    def missed(self) -> dict[uuid.UUID, Cause]:
        """Attempts that OpenTrain got no answer to, with why, as far as that waits."""
        return self._missed | self._unkept

    @property
    def missed_count(self) -> int:
        """Number of those that were kept."""
        return len(self._missed)

    def take(
        self, *, at: datetime, held: int | None, is_report: bool = False, with_in_time: bool = True
    ) -> Taken | None:
        """Return notes to store, which wait no longer; None if there is nothing to store.

        `is_report`: they also tell that the receiver runs.
        """
        self._log_dropped()
        refusals = [self._refusals.popleft() for _ in range(min(AT_ONCE, len(self._refusals)))]
        told = self._take_missed() | _taken(self._unkept, list(islice(self._unkept, AT_ONCE)))
        if with_in_time:
            told |= _taken(self._in_time, list(islice(self._in_time, TOLD_AT_ONCE)))
        proven, self._proven = self._proven, {}
        gone, self._gone = self._gone, set()
        if held is None and not (is_report or refusals or told or proven or gone):
            return None
        return Taken(self.name, at, held, refusals, told, proven, gone, self.began_at if is_report else None)

    def take_missed(self, *, at: datetime) -> Taken | None:
        """Return attempts that were kept, and that OpenTrain got no answer to; None if none wait."""
        told = self._take_missed()
        return Taken(self.name, at, None, told=told) if told else None

    def take_told(self, ids: Collection[uuid.UUID], *, at: datetime) -> Taken | None:
        """Return what is known of these attempts, which entered the log now; None if nothing is."""
        told = _taken(self._missed, ids) | _taken(self._unkept, ids) | _taken(self._in_time, ids)
        return Taken(self.name, at, None, told=told) if told else None

    def put_back(self, taken: Taken) -> None:
        """Let notes wait again that could not be stored, as far as there is room."""
        room = MOST_REFUSALS - len(self._refusals)
        kept = taken.refusals[max(len(taken.refusals) - room, 0) :]
        self.dropped_refusals += len(taken.refusals) - len(kept)
        self._refusals.extendleft(reversed(kept))
        for attempt_id, missed in taken.told.items():
            self.told(attempt_id, missed)
        self._proven = {**taken.proven, **self._proven}
        self._gone.update(taken.gone)

    def _take_missed(self) -> dict[uuid.UUID, Cause]:
        return _taken(self._missed, list(islice(self._missed, AT_ONCE)))

    def _log_dropped(self) -> None:
        if self.dropped_refusals > self._logged_dropped:
            count = self.dropped_refusals - self._logged_dropped
            logger.warning("%d refused requests are not recorded: they came faster than the database takes them", count)
            self._logged_dropped = self.dropped_refusals
        has_room = max(len(self._in_time), len(self._missed), len(self._unkept)) < MOST_TOLD
        if has_room and self.dropped_told > self._logged_dropped_told:  # otherwise there would be a line each time
            count = self.dropped_told - self._logged_dropped_told
            logger.warning("whether OpenTrain was answered in time stays unknown for %d attempts", count)
            self._logged_dropped_told = self.dropped_told


def _taken(notes: dict[uuid.UUID, Cause], ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Cause]:
    return {one: notes.pop(one) for one in ids if one in notes}
