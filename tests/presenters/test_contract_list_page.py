"""Rows of a list of contracts, its heading, and the reason why it is empty."""

from typing import Any

import pytest

from dashboard.forms import contract_filters
from dashboard.models import Contract, Endpoint
from dashboard.presenters.contract_list_page import (
    ContractRow,
    Nothing,
    TookCell,
    contract_rows,
    endpoint_choices,
    heading,
    labels_of,
    left_out,
    nothing,
    quick_filters,
)
from dashboard.presenters.contract_reads import ContractReads
from dashboard.presenters.judged_contracts import JudgedContracts
from dashboard.queries.contract_lists import FindingCounts
from dashboard.rules.reconciliation import Event, Kind, Reason, Verdict
from tests.presenters.rows import NOW, endpoint

MISSING, TAKEN, NOT_DUE = Verdict(Kind.MISSING), Verdict(Kind.TAKEN), Verdict(Kind.NOT_DUE)


def row_of(contract: Contract, verdicts: dict[int, Verdict], *, event: Event = Event.ENDED) -> ContractRow:
    """Return the row of a contract with these verdicts of endpoints, by the endpoints' primary keys."""
    endpoints = [endpoint(pk=pk, handler_url=f"https://acme.test/{pk}") for pk in verdicts]
    keyed = {(contract.pk, pk, event): verdict for pk, verdict in verdicts.items()}
    judged = JudgedContracts([contract], verdicts=keyed, endpoints=endpoints, links=[])
    return contract_rows(judged, now=NOW)[0]


def ended(verdicts: dict[int, Verdict]) -> TookCell | None:
    return row_of(Contract(pk=1), verdicts).ended


def listed(cell: TookCell | None) -> list[tuple[str, str]]:
    assert cell is not None
    return [(one.label, one.endpoint) for one in cell.more]


def reads(**fields: Any) -> ContractReads:
    known = {
        "contracts_read_at": NOW, "links_read_at": NOW, "judged_at": NOW, "next_at": None, "error": "",
        "out_of_reach": "", "about": "", "lacks": "", "lacks_contracts": False,
    }  # fmt: skip
    return ContractReads(**known | fields)


def test_only_endpoint_is_not_named() -> None:
    cell = ended({1: MISSING})
    assert cell is not None
    assert (cell.worst.kind, cell.worst.label, cell.at, cell.others, cell.more) == ("missing", "Missing", "", 0, ())
    assert cell.worst.sentence.startswith("The contract ended, and no contract.ended arrived: ")


def test_worst_endpoint_is_named_and_the_others_are_folded() -> None:
    cell = ended({1: TAKEN, 2: MISSING, 3: Verdict(Kind.RETRYING)})
    assert cell is not None
    assert (cell.worst.label, cell.at, cell.others) == ("Missing", "2", 2)
    assert listed(cell) == [("Retrying", "3"), ("Taken", "1")]


def test_several_as_bad_are_counted_and_all_are_folded() -> None:
    cell = ended({1: MISSING, 2: TAKEN, 3: MISSING})
    assert cell is not None
    assert (cell.worst.label, cell.at, cell.others) == ("Missing", "at 2 endpoints", 1)
    assert listed(cell) == [("Missing", "1"), ("Missing", "3"), ("Taken", "2")]


@pytest.mark.parametrize(
    ("shown", "total", "begins"), [(1, 1, ""), (10, 10, ""), (0, 0, ""), (10, 2500, "Rows show 10")]
)
def test_rows_that_tell_of_some_endpoints_only_say_so(shown: int, total: int, begins: str) -> None:
    words = left_out(shown=shown, total=total)
    assert words.startswith(begins)
    assert bool(words) == bool(begins)


def test_event_that_is_due_nowhere_has_no_cell_and_one_that_is_due_somewhere_has() -> None:
    assert ended({1: NOT_DUE, 2: NOT_DUE}) is None
    assert ended({}) is None
    cell = ended({1: NOT_DUE, 2: TAKEN})
    assert cell is not None
    assert cell.worst.label == "Taken"


def test_type_that_is_not_subscribed_is_not_called_missing() -> None:
    cell = ended({1: Verdict(Kind.MISSING, Reason.NOT_SUBSCRIBED)})
    assert cell is not None
    assert (cell.worst.kind, cell.worst.label) == ("not_subscribed", "Not subscribed")


def test_event_that_redeliver_handed_over_is_told_from_one_that_opentrain_sent() -> None:
    cell = ended({1: Verdict(Kind.TAKEN, at=NOW, handed_over=True)})
    assert cell is not None
    assert (cell.worst.kind, cell.worst.label) == ("taken", "Handed over")


@pytest.mark.parametrize(
    ("fields", "title", "status"),
    [
        ({"title": "Cats", "status": "active"}, "Cats", "Active"),
        ({"title": " ", "status": ""}, "Untitled", "Not said"),
        ({"title": "", "status": "SUSPENDED"}, "Untitled", "SUSPENDED"),
    ],
)
def test_fields_that_are_not_said_have_words(fields: dict[str, str], title: str, status: str) -> None:
    row = row_of(Contract(pk=1, **fields), {})
    assert (row.title, row.status, row.is_unlinked, row.is_running, row.budget) == (title, status, True, True, None)


@pytest.mark.parametrize(
    ("state", "consumed", "words", "share"),
    [
        ("OK", 0.0, "Budget OK", "0 % consumed"),
        ("LOW", 0.815, "Budget low", "82 % consumed"),
        ("DEPLETED", 1.25, "Budget depleted", "125 % consumed"),
        ("FROZEN", None, "Budget FROZEN", ""),
    ],
)
def test_budget_that_was_read_has_words(state: str, consumed: float | None, words: str, share: str) -> None:
    budget = row_of(Contract(pk=1, budget_state=state, budget_consumed=consumed), {}).budget
    assert budget is not None
    assert (budget.words, budget.consumed) == (words, share)


@pytest.mark.parametrize(
    ("urls", "labels"),
    [
        (["https://access.acme.test/hook", "https://billing.acme.test/hook"], ["access", "billing"]),
        (["https://acme.test/hooks/a/x", "https://acme.test/hooks/b/x/"], ["a", "b"]),
        (["https://acme.test/?to=a", "https://acme.test/?to=b"], ["a", "b"]),
        (["https://a.test/1", "https://a.test/2", "https://b.test/1"], ["a.test/1", "a.test/2", "b.test/1"]),
        (["https://acme.test/hook"] * 2, ["acme.test/hook"] * 2),
        (["https://acme.test/" + "x" * 40, "https://acme.test/y"], ["x" * 23 + "…", "y"]),
        (["https://acme.test/", "https://acme.test/a"], ["acme.test/", "acme.test/a"]),
        (["https://acme.test/hook"], ["acme.test/hook"]),
        (["not a URL", "x"], ["not a URL", "x"]),
    ],
)
def test_label_of_an_endpoint_is_where_urls_differ(urls: list[str], labels: list[str]) -> None:
    made = [Endpoint(pk=pk, url=url) for pk, url in enumerate(urls)]
    assert list(labels_of(made).values()) == labels


def test_label_says_that_an_endpoint_is_deleted() -> None:
    made = [Endpoint(pk=1, url="https://a.test", deleted_at=NOW), Endpoint(pk=2, url="https://b.test")]
    assert labels_of(made) == {1: "a (deleted)", 2: "b"}
    assert labels_of([]) == {}


def test_label_of_an_endpoint_is_the_name_that_people_gave_and_tells_one_url_apart() -> None:
    made = [
        Endpoint(pk=1, url="https://acme.test/hook", name="Billing"),
        Endpoint(pk=2, url="https://acme.test/hook", told_apart_by="old secret"),
        Endpoint(pk=3, url="https://acme.test/hook", told_apart_by="new secret"),
    ]
    assert labels_of(made[:2]) == {1: "Billing", 2: "acme.test/hook"}
    assert labels_of(made[1:]) == {2: "acme.test/hook (old secret)", 3: "acme.test/hook (new secret)"}


def test_chosen_endpoint_is_offered_even_if_deleted() -> None:
    one, gone = Endpoint(pk=1, url="https://a.test"), Endpoint(pk=2, url="https://b.test", deleted_at=NOW)
    assert endpoint_choices([one], chosen=gone) == [(1, "a.test"), (2, "b.test (deleted)")]
    assert endpoint_choices([one], chosen=one) == [(1, "a.test")]


@pytest.mark.parametrize(
    ("params", "is_first", "fields", "has_links", "why", "words"),
    [
        ({}, False, {}, True, Nothing.BEYOND, "0 contracts"),
        ({"q": "con_1"}, True, {"lacks_contracts": True}, True, Nothing.NO_MATCH, "No matches"),
        ({}, True, {"lacks_contracts": True, "contracts_read_at": None}, True, Nothing.NOT_ALLOWED, "Not known"),
        ({}, True, {"contracts_read_at": None, "links_read_at": None}, False, Nothing.NOT_READ, "Not read yet"),
        ({}, True, {}, False, Nothing.NOT_LINKED, "No project is linked"),
        ({}, True, {"links_read_at": None}, False, Nothing.NONE, "No contracts"),
        ({}, True, {}, True, Nothing.NONE, "No contracts"),
    ],
)
def test_empty_list_says_why(
    params: dict[str, str], is_first: bool, fields: dict[str, Any], has_links: bool, why: Nothing, words: str
) -> None:
    filters = contract_filters.parse(params=params, now=NOW)
    found = nothing(filters=filters, is_first_page=is_first, reads=reads(**fields), has_links=has_links)
    assert (found, heading(count=0, why=found)) == (why, words)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (None, "Contracts"),
        (1, "1 contract"),
        (201, "201 contracts"),
        (1000, "1,000 contracts"),
        (1001, "1,000+ contracts"),
    ],
)
def test_heading_counts_and_says_when_there_are_more(count: int | None, words: str) -> None:
    assert heading(count=count, why=None) == words


def test_quick_filters_keep_the_other_filters_and_have_exact_numbers() -> None:
    filters = contract_filters.parse(params={"finding": "access", "endpoint": "7", "status": "ended"}, now=NOW)
    pills = quick_filters(filters, counts=FindingCounts(1200, {"access": 3}), why=None, url="/here/")
    assert [(pill.label, pill.number, pill.url, pill.here) for pill in pills] == [
        ("All", "", "/here/?endpoint=7", False),
        ("Any finding", "1,200", "/here/?finding=any&endpoint=7", False),
        ("May still have access", "3", "/here/?finding=access&endpoint=7", True),
        ("May have no access", "0", "/here/?finding=provision&endpoint=7", False),
    ]
    none = quick_filters(contract_filters.parse(params={}, now=NOW), counts=None, why=Nothing.NO_MATCH, url="/here/")
    assert [(pill.number, pill.url) for pill in none][:2] == [("", "/here/"), ("", "/here/?finding=any")]
    assert quick_filters(filters, counts=FindingCounts(), why=Nothing.NOT_READ, url="/here/") == ()
