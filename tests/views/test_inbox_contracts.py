"""The inbox by consequence: people who may still have access, before everything else."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from dashboard.models import Endpoint, Finding, Install, User
from dashboard.rules.reconciliation import Consequence, Event, Kind, Reason
from tests.factories import make_contract, make_endpoint, make_finding, make_install, make_reconciliation
from tests.views.conftest import Browser, browser_of

INBOX, LIVE = reverse("home"), reverse("inbox-live")
HOSTILE = "<img src=x onerror=alert(1)>\"'"
HOUR = timedelta(hours=1)


@pytest.fixture
def endpoint(db: None) -> Endpoint:
    return make_endpoint(install=make_install(name="Acme Labs"))


def lacks(endpoint: Endpoint, **columns: Any) -> Finding:
    defaults = {"consequence": Consequence.ACCESS, "reason": Reason.UNPROVEN, "happened_at": timezone.now() - 5 * HOUR}
    return make_finding(contract=make_contract(install=endpoint.install), endpoint=endpoint, **defaults | columns)


def rows(page: str) -> list[str]:
    """Return what contracts need, in order: the text of each, with single spaces."""
    items = re.findall(r'<li id="contracts-.*?</li>', page, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", item).split()) for item in items]


def test_inbox_names_the_people_who_may_still_have_access_first(ana: Browser, endpoint: Endpoint) -> None:
    Endpoint.objects.filter(pk=endpoint.pk).update(consecutive_failures=8)
    lacks(endpoint)
    lacks(endpoint, happened_at=timezone.now() - timedelta(days=3))
    page = ana.read(INBOX)
    assert "<h1>2 contracts and 1 endpoint need attention</h1>" in page
    assert rows(page) == [
        (
            "May have access 2 people may still have access to Acme Labs: their contracts ended 5 h and 3 days "
            "ago, and the "
            "handler never took contract.ended. Open contracts"
        )
    ]
    assert f'href="/installs/{endpoint.install_id}/contracts/?finding=access"' in page
    assert page.index("may still have access") < page.index(f'<li id="need-{endpoint.pk}"')
    assert "All clear" not in page


@pytest.mark.usefixtures("_worker")
def test_inbox_is_not_all_clear_while_only_a_contract_needs_attention(ana: Browser, endpoint: Endpoint) -> None:
    lacks(endpoint, event_type=Event.STARTED, consequence=Consequence.PROVISION)
    for path in (INBOX, LIVE):
        page = ana.read(path)
        assert "<h1>1 contract needs attention</h1>" in page
        assert "is healthy." not in page
        assert "was never provisioned" in rows(page)[0]


@pytest.mark.usefixtures("_worker")
def test_inbox_says_quietly_what_may_still_come(ana: Browser, endpoint: Endpoint) -> None:
    until = timezone.now() + HOUR
    make_reconciliation(install=endpoint.install, contracts_read_at=timezone.now(), judged_at=timezone.now())
    lacks(endpoint, kind=Kind.NOT_SEEN_YET, reason="", until=until)
    page = ana.read(INBOX)
    assert "<h1>All clear, as far as is known</h1>" in page
    assert rows(page)[0].startswith("Not seen yet 1 contract.ended of Acme Labs not seen yet; it may come until ")
    assert "1 event still to come." in page
    assert "#circle-check" not in page


@pytest.mark.usefixtures("_worker")
def test_inbox_does_not_reassure_where_contracts_were_never_read(ana: Browser, endpoint: Endpoint) -> None:
    scopes = ["webhooks:manage", "contracts:read", "project-links:read"]
    Install.objects.filter(pk=endpoint.install_id).update(token_scopes=scopes, checked_at=timezone.now())
    page = ana.read(INBOX)
    assert "<h1>All clear, as far as is known</h1>" in page
    assert "The endpoint is healthy." in page
    assert "Whether events of contracts are missing is not known: its contracts have not been read yet." in page
    assert "#circle-check" not in page


def test_inbox_shows_partner_admins_their_contracts_alone(
    partner_admin: User, acme: Install, endpoint: Endpoint
) -> None:
    lacks(make_endpoint(install=make_install(name="Other Data")))
    lacks(make_endpoint(install=acme))
    page = browser_of(partner_admin).read(INBOX)
    assert "1 person may still have access to Acme Labs" in page
    assert "Other Data" not in page


def test_inbox_escapes_the_names_of_installs_in_its_sentences(ana: Browser) -> None:
    lacks(make_endpoint(install=make_install(name=HOSTILE)))
    page = ana.read(INBOX)
    assert "<img" not in page
    assert "access to &lt;img src=x" in page


def test_inbox_says_how_many_needs_of_contracts_it_does_not_show(ana: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.views.inbox.SHOWN", 1)
    for _ in range(3):
        lacks(make_endpoint())
    page = ana.read(INBOX)
    assert len(rows(page)) == 1
    assert "<h1>3 contracts need attention</h1>" in page
    assert "2 more are not shown." in page


@pytest.mark.usefixtures("_worker")
def test_inbox_asks_the_database_no_more_for_more_contracts(ana: Browser, django_assert_max_num_queries) -> None:
    for _ in range(5):
        endpoint = make_endpoint()
        for _ in range(3):
            lacks(endpoint)
            lacks(endpoint, kind=Kind.NOT_SEEN_YET, reason="")
    with django_assert_max_num_queries(11):  # two load the session and the user, two the fleet's figures
        ana.read(INBOX)


@pytest.mark.usefixtures("_worker")
def test_inbox_that_is_all_clear_asks_for_contracts_with_five_queries(
    ana: Browser, endpoint: Endpoint, django_assert_max_num_queries
) -> None:
    make_reconciliation(install=endpoint.install, contracts_read_at=timezone.now(), judged_at=timezone.now())
    with django_assert_max_num_queries(21):
        ana.read(INBOX)


def test_each_link_of_the_inbox_lists_as_many_contracts_as_it_counts(ana: Browser, endpoint: Endpoint) -> None:
    make_reconciliation(install=endpoint.install)
    started = {"event_type": Event.STARTED, "consequence": Consequence.PROVISION}
    for columns, count in (
        ({}, 3),
        ({"kind": Kind.OUT_OF_ORDER, "reason": ""}, 2),
        (started, 4),
        ({"kind": Kind.NOT_SEEN_YET, "reason": ""}, 5),
        ({"kind": Kind.NOT_SEEN_YET, "reason": ""} | started, 1),
        ({"kind": Kind.RETRYING, "reason": ""}, 2),
        ({"kind": Kind.MISSING, "consequence": ""}, 1),
    ):
        for _ in range(count):
            lacks(endpoint, **columns)
    page = ana.read(INBOX)
    links = re.findall(r'<li id="contracts-([a-z_]+)-.*?<a class="btn[^>]*href="([^"]+)"', page, re.DOTALL)
    listed = {kind: ana.read(url.replace("&amp;", "&")).count('<tr id="contract-') for kind, url in links}
    assert listed == {"access": 3, "out_of_order": 2, "provision": 4, "not_seen_yet": 5, "retrying": 2}
