"""The index that each list is read from. test_delivery_lists.py checks the results, against all filters."""

from typing import Any

import pytest

from dashboard.queries.delivery_criteria import CauseCriteria, DeliveryCriteria
from dashboard.queries.delivery_list_sql import UNUSUAL, Sql, Way, is_impossible, way
from dashboard.rules.deliveries import StateKind
from dashboard.signatures import UNCHECKED, Verdict
from tests.factories import NOON

CAUSE = CauseCriteria("timeout")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, Way.PLAIN),
        ({"received_from": NOON, "received_to": NOON}, Way.PLAIN),
        ({"signature": "verified"}, Way.PLAIN),
        ({"signature": ""}, Way.REPORTS),
        ({"signature": "stale"}, Way.REPORTS),
        ({"state": StateKind.DELIVERED}, Way.KINDS),
        ({"state": StateKind.FAILED}, Way.KINDS),
        ({"event_type": "contract.ended"}, Way.KINDS),
        ({"attempts_min": 0}, Way.KINDS),
        ({"attempts_max": 0}, Way.KINDS),
        ({"cause": CAUSE}, Way.CAUSES),
        ({"cause": CAUSE, "event_type": "contract.ended", "state": StateKind.FAILED}, Way.CAUSES),
        ({"cause": CAUSE, "signature": "stale"}, Way.REPORTS),
        ({"state": StateKind.RETRYING, "signature": "stale", "cause": CAUSE}, Way.WAITING),
        ({"state": StateKind.OVERDUE}, Way.WAITING),
        ({"state": StateKind.REQUESTED_AGAIN}, Way.WAITING),
        ({"delivery_id": "dlv_1", "state": StateKind.OVERDUE}, Way.BY_ID),
        ({"event_id": "evt_1", "cause": CAUSE}, Way.BY_ID),
        ({"resource_id": "con_1", "signature": "stale"}, Way.BY_ID),
    ],
)
def test_way_is_the_one_that_reads_the_fewest_rows(wanted: dict[str, Any], found: Way) -> None:
    assert way(DeliveryCriteria(**wanted)) is found


def test_verified_signature_is_the_usual_one() -> None:
    assert {Verdict.VERIFIED} | UNUSUAL == {*Verdict, UNCHECKED}
    assert Verdict.VERIFIED not in UNUSUAL


@pytest.mark.parametrize(
    ("wanted", "impossible"),
    [
        ({}, False),
        ({"attempts_max": 0}, True),
        ({"attempts_max": 1}, False),
        ({"attempts_min": 3, "attempts_max": 2}, True),
        ({"attempts_min": 2, "attempts_max": 2}, False),
        ({"attempts_min": 9}, False),
        ({"state": StateKind.DELIVERED, "cause": CAUSE}, True),
        ({"state": StateKind.DELIVERED}, False),
        ({"state": StateKind.FAILED, "cause": CAUSE}, False),
    ],
)
def test_what_no_delivery_can_be_is_known_before_it_is_looked_for(wanted: dict[str, Any], impossible: bool) -> None:
    assert is_impossible(DeliveryCriteria(**wanted)) is impossible


def test_parts_of_a_statement_keep_their_parameters_in_order() -> None:
    whole = Sql("a = %s", 1) + Sql("AND b = %s AND c = %s", 2, "x") + Sql()
    assert (whole.text.split(), whole.params) == (
        ["a", "=", "%s", "AND", "b", "=", "%s", "AND", "c", "=", "%s"],
        [1, 2, "x"],
    )
