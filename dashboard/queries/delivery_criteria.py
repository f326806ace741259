"""What a list of deliveries is asked for: whose, which of them, and beside which row a page begins."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from dashboard.models.members import User
from dashboard.rules.deliveries import StateKind

LARGEST_STATUS = 32_767


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose deliveries: of one endpoint, of one install, of what a member may see, or (all None) all there are.

    Whether somebody may see an endpoint or an install is for the caller to know.
    """

    endpoint: int | None = None
    install: int | None = None
    member: int | None = None

    @classmethod
    def of(cls, user: User) -> Self:
        """Return everything that the user may see; a test holds it against `visible_to`."""
        return cls() if user.sees_every_install else cls(member=user.pk)

    @property
    def is_all(self) -> bool:
        return self == Scope()


@dataclass(frozen=True, slots=True)
class CauseCriteria:
    """A cause as stored, and the statuses it ended with, both ends included."""

    cause: str
    first_status: int = 0
    last_status: int = LARGEST_STATUS


@dataclass(frozen=True, slots=True)
class DeliveryCriteria:
    """Which deliveries a list shows; None and "" mean any. Times: from ≤ first receipt < to."""

    state: StateKind | None = None
    event_type: str = ""
    cause: CauseCriteria | None = None
    attempts_min: int | None = None
    attempts_max: int | None = None
    received_from: datetime | None = None
    received_to: datetime | None = None
    delivery_id: str = ""
    event_id: str = ""
    resource_id: str = ""
    signature: str | None = None
    """The verdict on the last attempt's signature, as stored: "" is none, because its handler did not say."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the order of the lists: the row that a page begins or ends beside."""

    received_at: datetime
    pk: int
    newer: bool = False
    """Whether what is newer is wanted, not what is older."""
