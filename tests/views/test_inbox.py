"""The first page after sign-in: what needs attention, worst first."""

import re
from datetime import datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from dashboard.models import Endpoint, EndpointSnapshot, Install, User
from dashboard.models.installs import RANK_OF_TROUBLE
from dashboard.rules.installs import Trouble
from tests.factories import (
    make_alert,
    make_attempt,
    make_contract,
    make_delivery,
    make_endpoint,
    make_failed_delivery,
    make_finding,
    make_install,
    make_reconciliation,
)
from tests.views.conftest import Browser, browser_of
from tests.views.test_endpoints import words_of

INBOX = reverse("home")
LIST = reverse("install-list")
HOSTILE = "<img src=x onerror=alert(1)>\"'"
MINUTE = timedelta(minutes=1)


def needs(page: str) -> list[str]:
    """Return the page's items in order: the text of each, with single spaces."""
    items = re.findall(r'<li id="(?:install-)?need-.*?</li>', page.replace("<wbr>", ""), re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", item).split()) for item in items]


def fail_one(endpoint: Endpoint, *, at: datetime, **columns) -> None:
    delivery = make_failed_delivery(endpoint=endpoint, first_received_at=at, last_attempt_at=at, **columns)
    make_attempt(delivery=delivery, ok=False, cause="status", answered_status=503, received_at=at)


COUNT = reverse("inbox-count-live")


def title_of(page: str) -> str:
    return re.search(r"<title>(.*?)</title>", page)[1]


def test_count_is_that_of_the_headline_in_the_title_and_in_the_navigation(ana: Browser) -> None:
    make_endpoint()
    assert title_of(ana.read(INBOX)) == "Inbox · Redeliver"
    assert ana.read(COUNT).strip() == ""
    make_endpoint(status="DISABLED", consecutive_failures=10)
    assert ana.read(COUNT).strip().endswith('<span class="visually-hidden"> 1 needs attention</span>')
    make_endpoint(install=make_install(rank=RANK_OF_TROUBLE, last_error="Refused.", last_error_code="token_refused"))
    make_finding(contract=make_contract(), consequence="access")
    page = ana.read(INBOX)
    assert "1 contract, 1 endpoint and 1 install need attention" in page
    assert title_of(page) == "(3) Inbox · Redeliver"
    said = (
        '<span data-inbox-count="3" aria-hidden="true">3</span><span class="visually-hidden"> 3 need attention</span>'
    )
    assert page.count(said) == 2  # in the navigation, and for the script in the part that is polled
    assert ana.read(COUNT).strip() == said
    assert said in ana.read(reverse("inbox-live"))


def test_count_is_of_what_the_user_may_see(viewer: User, outsider: User, acme: Install) -> None:
    make_endpoint(install=acme, status="DISABLED", consecutive_failures=10)
    assert "1 needs attention" in browser_of(viewer).read(COUNT)
    assert browser_of(outsider).read(COUNT).strip() == ""


def test_other_pages_ask_for_the_count_afterwards_and_read_nothing_for_it(ana: Browser) -> None:
    make_endpoint(status="DISABLED", consecutive_failures=10)
    page = ana.read(LIST)
    assert f'<span id="inbox-count" class="bar-count" data-from="{COUNT}"></span>' in page
    assert "data-inbox-count" not in page


def test_count_costs_three_queries_however_much_there_is(ana: Browser, django_assert_max_num_queries) -> None:
    for _ in range(5):
        make_endpoint(status="DISABLED", consecutive_failures=10)
        make_finding(contract=make_contract(), consequence="access")
    with django_assert_max_num_queries(5):  # two of them load the session and the user
        assert "10 need attention" in ana.read(COUNT)


def test_inbox_without_installs_asks_for_a_token(ana: Browser) -> None:
    assert "No installs yet" in ana.read(INBOX)


@pytest.mark.usefixtures("_worker")
def test_inbox_where_nothing_is_wrong_says_so_with_the_numbers(ana: Browser) -> None:
    now = timezone.now()
    scopes = ["webhooks:manage", "contracts:read", "project-links:read"]
    install = make_install(checked_at=now, token_scopes=scopes)
    make_reconciliation(install=install, contracts_read_at=now, links_read_at=now, judged_at=now)
    for _ in range(3):
        make_endpoint(install=install)
    page = ana.read(INBOX)
    assert "<h1>All clear</h1>" in page
    assert "All 3 endpoints are healthy." in page
    assert "No contract&#x27;s event is known to be missing." in page
    assert "No problem" not in page  # its records begin somewhere, and do not hold everything
    assert needs(page) == []


@pytest.mark.usefixtures("_worker")
def test_inbox_reassures_nobody_while_events_of_a_time_may_be_missing(ana: Browser) -> None:
    now = timezone.now()
    install = make_install(checked_at=now, token_scopes=["webhooks:manage", "contracts:read", "project-links:read"])
    make_reconciliation(install=install, contracts_read_at=now, links_read_at=now, judged_at=now)
    at = now - timedelta(hours=1)
    endpoint = make_endpoint(install=install, event_types=["milestone.funded"], stopped_seen_at=at)
    sibling = make_endpoint(install=install, event_types=["milestone.funded"])
    make_delivery(endpoint=sibling, event_type="milestone.funded", first_received_at=at + 2 * MINUTE)
    for minutes, status in ((-5, "ACTIVE"), (0, "DISABLED"), (2, "ACTIVE")):
        EndpointSnapshot.objects.create(endpoint=endpoint, at=at + minutes * MINUTE, status=status)
    for page in (ana.read(INBOX), ana.read(reverse("inbox-live"))):
        assert "<h1>All clear, as far as is known</h1>" in page
        assert re.search(r"All 2 endpoints are healthy\.</strong>\s+Events of 1 endpoint may be missing, from", page)
        assert "inbox-fine tone-idle" in page
        [item] = re.findall(rf'<li id="missing-{endpoint.pk}".*?</li>\s+</ul>\s+<p>It is not', page, re.DOTALL)
        assert "may be missing here.</strong> It was paused then." in item
        assert "1 milestone.funded" in item
    Endpoint.objects.update(status="DISABLED", consecutive_failures=10, disabled_at=at)
    page = ana.read(INBOX)
    assert f'id="missing-{endpoint.pk}"' not in page
    assert "may be missing here." in needs(page)[0]


@pytest.mark.usefixtures("_worker")
def test_inbox_where_nothing_is_wrong_tells_of_the_last_repair(ana: Browser) -> None:
    now = timezone.now()
    endpoint = make_endpoint(install=make_install(name="Acme Labs", checked_at=now))
    for days, failures in ((5, 0), (4, 8), (2, 0), (1, 0)):
        at = now - timedelta(days=days)
        EndpointSnapshot.objects.create(endpoint=endpoint, at=at, status="ACTIVE", consecutive_failures=failures)
    page = ana.read(INBOX)
    assert "The endpoint is healthy." in page
    assert re.search(r"<bdi>Acme Labs</bdi></a>, resolved <time [^>]*>2 days ago</time>", page)


@pytest.mark.usefixtures("_worker")
def test_pause_of_a_failing_endpoint_is_no_problem_that_was_resolved(ana: Browser) -> None:
    now = timezone.now()
    endpoint = make_endpoint(install=make_install(name="Acme Labs", checked_at=now), status="DISABLED")
    rows = ((3, "ACTIVE", 8), (2, "DISABLED", 8))
    for hours, status, failures in rows:
        at = now - timedelta(hours=hours)
        EndpointSnapshot.objects.create(endpoint=endpoint, at=at, status=status, consecutive_failures=failures)
    opened, cleared = now - timedelta(hours=3), now - timedelta(hours=2)
    make_alert(endpoint=endpoint, kind="at_risk", opened_at=opened, cleared_at=cleared)
    assert "Last problem" not in ana.read(INBOX)
    Endpoint.objects.update(status="ACTIVE", consecutive_failures=0)
    EndpointSnapshot.objects.create(endpoint=endpoint, at=now - 5 * MINUTE, status="ACTIVE")
    assert re.search(r"<bdi>Acme Labs</bdi></a>, resolved <time [^>]*>5 min ago</time>", ana.read(INBOX))


@pytest.mark.usefixtures("_worker")
@pytest.mark.parametrize("stored", ["deleted", "not_known", ""])
def test_alert_of_which_nothing_is_known_any_more_is_no_problem_that_was_resolved(ana: Browser, stored: str) -> None:
    now = timezone.now()
    endpoint = make_endpoint(install=make_install(checked_at=now))
    make_alert(endpoint=endpoint, opened_at=now - 3 * MINUTE, cleared_at=now - MINUTE, ended_as=stored)
    assert "Last problem" not in ana.read(INBOX)


@pytest.mark.usefixtures("_worker")
def test_inbox_calls_nothing_healthy_that_was_not_read_lately(ana: Browser) -> None:
    """The worker is alive, but its polls stand still."""
    now = timezone.now()
    make_endpoint(install=make_install(checked_at=now - 2 * MINUTE))
    assert "The endpoint is healthy." in ana.read(INBOX)
    Install.objects.update(checked_at=now - 4 * MINUTE)
    page = ana.read(INBOX)
    assert "<h1>All clear, as far as is known</h1>" in page
    assert "The status of 1 endpoint is unknown." in page
    assert "healthy." not in page


@pytest.mark.usefixtures("_worker")
def test_fleet_says_nothing_of_an_install_that_the_headline_calls_unknown(ana: Browser) -> None:
    make_endpoint(install=make_install(last_error="No answer.", last_error_code=Trouble.UNREACHABLE, failures=1))
    fleet = words_of(ana.read(INBOX)).partition("Last checked")[2]
    assert "not known" in fleet
    assert "active" not in fleet
    assert "1 last seen" in words_of(ana.read(LIST))


@pytest.mark.usefixtures("_worker")
def test_inbox_lists_what_only_an_alert_knows_and_is_not_all_clear(ana: Browser) -> None:
    """OpenTrain counts no failure yet, and a refused request is no failed delivery."""
    endpoint = make_endpoint(install=make_install(name="Acme Labs", checked_at=timezone.now()))
    words = "Redeliver refused 3 requests in 15 minutes, the first at 09:58 UTC: The signature does not match."
    make_alert(endpoint=endpoint, kind="signatures", words=words, opened_at=timezone.now())
    page = ana.read(INBOX)
    assert "<h1>1 endpoint needs attention</h1>" in page
    assert "healthy" not in needs(page)[0]
    (need,) = needs(page)
    assert need.startswith("Signatures refused since")
    assert words in need
    assert "0 endpoints healthy" in page


def test_inbox_shows_the_words_of_every_open_alert_of_an_endpoint(ana: Browser) -> None:
    endpoint = make_endpoint(consecutive_failures=8)
    for kind in ("signatures", "overdue", "at_risk"):
        make_alert(endpoint=endpoint, kind=kind, words=f"Words of {kind}.", opened_at=timezone.now())
    (need,) = needs(ana.read(INBOX))
    assert need.startswith("At risk")
    assert "Words of signatures. Words of overdue." in need
    assert "Words of at_risk." not in need  # the row says it itself, and sooner


@pytest.mark.usefixtures("_worker")
def test_inbox_is_not_all_clear_while_an_alert_is_open_that_it_lists_nowhere(ana: Browser, partner_admin: User) -> None:
    """The install works again, and the watch has not closed its alert yet."""
    install = make_install(name="Other Data", checked_at=timezone.now())
    make_alert(install=install, kind="no_access", opened_at=timezone.now())
    page = ana.read(INBOX)
    assert "<h1>1 open alert</h1>" in page
    assert "1 alert is still open." in page
    assert needs(page) == []
    assert "<h1>All clear</h1>" in browser_of(partner_admin).read(INBOX)


@pytest.mark.usefixtures("_worker")
def test_inbox_tells_of_the_alert_that_was_resolved_last(ana: Browser) -> None:
    endpoint = make_endpoint(install=make_install(name="Acme Labs"))
    opened, cleared = timezone.now() - timedelta(hours=3), timezone.now() - timedelta(hours=2)
    make_alert(endpoint=endpoint, kind="signatures", opened_at=opened, cleared_at=cleared)
    assert re.search(r"<bdi>Acme Labs</bdi></a>, resolved <time [^>]*>2 h ago</time>", ana.read(INBOX))


def test_inbox_without_a_worker_reassures_nobody(ana: Browser) -> None:
    make_endpoint(install=make_install(checked_at=timezone.now()))
    page = ana.read(INBOX)
    assert "<h1>All clear, as far as is known</h1>" in page
    assert "the background worker is not running" in page
    assert "The endpoint is healthy." not in page


@pytest.mark.usefixtures("_worker")
def test_inbox_where_nothing_is_known_claims_nothing(ana: Browser) -> None:
    install = make_install(last_error="No answer.", last_error_code=Trouble.UNREACHABLE, failures=1)
    make_endpoint(install=install)
    page = ana.read(INBOX)
    assert "— endpoints healthy" in page
    assert "The status of 1 endpoint is unknown." in page
    assert "OpenTrain didn't respond for 1 install" in page
    assert "are healthy" not in page


def test_inbox_shows_a_partner_admin_their_installs_alone(partner_admin: User, acme: Install) -> None:
    make_endpoint(install=acme, consecutive_failures=8, handler_url="https://acme.example.com/")
    other = make_install(name="Other Data", last_error="refused", last_error_code=Trouble.TOKEN_REFUSED)
    make_endpoint(install=other, consecutive_failures=8, handler_url="https://other.example.com/")
    for path in (INBOX, reverse("inbox-live"), LIST):
        page = browser_of(partner_admin).read(path)
        assert "Acme Labs" in page
        assert "other" not in page.lower().replace("others", "").replace("another", "")


def test_inbox_says_how_many_it_does_not_show(ana: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.views.inbox.SHOWN", 2)
    for _ in range(3):
        make_endpoint(consecutive_failures=8)
    page = ana.read(INBOX)
    assert len(needs(page)) == 2
    assert "Showing the worst 2 of 3." in page


def test_inbox_counts_installs_among_what_it_does_not_show(ana: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.views.inbox.SHOWN", 2)
    make_install(last_error_code=Trouble.TOKEN_REFUSED)
    for failures in (0, 8, 8):
        make_endpoint(consecutive_failures=failures)
    page = ana.read(INBOX)
    assert [item.split(" since")[0].split(" 8 of")[0] for item in needs(page)] == ["At risk", "At risk"]
    assert "Showing the worst 2 of 3." in page


def test_inbox_shows_hostile_words_and_does_not_obey_them(ana: Browser) -> None:
    install = make_install(name=HOSTILE, last_error=HOSTILE, last_error_code=Trouble.TOKEN_REFUSED)
    endpoint = make_endpoint(
        install=install, url=HOSTILE, handler_url=HOSTILE, status=HOSTILE[:50], disabled_reason=HOSTILE
    )
    fail_one(endpoint, at=timezone.now(), last_cause=HOSTILE[:30])
    page = ana.read(INBOX)
    assert "<img" not in page
    assert page.count("&lt;img src=x") >= 4


def test_inbox_asks_the_database_no_more_for_more(ana: Browser, django_assert_max_num_queries) -> None:
    now = timezone.now()
    for number in range(12):
        install = make_install(**({"last_error_code": Trouble.TOKEN_REFUSED} if number % 2 else {}))
        fail_one(make_endpoint(install=install, consecutive_failures=number), at=now)
    with django_assert_max_num_queries(13):  # two load the session and the user, two the fleet's figures
        ana.read(INBOX)


def test_inbox_live_part_is_only_the_part_and_304_when_nothing_changed(ana: Browser) -> None:
    endpoint = make_endpoint(consecutive_failures=8)
    live = reverse("inbox-live")
    first = ana.client.get(live)
    assert "<html" not in first.content.decode()
    again = ana.client.get(live, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    Endpoint.objects.filter(pk=endpoint.pk).update(consecutive_failures=9)
    changed = ana.client.get(live, headers={"If-None-Match": first["ETag"]})
    assert "9 of 10" in changed.content.decode()


def test_inbox_where_everything_is_unknown_shows_no_sign_that_all_is_well(ana: Browser) -> None:
    make_endpoint(install=make_install(last_error="No answer.", last_error_code=Trouble.UNREACHABLE, failures=1))
    page = ana.read(INBOX)
    assert "<h1>All clear, as far as is known</h1>" in page
    assert "#circle-check" not in page
    assert "as of —" not in page
    assert "no response since" in page


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["Gamma", "Alpha"]),
        ("?sort=name", ["Alpha", "Beta"]),
        ("?sort=-name", ["Gamma", "Beta"]),
        ("?sort=checked", ["Beta", "Gamma"]),
        ("?q=BET", ["Beta"]),
        ("?q=a&sort=name&page=2&show=unheard", ["Alpha", "Beta"]),
    ],
)
def test_inbox_searches_and_sorts_the_installs_beside_it(
    query: str, names: list[str], ana: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.views.inbox.FLEET", 2)
    now = timezone.now()
    for minutes, name in ((1, "Alpha"), (3, "Beta"), (2, "Gamma")):
        install = make_install(name=name, checked_at=now - minutes * MINUTE)
        make_endpoint(install=install, consecutive_failures=8 if name == "Gamma" else 0)
    for path in (INBOX, reverse("inbox-live")):
        page = ana.read(path + query)
        assert re.findall(r'<tr id="fleet-.*?<bdi>(\w+)', page, re.DOTALL) == names
        assert '<h2><a class="url"' in page  # endpoints that need attention stay, whatever the search


def test_inbox_keeps_what_its_installs_were_asked_for(ana: Browser) -> None:
    for name in ("Alpha", "Beta"):
        make_install(name=name)
    page = ana.read(f"{INBOX}?q=alp&sort=name")
    assert 'hx-get="/inbox/live/?q=alp&amp;sort=name"' in page
    assert '<a href="/?q=alp&amp;sort=-name#fleet">Install ↑</a>' in page
    assert '<a class="btn" href="/installs/?q=alp&amp;sort=name">' in page
    assert 'action="/#fleet"' in page
    page = ana.read(f"{INBOX}?q=nosuch")
    assert "No installs match “nosuch”." in page
    assert '<a href="/#fleet">Show all 2</a>' in page


def test_healthy_inbox_shows_the_figures_of_endpoints_last_active_first(ana: Browser) -> None:
    """It was an empty page."""
    now = timezone.now()
    install = make_install()
    quiet, busy = make_endpoint(install=install), make_endpoint(install=install)
    direct = make_endpoint(install=install, receiver_key=None)
    make_delivery(endpoint=busy, first_received_at=now, last_attempt_at=now, last_latency_ms=40)
    page = ana.read(INBOX)
    rows = re.findall(r'<tr id="lately-(\d+)">(.*?)</tr>', page, re.DOTALL)
    assert [int(pk) for pk, _ in rows] == [busy.pk, *sorted((quiet.pk, direct.pk))]
    said = {int(pk): words_of(row) for pk, row in rows}
    assert "100%" in said[busy.pk]
    assert "40 ms · 40 ms" in said[busy.pk]
    assert "— No delivery was attempted in the last 24 hours." in said[quiet.pk]
    assert "— Not known: its deliveries don" in said[direct.pk]
    assert "the handler took with a 2xx in time" in words_of(page)


def test_inbox_that_needs_attention_shows_no_figures_of_healthy_endpoints(ana: Browser) -> None:
    make_endpoint(consecutive_failures=8)
    assert 'id="lately-' not in ana.read(INBOX)


def test_fleet_beside_the_inbox_shows_the_last_24_hours_of_each_install(ana: Browser) -> None:
    now = timezone.now()
    endpoint = make_endpoint()
    for ok in (True, True, False):
        make_delivery(endpoint=endpoint, first_received_at=now, last_attempt_at=now, last_ok=ok)
    nothing = make_install()
    page = ana.read(INBOX)
    cells = dict(re.findall(r'<tr id="fleet-(\d+)".*?data-label="Last 24 h">(.*?)</td>', page, re.DOTALL))
    assert "66%" in words_of(cells[str(endpoint.install_id)])
    assert (
        'aria-label="Attempts per hour, last 24 hours: at most 3; failures in 1 hour"'
        in cells[str(endpoint.install_id)]
    )
    assert words_of(cells[str(nothing.pk)]).split() == ["—", "It", "has", "no", "endpoints."]
