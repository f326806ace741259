"""Parsing the filters of a list of contracts."""

from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.forms import contract_filters
from dashboard.forms.contract_filters import FINDINGS
from dashboard.queries.contract_lists import ContractCriteria
from dashboard.rules.lost_window import Lost

NOW = datetime(2026, 6, 12, 12, 0, tzinfo=UTC)


def parse(**params: str) -> contract_filters.ContractFilter:
    return contract_filters.parse(params=params, now=NOW)


@pytest.mark.parametrize(
    ("params", "criteria", "query"),
    [
        ({}, ContractCriteria(), ""),
        ({"q": " “con_12345” "}, ContractCriteria(text="con_12345"), "q=con_12345"),
        ({"q": "Contract ID: con_12345"}, ContractCriteria(text="con_12345"), "q=con_12345"),
        ({"q": '"jobId": "job_12345",'}, ContractCriteria(text="job_12345"), "q=job_12345"),
        ({"q": "projectLinkId=lnk_12345"}, ContractCriteria(text="lnk_12345"), "q=lnk_12345"),
        ({"q": "externalProjectId: crm/7 a"}, ContractCriteria(text="crm/7 a"), "q=crm%2F7+a"),
        ({"q": "Q3: cats & dogs"}, ContractCriteria(text="Q3: cats & dogs"), "q=Q3%3A+cats+%26+dogs"),
        ({"finding": "access"}, ContractCriteria(finding="access"), "finding=access"),
        ({"finding": "Not seen yet"}, ContractCriteria(finding="not_seen_yet"), "finding=not_seen_yet"),
        ({"finding": "any", "endpoint": "07"}, ContractCriteria(finding="any", endpoint=7), "finding=any&endpoint=7"),
        ({"event": "Contract.Ended"}, ContractCriteria(event="contract.ended"), "event=contract.ended"),
        ({"status": "Ended"}, ContractCriteria(status="ended"), "status=ended"),
        ({"status": "SUSPENDED"}, ContractCriteria(status="SUSPENDED"), "status=SUSPENDED"),
        ({"lost": "Run-9"}, ContractCriteria(lost=Lost(run=9)), "lost=run-9"),
        ({"lost": "endpoint-7"}, ContractCriteria(lost=Lost(endpoint=7)), "lost=endpoint-7"),
        ({"page": "7", "q": ""}, ContractCriteria(), ""),
    ],
)
def test_filters_are_read_and_written_canonically(
    params: dict[str, str], criteria: ContractCriteria, query: str
) -> None:
    found = parse(**params)
    assert (found.criteria, dict(parse_qsl(found.query)), found.problems) == (criteria, dict(parse_qsl(query)), ())


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        (
            {"finding": "lost"},
            "“lost” is not a finding: use any, access, provision, retrying, requested, not_seen_yet, ",
        ),
        ({"event": "x"}, "“x” is not an event of a contract: use contract.started or contract.ended."),
        ({"endpoint": "whe_1"}, "“whe_1” is not an endpoint: use the number in the URL of its page."),
        ({"lost": "9"}, "“9” is neither a run nor an endpoint: use the link on its page."),
        ({"q": "con_12345\ncon_67890"}, "This contains 2 lines. Paste only one ID."),
        ({"q": "con_12345, con_67890"}, "This contains 2 IDs. Paste only one ID."),
        ({"q": "ot_ptk_" + "a" * 40}, "A filter contains a token, key or secret. Keep it out of URLs: "),
        ({"q": "a" * 201}, "“aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…” has 201 characters: a filter has at most 200."),
    ],
)
def test_filter_that_makes_no_sense_becomes_a_problem(params: dict[str, str], problem: str) -> None:
    found = parse(**params)
    assert (found.criteria, found.used) == (ContractCriteria(), {})
    assert found.problems[0].startswith(problem)


def test_chips_have_words_and_lead_to_the_list_without_their_filter() -> None:
    found = parse(q="con_1", finding="access", endpoint="7", status="ended")
    chips = [(chip.label, chip.words, chip.without) for chip in found.chips({"endpoint": "https://acme.example.com"})]
    assert chips == [
        ("ID", "con_1", "finding=access&endpoint=7&status=ended"),
        ("Finding", "May still have access", "q=con_1&endpoint=7&status=ended"),
        ("Endpoint", "https://acme.example.com", "q=con_1&finding=access&status=ended"),
        ("Status", "Ended", "q=con_1&finding=access&endpoint=7"),
    ]
    assert found.words == "ID: con_1, Finding: May still have access, Endpoint: 7, Status: Ended"
    assert parse().words == "no filter: all contracts"


def test_endpoint_of_another_install_is_left_out_and_said() -> None:
    found = parse(finding="any", endpoint="7").without_endpoint()
    assert (found.criteria, found.query) == (ContractCriteria(finding="any"), "finding=any")
    assert found.problems == ("This install has no endpoint with the number 7.",)


def test_another_finding_keeps_the_endpoint_alone() -> None:
    found = parse(finding="access", status="ended", endpoint="7", q="con_1", event="contract.ended")
    assert found.of_finding("missing") == "finding=missing&endpoint=7"
    assert found.of_finding("") == "endpoint=7"


def test_every_finding_has_a_label() -> None:
    assert all(parse(finding=name).words == f"Finding: {label}" for name, label in FINDINGS.items())


@given(st.dictionaries(st.sampled_from(["q", "finding", "event", "endpoint", "status"]), st.text(max_size=230)))
def test_canonical_query_means_the_same_as_what_was_written(params: dict[str, str]) -> None:
    found = parse(**params)
    again = parse(**dict(parse_qsl(found.query)))
    assert (again.criteria, again.query, again.problems) == (found.criteria, found.query, ())


def test_chip_of_what_is_missing_has_words_and_its_contracts_are_kept_apart() -> None:
    found = parse(lost="run-9").among(frozenset({4}))
    assert [(chip.label, chip.words, chip.without) for chip in found.chips({})] == [("Missing", "after run 9", "")]
    assert (found.criteria.among, found.query) == ({4}, "lost=run-9")
