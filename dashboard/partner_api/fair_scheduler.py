"""The engine's fair scheduling of endpoints: pure, without a clock.

Slots are the deliveries that one run may hold at once. Each endpoint has a window of slots: two at first, doubled after
each quick success (up to `per_endpoint`), one after a time-out. So a receiver that hangs holds one slot and leaves the
others free, and a receiver that recovers from a long outage is not overloaded. All slow endpoints together never hold
more than half of the slots.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

FIRST_WINDOW = 2
QUICK_S = 1.0
"""Maximum duration of a quick response, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request to claim up to `count` deliveries of an endpoint that already holds `held` slots."""

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
    """The endpoints with due deliveries, in the order in which they are served."""

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
        """The number of slots in use."""
        return self._held

    @property
    def waiting(self) -> bool:
        """Whether an endpoint is in the queue."""
        return bool(self._line)

    def add(self, endpoint_ids: Iterable[str]) -> None:
        """Append endpoints to the queue, unless they are already known to have due deliveries."""
        for endpoint_id in endpoint_ids:
            place = self._place(endpoint_id)
            if not place.listed:
                place.listed = True
                self._queue(endpoint_id, place)

    def asks(self) -> list[Ask]:
        """Return what to claim now. Call `took` for each."""
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
        """Record the result of a claim. Fewer than requested means that no more are due, or none until one ends."""
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
        """Adjust the endpoint's window to an attempt's outcome."""
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
        """Free one slot: its attempt is recorded, or its claim was released."""
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
        # A slow endpoint is remembered for the whole run; a healthy one is forgotten and starts again.
        if not place.listed and not place.held and not place.slow:
            del self._places[endpoint_id]
