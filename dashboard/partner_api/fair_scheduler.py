"""Whose turn it is, and for how many: the engine's fairness, pure and without a clock.

Slots are the deliveries that one run may hold at once. An endpoint gets a window of them: two when the run first meets
it, twice as many after each quick success (up to `per_endpoint`), one after a time-out. So a receiver that hangs keeps
one slot and nobody else's, and one that comes back from a long outage is not run over. Endpoints that have proven slow
never hold more than half of the slots together, however many they are.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

FIRST_WINDOW = 2
QUICK_S = 1.0
"""An answer within this many seconds is quick."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Claim up to `count` of an endpoint that holds `held` already."""

    endpoint_id: str
    count: int
    held: int


@dataclass(slots=True)
class _Place:
    window: int
    held: int = 0
    slow: bool = False
    listed: bool = False


class Rota:
    """The endpoints with something due, in the order in which they are served."""

    def __init__(self, *, slots: int, per_endpoint: int) -> None:
        self._slots = slots
        self._per_endpoint = per_endpoint
        self._places: dict[str, _Place] = {}
        self._line: deque[str] = deque()
        self._full: set[str] = set()
        self._held = 0
        self._held_slow = 0

    @property
    def held(self) -> int:
        """How many slots are taken."""
        return self._held

    @property
    def waiting(self) -> bool:
        """Whether an endpoint stands in line."""
        return bool(self._line)

    def add(self, endpoint_ids: Iterable[str]) -> None:
        """Put endpoints at the end of the line, unless they are known to have more already."""
        for endpoint_id in endpoint_ids:
            place = self._place(endpoint_id)
            if not place.listed:
                place.listed = True
                self._queue(endpoint_id, place)

    def asks(self) -> list[Ask]:
        """Return what to claim now; `took` must be told about each."""
        free, chosen = self._slots - self._held, []
        slow_free = max(1, self._slots // 2) - self._held_slow
        for _ in range(len(self._line)):
            if free < 1:
                break
            endpoint_id = self._line.popleft()
            place = self._places[endpoint_id]
            count = min(place.window - place.held, free, slow_free if place.slow else free)
            if count < 1:
                self._line.append(endpoint_id)
                continue
            free -= count
            slow_free -= count if place.slow else 0
            chosen.append(Ask(endpoint_id=endpoint_id, count=count, held=place.held))
        return chosen

    def took(self, ask: Ask, *, count: int) -> None:
        """Note what a claim brought. Fewer than asked for: there is no more, or none until something has ended."""
        place = self._places[ask.endpoint_id]
        self._hold(place, count)
        if count < ask.count and place.held:
            self._full.add(ask.endpoint_id)
        elif count < ask.count:
            place.listed = False
            self._forget(ask.endpoint_id, place)
        else:
            self._queue(ask.endpoint_id, place)

    def learned(self, endpoint_id: str, *, ok: bool, timed_out: bool, seconds: float) -> None:
        """Let an attempt's outcome move its endpoint's window."""
        place = self._place(endpoint_id)
        slow = timed_out or seconds > QUICK_S
        if slow != place.slow:
            self._held_slow += place.held if slow else -place.held
            place.slow = slow
        if slow:
            place.window = 1 if timed_out else max(1, place.window // 2)
        elif ok:
            place.window = min(self._per_endpoint, place.window * 2)

    def freed(self, endpoint_id: str) -> None:
        """Give one slot back: its attempt is recorded, or the claim was dropped."""
        place = self._places[endpoint_id]
        self._hold(place, -1)
        if endpoint_id in self._full:
            self._full.discard(endpoint_id)
            self._queue(endpoint_id, place)
        self._forget(endpoint_id, place)

    def _place(self, endpoint_id: str) -> _Place:
        return self._places.setdefault(endpoint_id, _Place(min(FIRST_WINDOW, self._per_endpoint)))

    def _hold(self, place: _Place, count: int) -> None:
        place.held += count
        self._held += count
        self._held_slow += count if place.slow else 0

    def _queue(self, endpoint_id: str, place: _Place) -> None:
        if place.held < place.window:
            self._line.append(endpoint_id)
        else:
            self._full.add(endpoint_id)

    def _forget(self, endpoint_id: str, place: _Place) -> None:
        # What was learned about a slow one is kept for the run; a healthy one is met anew.
        if not place.listed and not place.held and not place.slow:
            del self._places[endpoint_id]
