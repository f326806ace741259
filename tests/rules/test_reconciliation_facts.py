"""The terms of reconciliation."""

from datetime import UTC, datetime

import pytest

from dashboard.rules.reconciliation_facts import Kind, Verdict

NOON = datetime(2026, 6, 12, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("kind", Kind)
def test_what_is_settled_is_a_finding(kind: Kind) -> None:
    assert kind.is_finding or not kind.is_settled


def test_findings_are_what_is_not_in_order_or_not_yet() -> None:
    assert {kind for kind in Kind if not kind.is_finding} == {
        Kind.NOT_DUE,
        Kind.TAKEN,
        Kind.TAKEN_IN_PART,
        Kind.NOT_KNOWN,
    }
    assert {kind for kind in Kind if kind.is_finding and not kind.is_settled} == {
        Kind.RETRYING,
        Kind.REQUESTED,
        Kind.NOT_SEEN_YET,
    }


def test_a_verdict_equals_the_one_that_a_row_gives_back_without_links() -> None:
    assert Verdict(Kind.MISSING, at=NOON, link_ids=("lnk_1",)) == Verdict(Kind.MISSING, at=NOON)
