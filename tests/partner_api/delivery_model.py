"""A small model of deliveries: the contract's rules, with the details that `policy` and `endpoints` document.

The state machine compares API and engine with it, so it imports nothing of theirs.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

DELAYS = [timedelta(minutes=minutes) for minutes in (1, 5, 30, 120)]
LEASE = timedelta(seconds=60)
LIMIT = 10


@dataclass
class Sent:
    """The model of one delivery. `held` is the number of the claim on it and the time when that lapses, or None."""

    due: datetime | None
    status: str = "PENDING"
    tries: int = 0
    round: int = 1
    attempts: int = 0
    held: tuple[int, datetime] | None = None

    def requeue(self, now: datetime) -> None:
        self.status, self.due, self.tries, self.round = "PENDING", now, 0, self.round + 1

    def claimable(self, now: datetime) -> bool:
        return self.status == "PENDING" and self.due <= now and (self.held is None or self.held[1] <= now)


@dataclass
class Model:
    """The model of one endpoint."""

    url: str
    types: list[str]
    active: bool = True
    streak: int = 0
    sent: dict[str, Sent] = field(default_factory=dict)

    def enable(self) -> None:
        self.active, self.streak = True, 0

    def claimable(self, now: datetime) -> list[str]:
        return [name for name, sent in self.sent.items() if self.active and sent.claimable(now)]

    def answer(self, sent: Sent, claim: int, begun: int, ok: bool, now: datetime) -> None:
        """Record the answer to claim number `claim`, taken in round `begun`."""
        sent.attempts += 1
        sent.held = None if sent.held and sent.held[0] == claim else sent.held
        current = sent.round == begun
        sent.tries += current
        if self.active:
            self.streak = 0 if ok else self.streak + 1
        if current and ok:
            sent.status, sent.due = "DELIVERED", None
        elif current and sent.status == "PENDING":
            again = sent.tries <= len(DELAYS)
            sent.status, sent.due = ("PENDING", now + DELAYS[sent.tries - 1]) if again else ("FAILED", None)
        if self.active and self.streak >= LIMIT:
            self.active = False
            for other in self.sent.values():
                if other.status == "PENDING":
                    other.status, other.due = "FAILED", None
