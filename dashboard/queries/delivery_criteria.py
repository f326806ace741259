"""Criteria for listing deliveries: scope, filters, cursor."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from dashboard.models.members import User
from dashboard.rules.deliveries import StateKind

LARGEST_STATUS = 32_767


@dataclass(frozen=True, slots=True)
class Scope:
    """The deliveries of one endpoint, of one install, of everything that a member may see, or (all None) all.

    The caller must check that the user may see the endpoint or install.
    """

    endpoint: int | None = None
    install: int | None = None
    member: int | None = None

    @classmethod
    def of(cls, user: User) -> Self:
        """Return everything that the user may see. A test compares it with `visible_to`."""
        return cls() if user.sees_every_install else cls(member=user.pk)

    @property
    def is_all(self) -> bool:
        return self == Scope()


@dataclass(frozen=True, slots=True)
class CauseCriteria:
    """A cause as stored, and an inclusive range of statuses."""

    cause: str
    first_status: int = 0
    last_status: int = LARGEST_STATUS


@dataclass(frozen=True, slots=True)
class DeliveryCriteria:
    """Which deliveries a list shows; None and "" mean any. Times: from ≤ first receipt < to."""

    install: str = ""
    """The number in the URL of an install's page, its ID at OpenTrain, or its name."""
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
    """The verdict on the last attempt's signature, as stored; "" if the handler reported none, None for no filter."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the order of the lists: the row next to which a page begins or ends."""

    received_at: datetime
    pk: int
    newer: bool = False
    """Whether the page contains newer rows, not older ones."""
