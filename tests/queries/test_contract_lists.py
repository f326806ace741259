"""Lists of contracts: filters, order, keyset pages, counts, and the indexes that they use."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.models import Contract, Endpoint, Install
from dashboard.queries import contract_lists
from dashboard.queries.contract_lists import ContractCriteria
from dashboard.queries.delivery_criteria import Cursor
from dashboard.queries.delivery_lists import LIST_COUNT_LIMIT
from tests.factories import NOON, make_contract, make_endpoint, make_evidence, make_finding, make_install, make_link

pytestmark = pytest.mark.django_db


@pytest.fixture
def install() -> Install:
    return make_install()


@pytest.fixture
def endpoint(install: Install) -> Endpoint:
    return make_endpoint(install=install)


def ids(install: Install, **criteria: object) -> list[str]:
    found = contract_lists.page(install=install, criteria=ContractCriteria(**criteria), limit=50)
    assert contract_lists.count(install=install, criteria=ContractCriteria(**criteria)) == len(found)
    return [one.opentrain_id for one in found]


@pytest.mark.parametrize("text", ["con_a", "job_a", "lnk_a", "crm-a", "lnk_unread", "CON_A", "Job_a", "LNK_UNREAD"])
def test_any_complete_id_finds_the_contract_and_no_other(install: Install, text: str) -> None:
    make_link(install=install, opentrain_id="lnk_a", external_project_id="crm-a", job_id="job_a")
    make_link(install=install, opentrain_id="lnk_b", external_project_id="crm-b", job_id="job_b")
    make_contract(install=install, opentrain_id="con_a", job_id="job_a", link_ids=["lnk_a", "lnk_unread"])
    make_contract(install=install, opentrain_id="con_b", job_id="job_b", link_ids=["lnk_b"])
    other = make_install()
    make_link(install=other, opentrain_id="lnk_a", external_project_id="crm-a", job_id="job_b")
    make_contract(install=other, opentrain_id="con_a", job_id="job_a", link_ids=["lnk_a"])
    assert ids(install, text=text) == ["con_a"]
    assert ids(install, text=text[:-1]) == []


def test_project_is_found_by_its_link_alone_if_the_link_has_no_job(install: Install) -> None:
    make_link(install=install, opentrain_id="lnk_a", external_project_id="crm-a", job_id="")
    make_contract(install=install, opentrain_id="con_a", job_id="", link_ids=["lnk_a"])
    make_contract(install=install, opentrain_id="con_b", job_id="", link_ids=[])
    assert ids(install, text="crm-a") == ["con_a"]
    assert ids(install, text="lnk_a") == ["con_a"]


@pytest.mark.parametrize(
    ("finding", "found"),
    [
        ("any", ["failed", "late", "access"]),
        ("access", ["access"]),
        ("missing", ["late", "access"]),
        ("failed", ["failed"]),
        ("provision", []),
    ],
)
def test_findings_are_those_that_are_open_and_no_choice(
    install: Install, endpoint: Endpoint, finding: str, found: list[str]
) -> None:
    findings = {
        "access": {"kind": "missing", "reason": "unproven", "consequence": "access"},
        "late": {"kind": "missing", "reason": "registered_after"},
        "choice": {"kind": "missing", "reason": "not_subscribed"},
        "failed": {"kind": "failed"},
        "closed": {"kind": "missing", "reason": "unproven", "consequence": "access", "closed_at": NOON},
    }
    for name, columns in findings.items():
        contract = make_contract(install=install, opentrain_id=name)
        make_finding(contract=contract, endpoint=endpoint, **columns)
        make_finding(contract=contract, endpoint=endpoint, **columns | {"event_type": "contract.started"})
    make_contract(install=install, opentrain_id="fine")
    assert ids(install, finding=finding) == found
    assert contract_lists.finding_counts(install=install).of(finding) == len(found)
    assert contract_lists.finding_counts(install=install, endpoint=endpoint.pk).of(finding) == len(found)


@pytest.mark.parametrize(
    ("criteria", "found"),
    [
        ({"event": "contract.ended"}, ["both", "ended"]),
        ({"event": "contract.started"}, ["both"]),
        ({"event": "contract.started", "finding": "failed"}, ["both"]),
        ({"event": "contract.started", "finding": "missing"}, []),
    ],
)
def test_event_and_kind_are_of_the_same_finding(
    install: Install, endpoint: Endpoint, criteria: dict[str, str], found: list[str]
) -> None:
    make_finding(contract=make_contract(install=install, opentrain_id="ended"), endpoint=endpoint, kind="failed")
    both = make_contract(install=install, opentrain_id="both")
    make_finding(contract=both, endpoint=endpoint, kind="missing")
    make_finding(contract=both, endpoint=endpoint, kind="failed", event_type="contract.started")
    make_contract(install=install, opentrain_id="fine")
    assert ids(install, **criteria) == found


def test_finding_of_an_endpoint_is_not_that_of_another(install: Install, endpoint: Endpoint) -> None:
    other = make_endpoint(install=install)
    for name, one in (("con_a", endpoint), ("con_b", other)):
        make_finding(contract=make_contract(install=install, opentrain_id=name), endpoint=one)
    assert ids(install, finding="missing", endpoint=endpoint.pk) == ["con_a"]
    assert ids(install, endpoint=endpoint.pk) == ["con_b", "con_a"]
    assert contract_lists.finding_counts(install=install, endpoint=other.pk).contracts == 1
    assert contract_lists.finding_counts(install=make_install()).contracts == 0


@pytest.mark.parametrize(
    ("status", "found"),
    [("", ["none", "odd", "ended", "active"]), ("active", ["active"]), ("other", ["none", "odd"]), ("PAUSED", ["odd"])],
)
def test_status_is_as_opentrain_writes_it_or_neither(install: Install, status: str, found: list[str]) -> None:
    for name, said in (("active", "active"), ("ended", "ended"), ("odd", "PAUSED"), ("none", "")):
        make_contract(install=install, opentrain_id=name, status=said)
    assert ids(install, status=status) == found


def test_pages_follow_one_another_in_both_directions(install: Install) -> None:
    made = [make_contract(install=install, created_at=NOON + timedelta(seconds=n // 3)).pk for n in range(20)][::-1]

    def page(cursor: Cursor | None) -> list[Contract]:
        return contract_lists.page(install=install, criteria=ContractCriteria(), limit=7, cursor=cursor)

    first = page(None)
    second = page(contract_lists.cursor_of(first[-1]))
    third = page(contract_lists.cursor_of(second[-1]))
    assert [one.pk for one in (*first, *second, *third)] == made
    back = page(replace(contract_lists.cursor_of(third[0]), newer=True))
    assert [one.pk for one in back] == [one.pk for one in second]


def test_contract_of_which_opentrain_does_not_say_when_it_was_created_is_listed_by_when_it_was_read(
    install: Install,
) -> None:
    """Contracts are read newest first, so the order of their rows says nothing."""
    for name, hours in (("con_c", 3), ("con_a", 1)):
        make_contract(install=install, opentrain_id=name, created_at=NOON + timedelta(hours=hours))
    make_contract(install=install, opentrain_id="con_b", created_at=None, first_seen_at=NOON + timedelta(hours=2))
    assert ids(install) == ["con_c", "con_b", "con_a"]
    first = contract_lists.page(install=install, criteria=ContractCriteria(), limit=2)
    rest = contract_lists.page(
        install=install, criteria=ContractCriteria(), limit=2, cursor=contract_lists.cursor_of(first[-1])
    )
    assert [one.opentrain_id for one in rest] == ["con_a"]


def test_page_is_read_from_its_index(install: Install) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
    with CaptureQueriesContext(connection) as asked:
        contract_lists.page(install=install, criteria=ContractCriteria(), limit=5, cursor=Cursor(NOON, 7))
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {asked[-1]['sql']}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "contract_newest_of_install" in plan
    assert "Sort" not in plan


def test_count_stops_at_its_limit(install: Install) -> None:
    Contract.objects.bulk_create(
        Contract(install=install, opentrain_id=f"con_{number}", first_seen_at=NOON, last_seen_at=NOON)
        for number in range(LIST_COUNT_LIMIT + 5)
    )
    assert contract_lists.count(install=install, criteria=ContractCriteria()) == LIST_COUNT_LIMIT + 1


def test_findings_with_consequences_come_first(install: Install, endpoint: Endpoint) -> None:
    for name, columns in {
        "late": {},
        "provision": {"consequence": "provision", "event_type": "contract.started"},
        "coming": {"consequence": "access", "kind": "not_seen_yet"},
        "older": {"consequence": "access", "happened_at": NOON - timedelta(hours=1)},
        "access": {"consequence": "access"},
        "choice": {"reason": "not_subscribed"},
        "closed": {"consequence": "access", "closed_at": NOON},
    }.items():
        make_finding(contract=make_contract(install=install, opentrain_id=name), endpoint=endpoint, **columns)
    found = contract_lists.worst_of(endpoint=endpoint, limit=4)
    assert [one.contract.opentrain_id for one in found] == ["access", "older", "coming", "provision"]


def test_endpoints_with_findings_come_first_and_deleted_ones_only_where_something_is_known(install: Install) -> None:
    contract, other = make_contract(install=install), make_contract(install=install)
    ill, fine, newest, gone, forgotten, _registering = (
        make_endpoint(install=install, created_at=NOON + timedelta(hours=hours), **columns)
        for hours, columns in (
            (1, {}), (2, {}), (3, {}),
            (4, {"deleted_at": NOON}), (5, {"deleted_at": NOON}), (6, {"opentrain_id": None}),
        )
    )  # fmt: skip
    make_endpoint(install=make_install())
    make_finding(contract=contract, endpoint=ill)
    make_finding(contract=other, endpoint=fine)
    make_finding(contract=contract, endpoint=newest, reason="not_subscribed")
    make_evidence(contract=contract, endpoint=gone)
    make_evidence(contract=other, endpoint=forgotten)

    def found(limit: int | None) -> tuple[list[int], int]:
        endpoints, total = contract_lists.endpoints_of(install=install, contracts=[contract], limit=limit)
        return [one.pk for one in endpoints], total

    assert found(None) == ([ill.pk, gone.pk, newest.pk, fine.pk], 4)
    assert found(2) == ([ill.pk, gone.pk], 4)
    assert contract_lists.endpoints_of(install=make_install(), contracts=[], limit=2) == ([], 0)


def test_links_are_those_that_contracts_name_or_whose_job_they_have(install: Install) -> None:
    make_link(install=make_install(), opentrain_id="lnk_1", job_id="job_1")
    named = make_link(install=install, opentrain_id="lnk_1", job_id="job_9")
    of_job = make_link(install=install, opentrain_id="lnk_2", job_id="job_1")
    make_link(install=install, opentrain_id="lnk_3", job_id="job_3")
    make_link(install=install, opentrain_id="lnk_4", job_id="")
    contracts = [
        make_contract(install=install, job_id="job_1", link_ids=["lnk_1"]),
        make_contract(install=install, job_id="", link_ids=[]),
    ]
    assert contract_lists.links_of(install=install, contracts=contracts) == [named, of_job]


def test_install_has_links_if_one_leads_to_a_job_and_exists(install: Install) -> None:
    make_link(install=install, job_id="")
    make_link(install=install, gone_at=NOON)
    make_link()
    assert not contract_lists.has_links(install=install)
    make_link(install=install)
    assert contract_lists.has_links(install=install)
