"""Pure rules for the budget of a contract: no Django, HTTP or clock.

Source: partner-api, "Links, contracts and budgets". Where that says nothing:
- The state follows the fraction that is shown, which is rounded, so that nobody sees "80 %" beside OK.
- One report that crosses both thresholds crosses each of them once, the lower one first.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

PER_HOUR, PER_LABEL = "PAY_PER_HOUR", "PAY_PER_LABEL"
LOW_AT, DEPLETED_AT = Decimal("0.8"), Decimal(1)
_PLACES = Decimal("0.0001")
_SECONDS_PER_HOUR = 3600


class State(StrEnum):
    """How much of the funded volume is consumed."""

    OK = "OK"
    LOW = "LOW"
    DEPLETED = "DEPLETED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Funded:
    """What one milestone funds. `volume` is in hours or labels; None for a fixed price."""

    amount_usd: Decimal
    volume: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumed:
    """Everything that was reported for a contract."""

    seconds: int = 0
    labels: int = 0
    tasks: int = 0

    @property
    def hours(self) -> Decimal:
        return Decimal(self.seconds) / _SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What is funded, what is consumed, and what is left. Volumes are in hours or labels, as the contract is paid."""

    state: State
    funded_volume: Decimal
    funded_amount_usd: Decimal
    consumed: Consumed
    consumed_volume: Decimal
    remaining_volume: Decimal
    consumed_fraction: Decimal


def compute(*, payment_type: str | None, funded: Iterable[Funded], consumed: Consumed) -> Budget:
    """Return the budget of a contract. With a fixed price, or if nothing is funded, it is never consumed."""
    milestones = list(funded)
    units = {PER_HOUR: consumed.hours, PER_LABEL: Decimal(consumed.labels)}
    used = units.get(payment_type or "", Decimal(0))
    volume = sum((each.volume or Decimal(0) for each in milestones if payment_type in units), Decimal(0))
    fraction = (used / volume).quantize(_PLACES) if volume else Decimal(0)
    return Budget(
        state=_state(fraction),
        funded_volume=volume,
        funded_amount_usd=sum((each.amount_usd for each in milestones), Decimal(0)),
        consumed=consumed,
        consumed_volume=used,
        remaining_volume=max(volume - used, Decimal(0)),
        consumed_fraction=fraction,
    )


def crossed(*, before: State, after: State) -> list[State]:
    """Return the thresholds that were crossed upward, the lower one first."""
    order = list(State)
    return order[order.index(before) + 1 : order.index(after) + 1]


def _state(fraction: Decimal) -> State:
    if fraction >= DEPLETED_AT:
        return State.DEPLETED
    return State.LOW if fraction >= LOW_AT else State.OK
