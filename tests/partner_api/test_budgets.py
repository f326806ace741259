"""Budgets: what is funded, consumed and left, and the thresholds."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.partner_api import budgets
from dashboard.partner_api.budgets import Budget, Consumed, Funded, State

TWO_WEEKS = [Funded(amount_usd=Decimal(280), volume=Decimal(20)), Funded(amount_usd=Decimal(280), volume=Decimal(20))]


def computed(payment_type: str | None, *, seconds: int = 0, labels: int = 0) -> Budget:
    consumed = Consumed(seconds=seconds, labels=labels, tasks=87)
    return budgets.compute(payment_type=payment_type, funded=TWO_WEEKS, consumed=consumed)


def test_hours_of_the_references_example() -> None:
    assert computed("PAY_PER_HOUR", seconds=118_800) == Budget(
        state=State.LOW,
        funded_volume=Decimal(40),
        funded_amount_usd=Decimal(560),
        consumed=Consumed(seconds=118_800, labels=0, tasks=87),
        consumed_volume=Decimal(33),
        remaining_volume=Decimal(7),
        consumed_fraction=Decimal("0.825"),
    )


@pytest.mark.parametrize(
    ("labels", "state", "fraction", "left"),
    [
        (0, "OK", "0", 40),
        (31, "OK", "0.775", 9),
        (32, "LOW", "0.8", 8),
        (39, "LOW", "0.975", 1),
        (40, "DEPLETED", "1", 0),
        (50, "DEPLETED", "1.25", 0),
    ],
)
def test_labels_change_the_state_at_each_threshold(labels: int, state: str, fraction: str, left: int) -> None:
    budget = computed("PAY_PER_LABEL", labels=labels)
    assert (budget.state, budget.consumed_fraction) == (state, Decimal(fraction))
    assert budget.remaining_volume == Decimal(left)


@pytest.mark.parametrize("payment_type", ["FIXED_PRICE", None])
def test_what_has_no_volume_never_depletes(payment_type: str | None) -> None:
    budget = computed(payment_type, seconds=10**6, labels=10**6)
    assert (budget.state, budget.consumed_fraction, budget.funded_volume) == (State.OK, 0, 0)
    assert (budget.consumed_volume, budget.remaining_volume, budget.funded_amount_usd) == (0, 0, 560)


def test_nothing_funded_is_never_depleted() -> None:
    budget = budgets.compute(payment_type="PAY_PER_HOUR", funded=[], consumed=Consumed(seconds=3600))
    assert (budget.state, budget.consumed_fraction, budget.consumed_volume) == (State.OK, 0, 1)


@given(seconds=st.integers(0, 10**9), hours=st.integers(1, 10**6))
def test_state_is_what_the_shown_fraction_says(seconds: int, hours: int) -> None:
    funded = [Funded(amount_usd=Decimal(1), volume=Decimal(hours))]
    budget = budgets.compute(payment_type="PAY_PER_HOUR", funded=funded, consumed=Consumed(seconds=seconds))
    shown = float(budget.consumed_fraction)
    assert budget.state == ("DEPLETED" if shown >= 1 else "LOW" if shown >= 0.8 else "OK")
    assert shown == pytest.approx(seconds / 3600 / hours, abs=0.0001)


@pytest.mark.parametrize(
    ("before", "after", "crossed"),
    [
        ("OK", "OK", []),
        ("OK", "LOW", ["LOW"]),
        ("LOW", "LOW", []),
        ("LOW", "DEPLETED", ["DEPLETED"]),
        ("OK", "DEPLETED", ["LOW", "DEPLETED"]),
        ("DEPLETED", "LOW", []),
        ("DEPLETED", "OK", []),
    ],
)
def test_only_upward_crossings_count(before: str, after: str, crossed: list[str]) -> None:
    assert budgets.crossed(before=State(before), after=State(after)) == crossed
