"""The outcome of an operation."""

import pytest

from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.models import AuditEntry


@pytest.mark.parametrize("kind", list(OutcomeKind))
def test_only_done_is_ok(kind: OutcomeKind) -> None:
    assert Outcome(kind=kind, words="").ok is (kind is OutcomeKind.DONE)


def test_every_kind_is_a_phase_of_the_audit() -> None:
    assert {kind.value for kind in OutcomeKind} == set(AuditEntry.Phase.values) - {AuditEntry.Phase.REQUESTED}


def test_outcome_told_again_is_the_same_outcome() -> None:
    outcome = Outcome(kind=OutcomeKind.DONE, words="Done.")
    assert outcome == Outcome(kind=OutcomeKind.DONE, words="Done.", told_before=True)
    assert outcome != Outcome(kind=OutcomeKind.DONE, words="Done.", quoted="x")
