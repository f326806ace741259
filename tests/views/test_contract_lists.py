"""The list of an install's contracts: visibility, rows, filters, paging both ways, empty lists, and queries."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from dashboard.forms.contract_filters import _LABELS, _READERS
from dashboard.models import Endpoint, Install, Reconciliation, User
from dashboard.rules.reads import Read
from dashboard.views import contract_lists as views
from tests.factories import NOON, make_contract, make_endpoint, make_evidence, make_finding, make_install, make_link
from tests.views.conftest import Browser, browser_of

HOSTILE = "<img src=x onerror=alert(1)>\"'"
SCOPES = ["webhooks:manage", Read.CONTRACTS.value, Read.LINKS.value]


def words_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def rows_of(page: str) -> list[int]:
    return [int(pk) for pk in re.findall(r'id="contract-(\d+)"', page)]


def address(install: Install, query: str = "", *, what: str = "") -> str:
    return reverse(f"install-contracts{what}", args=[install.pk]) + (f"?{query}" if query else "")


@pytest.fixture
def read(acme: Install) -> Reconciliation:
    """Acme's token has the scopes, and links and contracts were read at noon."""
    Install.objects.filter(pk=acme.pk).update(token_scopes=SCOPES)
    acme.refresh_from_db()
    return Reconciliation.objects.create(install=acme, links_read_at=NOON, contracts_read_at=NOON, judged_at=NOON)


def test_list_shows_contracts_newest_first_with_their_number(ana: Browser, acme: Install) -> None:
    old = make_contract(install=acme, created_at=NOON - timedelta(hours=1))
    new = make_contract(install=acme, title="Labelling of cats")
    make_contract()
    page = ana.read(address(acme))
    assert rows_of(page) == [new.pk, old.pk]
    assert "2 contracts" in words_of(page)
    assert "Labelling of cats" in words_of(page)
    assert rows_of(ana.read(address(acme, what="-live"))) == [new.pk, old.pk]


@pytest.mark.parametrize("what", ["", "-live", "-export"])
def test_list_of_somebody_elses_is_not_there(partner_admin: User, viewer: User, outsider: User, what: str) -> None:
    theirs = outsider.grants.get().install
    for user in (partner_admin, viewer):
        browser_of(user).read(address(theirs, what=what), status=404)


def test_row_has_what_is_known_of_the_contract(ana: Browser, acme: Install, acme_endpoint: Endpoint) -> None:
    make_link(install=acme, opentrain_id="lnk_1", job_id="job_12345678", external_project_name="Cats of Rome")
    contract = make_contract(
        install=acme, status="ended", job_id="job_12345678", link_ids=["lnk_1"], end_date=NOON, budget_state="LOW"
    )
    make_evidence(contract=contract, endpoint=acme_endpoint, event_type="contract.started")
    make_finding(contract=contract, endpoint=acme_endpoint, kind="missing", consequence="access")
    text = words_of(ana.read(address(acme)))
    assert "Cats of Rome …12345678 Ended Budget low" in text
    assert re.search(r"Ended Budget low [^A-Z]+ ago Taken [^A-Z]+ ago Missing", text)
    assert f'href="{reverse("contract-detail", args=[contract.pk])}"' in ana.read(address(acme))


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", ["con_fine", "con_odd", "con_gone"]),
        ("finding=any", ["con_gone"]),
        ("finding=access", ["con_gone"]),
        ("finding=failed", []),
        ("status=active", ["con_fine"]),
        ("q=%20%22con_odd%22,", ["con_odd"]),
        ("q=project-9", ["con_odd"]),
        ("q=con_odd&status=active", []),
    ],
)
def test_filters_choose_the_rows(
    ana: Browser, acme: Install, acme_endpoint: Endpoint, query: str, shown: list[str]
) -> None:
    make_link(install=acme, job_id="job_9", external_project_id="project-9")
    gone = make_contract(install=acme, opentrain_id="con_gone", status="ended", gone_at=NOON)
    make_finding(contract=gone, endpoint=acme_endpoint, consequence="access")
    make_contract(install=acme, opentrain_id="con_odd", status="SUSPENDED", job_id="job_9")
    make_contract(install=acme, opentrain_id="con_fine")
    page = ana.read(address(acme, query))
    assert re.findall(r'<code title="(con_\w+)"', page) == shown
    number = len(shown)
    assert (f"{number} contract{'s' * (number != 1)}" if number else "No matches") in words_of(page)


@pytest.mark.usefixtures("read")
def test_findings_above_the_list_have_exact_numbers(ana: Browser, acme: Install, acme_endpoint: Endpoint) -> None:
    for consequence in ("access", "access", "provision", ""):
        make_finding(contract=make_contract(install=acme), endpoint=acme_endpoint, consequence=consequence)
    text = words_of(ana.read(address(acme)))
    assert "All Any finding 4 May still have access 2 May have no access 1" in text


@pytest.mark.parametrize("why", ["scope", "not judged", "nothing to list"])
def test_no_number_is_shown_before_contracts_were_compared(
    ana: Browser, acme: Install, read: Reconciliation, why: str
) -> None:
    if why != "nothing to list":
        make_contract(install=acme)
        assert "May still have access 0" in words_of(ana.read(address(acme)))
    if why == "scope":
        Install.objects.filter(pk=acme.pk).update(token_scopes=["webhooks:manage"])
    if why == "not judged":
        Reconciliation.objects.filter(pk=read.pk).update(judged_at=None)
    assert "May still have access 0" not in words_of(ana.read(address(acme)))


@pytest.mark.usefixtures("read")
def test_findings_that_take_too_long_to_count_have_no_number(
    ana: Browser, acme: Install, acme_endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_slow(**_asked: Any) -> None:
        raise views.TooSlow

    make_finding(contract=make_contract(install=acme), endpoint=acme_endpoint, consequence="access")
    monkeypatch.setattr(views.contract_lists, "finding_counts", too_slow)
    text = words_of(ana.read(address(acme)))
    assert "Contracts All Any finding May still have access May have no access" in text


@pytest.mark.usefixtures("read")
def test_filter_of_an_endpoint_shows_only_what_it_took(ana: Browser, acme: Install, acme_endpoint: Endpoint) -> None:
    other = make_endpoint(install=acme)
    contract = make_contract(install=acme, status="ended")
    make_finding(contract=contract, endpoint=acme_endpoint, kind="failed")
    make_finding(contract=contract, endpoint=other, kind="missing", consequence="access")
    table = ana.read(address(acme, what="-live"))
    assert "Missing" in words_of(table)
    narrowed = ana.read(address(acme, f"endpoint={acme_endpoint.pk}", what="-live"))
    assert "Failed" in words_of(narrowed)
    assert "Missing" not in words_of(narrowed)
    assert "May still have access 0" in words_of(narrowed)


def test_filter_that_makes_no_sense_is_said_and_left_out(ana: Browser, acme: Install, outsider: User) -> None:
    theirs = make_endpoint(install=outsider.grants.get().install, handler_url="https://theirs.example.com/hook")
    one = make_contract(install=acme)
    page = ana.read(address(acme, f"finding=lost&endpoint={theirs.pk}&status=%00active"))
    assert rows_of(page) == [one.pk]
    assert "“lost” is not a finding: use any, access, provision, " in words_of(page)
    assert f"This install has no endpoint with the number {theirs.pk}." in words_of(page)
    assert "theirs.example.com" not in page


@pytest.mark.parametrize(
    ("name", "value"),
    [("q", "con_1"), ("finding", "access"), ("event", "contract.ended"), ("endpoint", ""), ("status", "SUSPENDED")],
)
def test_every_filter_has_a_field_that_keeps_what_was_asked_for(
    ana: Browser, acme: Install, acme_endpoint: Endpoint, name: str, value: str
) -> None:
    value = value or str(acme_endpoint.pk)
    page = ana.read(address(acme, f"{name}={value}"))
    kept = rf'name="{name}"[^>]*value="{value}"|<option value="{value}" selected>'
    assert re.search(kept, page)
    assert f'aria-label="Remove the filter {_LABELS[name]}: ' in page


@pytest.mark.parametrize(("query", "hidden"), [("", set()), ("lost=run-7", {"lost"})])
def test_fields_of_the_page_are_the_filters_that_are_read(
    ana: Browser, acme: Install, query: str, hidden: set[str]
) -> None:
    """The filter of a run or a window has no field of its own: links lead to it, and a field keeps it."""
    form = ana.read(address(acme, query)).partition('aria-label="Filter"')[2].partition("</form>")[0]
    assert set(re.findall(r'<(?:input|select)[^>]* name="(\w+)"', form)) == set(_READERS) - {"lost"} | hidden
    assert list(_LABELS) == list(_READERS)


def test_pages_go_both_ways_and_show_every_row_once(
    ana: Browser, acme: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "PAGE", 10)
    made = [make_contract(install=acme, created_at=NOON + timedelta(seconds=n // 3)).pk for n in range(35)]
    make_contract(install=acme, status="ended")
    shown: list[int] = []
    pages: list[list[int]] = []
    query: str | None = "status=active"
    while query is not None:
        page = ana.read(address(acme, query))
        shown, pages = shown + rows_of(page), [*pages, rows_of(page)]
        assert ("data-poll" in page) == (len(pages) == 1)
        query = link_of(page, "next")
        make_contract(install=acme, created_at=NOON + timedelta(hours=1))
    assert shown == made[::-1]
    assert rows_of(ana.read(address(acme, link_of(page, "prev") or ""))) == pages[-2]


def link_of(page: str, rel: str) -> str | None:
    found = re.search(rf'rel="{rel}" href="[^"?]*\?([^"]*)"', page)
    return found[1].replace("&amp;", "&") if found else None


def test_two_hundred_and_one_contracts_are_all_listed_and_counted(ana: Browser, acme: Install) -> None:
    made = {make_contract(install=acme).pk for _ in range(201)}
    page = ana.read(address(acme))
    assert "201 contracts" in words_of(page)
    shown = rows_of(page)
    while query := link_of(page, "next"):
        page = ana.read(address(acme, query))
        shown += rows_of(page)
    assert (len(shown), set(shown)) == (201, made)


def test_titles_and_ids_from_outside_are_text(ana: Browser, acme: Install, acme_endpoint: Endpoint) -> None:
    make_link(install=acme, opentrain_id=HOSTILE, job_id=HOSTILE, external_project_id=HOSTILE,
              external_project_name=HOSTILE)  # fmt: skip
    contract = make_contract(
        install=acme, opentrain_id=HOSTILE, title=HOSTILE, job_id=HOSTILE, status="<b>odd</b>", link_ids=[HOSTILE],
        budget_state="<i>FROZEN</i>",
    )  # fmt: skip
    make_finding(contract=contract, endpoint=acme_endpoint)
    for query in ("", "q=" + "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E%22'"):
        page = ana.read(address(acme, query))
        assert rows_of(page) == [contract.pk]
        assert not re.search(r"<(img|b>|i>)", page)


def test_contract_of_which_nothing_is_said_is_listed(ana: Browser, acme: Install) -> None:
    contract = make_contract(
        install=acme, status="", job_id="", title="", start_date=None, end_date=None, created_at=None,
        active_seen_at=None,
    )  # fmt: skip
    page = ana.read(address(acme))
    assert rows_of(page) == [contract.pk]
    assert "Untitled" in words_of(page)
    assert "Not said" in words_of(page)


@pytest.mark.parametrize(
    ("scopes", "columns", "is_linked", "heading", "sentence"),
    [
        (["webhooks:manage"], None, False, "Not known", "this token lacks contracts:read and project-links:read."),
        (SCOPES, None, False, "Not read yet", "Redeliver has not read this install's contracts yet. The read is due"),
        (SCOPES, {"links_read_at": NOON, "contracts_read_at": NOON}, False, "No project is linked", "Link a project"),
        (SCOPES, {"links_read_at": NOON, "contracts_read_at": NOON}, True, "No contracts", "after someone is hired"),
    ],
)
def test_empty_list_says_what_to_do_next(
    ana: Browser, acme: Install, scopes: list[str], columns: dict[str, Any] | None, is_linked: bool, heading: str,
    sentence: str,
) -> None:  # fmt: skip
    Install.objects.filter(pk=acme.pk).update(token_scopes=scopes)
    if columns is not None:
        Reconciliation.objects.create(install=acme, **columns)
    if is_linked:
        make_link(install=acme)
    text = words_of(ana.read(address(acme)))
    assert heading in text
    assert sentence in text


def test_missing_scope_leads_partner_admins_to_a_new_token_and_viewers_to_nothing(
    partner_admin: User, viewer: User, acme: Install
) -> None:
    link = f'href="{reverse("install-connect")}?install={acme.pk}"'
    assert link in browser_of(partner_admin).read(address(acme))
    assert link not in browser_of(viewer).read(address(acme))


def test_what_the_last_read_could_not_tell_is_above_the_list(ana: Browser, acme: Install, read: Reconciliation) -> None:
    make_contract(install=acme)
    quiet = words_of(ana.read(address(acme)))
    assert "The last read failed" not in quiet
    assert "Last read from OpenTrain" in quiet
    read.error, read.out_of_reach = "OpenTrain did not answer.", "OpenTrain lists 200 ended contracts at most."
    read.save()
    text = words_of(ana.read(address(acme)))
    assert "The last read failed: OpenTrain did not answer. What is shown is from" in text
    assert "OpenTrain lists 200 ended contracts at most." in text


@pytest.mark.parametrize(
    ("columns", "goes_on"),
    [
        ({"token_scopes": ["contracts:read", "project-links:read"]}, True),
        ({"token_scopes": ["webhooks:manage"]}, False),
        ({"token_scopes": ["contracts:read", "project-links:read"], "disconnected_at": NOON}, False),
    ],
    ids=["with the scope", "without", "disconnected"],
)
def test_next_read_is_announced_only_where_there_is_one(
    ana: Browser, acme: Install, columns: dict[str, Any], goes_on: bool
) -> None:
    Install.objects.filter(pk=acme.pk).update(**columns)
    assert ("The next read is due." in words_of(ana.read(address(acme)))) == goes_on


def test_other_install_of_the_same_organization_is_named_to_those_who_may_see_it(
    ana: Browser, partner_admin: User, acme: Install
) -> None:
    other = make_install(name="<b>Acme again", organization_id=acme.organization_id, app_id=acme.app_id)
    make_install(name="Another app", organization_id=acme.organization_id, app_id="app_2")
    page = ana.read(address(acme))
    assert f'<a href="{address(other)}"><bdi>&lt;b&gt;Acme again</bdi></a>' in page
    assert "is also connected with the same app as" in words_of(page)
    assert "Another app" not in page
    assert "also connected" not in browser_of(partner_admin).read(address(acme))


def test_many_endpoints_are_not_all_judged_and_the_page_says_so(
    ana: Browser, acme: Install, acme_endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "ENDPOINTS_MOST", 2)
    contract = make_contract(install=acme, status="ended")
    for _ in range(3):
        make_endpoint(install=acme)
    make_finding(contract=contract, endpoint=acme_endpoint, consequence="access")
    text = words_of(ana.read(address(acme)))
    assert "Rows show 2 of this install&#x27;s 4 endpoints: those with findings of these contracts first." in text
    assert "Missing" in words_of(ana.read(address(acme, what="-live")))
    assert "Rows show" not in ana.read(address(acme, f"endpoint={acme_endpoint.pk}"))


def test_queries_do_not_grow_with_the_rows(ana: Browser, acme: Install) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            ana.read(address(acme))
        return len(captured)

    def add(count: int) -> None:
        for number in range(count):
            job = f"job_{number}"
            make_link(install=acme, job_id=job)
            contract = make_contract(install=acme, job_id=job)
            make_finding(contract=contract, endpoint=make_endpoint(install=acme))

    add(2)
    few = queries()
    add(20)
    assert queries() == few
