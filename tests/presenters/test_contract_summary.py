"""How many contracts have findings."""

from typing import Any

import pytest

from dashboard.presenters.contract_summary import contract_summary, endpoint_numbers
from dashboard.queries.contract_lists import FindingCounts
from tests.presenters.test_contract_list_page import reads


def test_numbers_are_worst_first_and_lead_to_their_contracts() -> None:
    found = contract_summary(
        counts=FindingCounts(1204, {"access": 2, "provision": 1, "missing": 1204}), reads=reads(), url="/here/"
    )
    assert (found.words, found.url) == ("", "/here/")
    assert [(one.number, one.words, one.url) for one in found.numbers] == [
        ("2", "people may still have access", "/here/?finding=access"),
        ("1", "contract was never provisioned", "/here/?finding=provision"),
        ("1,204", "contracts with findings", "/here/?finding=any"),
    ]


@pytest.mark.parametrize(
    ("counts", "fields", "words"),
    [
        (FindingCounts(), {}, "no findings"),
        (FindingCounts(), {"judged_at": None}, "not compared with the delivery log yet"),
        (FindingCounts(), {"contracts_read_at": None}, "not read yet"),
        (FindingCounts(), {"lacks_contracts": True}, "not known: the token lacks a scope"),
        (FindingCounts(), {"lacks_contracts": True, "is_left": True}, "not read any more"),
        (None, {}, "findings not counted: that takes too long"),
    ],
)
def test_no_number_says_why(counts: FindingCounts | None, fields: dict[str, Any], words: str) -> None:
    found = contract_summary(counts=counts, reads=reads(**fields), url="/here/")
    assert (found.numbers, found.words) == ((), words)


def test_endpoint_has_the_numbers_of_each_consequence_and_kind() -> None:
    counts = FindingCounts(5, {"access": 1, "provision": 0, "missing": 3, "not_seen_yet": 2})
    assert [(one.number, one.words, one.url) for one in endpoint_numbers(counts, endpoint=7, url="/here/")] == [
        ("1", "person may still have access", "/here/?finding=access&endpoint=7"),
        ("3", "missing", "/here/?finding=missing&endpoint=7"),
        ("2", "not seen yet", "/here/?finding=not_seen_yet&endpoint=7"),
    ]
