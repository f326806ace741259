"""The list of installs, connecting an install, and an install's page with its endpoints."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from dashboard.db.statement_timeout import TooSlow
from dashboard.models import Endpoint, Install, Reconciliation, User
from dashboard.presenters.install_page import SHOWN
from dashboard.queries import contract_lists
from dashboard.services.opentrain import Reason, Unavailable
from dashboard.views import installs
from tests.contract.fake import FakeOpenTrain
from tests.factories import (
    NOON,
    make_contract,
    make_delivery,
    make_endpoint,
    make_endpoints,
    make_entry,
    make_finding,
    make_install,
    make_run,
)
from tests.refreshes import run_queued
from tests.views.conftest import Browser, browser_of, stop_clock
from tests.views.test_endpoints import words_of
from tests.views.test_probes import _worker  # noqa: F401 - a fixture

LIST = reverse("install-list")
CONNECT = reverse("install-connect")
HOSTILE = "<img src=x onerror=alert(1)>\"'"
ESCAPED = "&lt;img src=x onerror=alert(1)&gt;&quot;&#x27;"


def page_of(install: Install) -> str:
    return reverse("install-detail", args=[install.pk])


def test_list_without_installs_explains_what_one_is_and_asks_for_its_token(ana: Browser) -> None:
    page = ana.read(LIST)
    assert "No installs yet" in page
    assert "OpenTrain shows it once, on the consent screen" in page
    assert 'type="password" name="token"' in page


def test_list_shows_those_that_need_somebody_first(ana: Browser) -> None:
    fine = make_install(name="A is fine")
    make_endpoint(install=fine)
    broken = make_install(name="B is broken")
    make_endpoint(install=broken, status="DISABLED", consecutive_failures=10)
    make_endpoint(install=broken, consecutive_failures=8)
    page = ana.read(LIST)
    assert page.index("B is broken") < page.index("A is fine")
    assert page.index("Disabled") < page.index("At risk") < page.index("Active")


def test_list_says_what_a_token_lacks_and_what_opentrain_refused(ana: Browser) -> None:
    make_install(name="Gamma", token_scopes=["contracts:read"])
    make_install(name="Delta", last_error="OpenTrain refused: “revoked”.", last_error_at=timezone.now())
    page = ana.read(LIST)
    assert "This token lacks <code>webhooks:manage</code>" in page
    assert "OpenTrain refused: “revoked”." in page


def test_search_finds_by_a_part_of_the_name(ana: Browser) -> None:
    make_install(name="Acme Labs")
    make_install(name="Beta Data")
    page = ana.read(f"{LIST}?q=bETA")
    assert "Beta Data" in page
    assert "Acme Labs" not in page


@pytest.mark.parametrize("text", ["ins_77", "“INS_77”", "who has ins_77?", "Org_77"])
def test_search_finds_by_an_id_however_it_is_pasted(ana: Browser, text: str) -> None:
    make_install(name="Sought", opentrain_id="ins_77", organization_id="org_77")
    make_install(name="Other", opentrain_id="ins_7")
    page = ana.read(f"{reverse('install-list')}?{urlencode({'q': text})}")
    assert ("Sought</bdi>" in page, "Other</bdi>" in page) == (True, False)


def test_search_that_finds_nothing_says_so_and_leads_back(ana: Browser) -> None:
    make_install(name="Acme Labs")
    page = ana.read(LIST, status=200)
    assert "Acme Labs" in page
    page = ana.read(f"{LIST}?q=%00%3Cb%3E")
    assert "No installs match “&lt;b&gt;”." in page
    assert "Show all 1" in page


@pytest.mark.parametrize("query", ["?q=left", "?show=disconnected"])
def test_what_is_chosen_from_all_installs_names_their_number(query: str, ana: Browser) -> None:
    """Disconnected installs are among them, so a part must never be more than the whole."""
    make_install(name="Acme Labs")
    for name in ("Left first", "Left then"):
        make_install(name=name, disconnected_at=timezone.now())
    assert "1 to 2 of 2 matches, 3 in total" in ana.read(f"{LIST}{query}")
    assert "Show all 1" in ana.read(f"{LIST}?q=nothing")


def test_list_asks_the_database_no_more_for_more_installs(ana: Browser, django_assert_max_num_queries) -> None:
    for _ in range(12):
        make_endpoint()
    with django_assert_max_num_queries(8):  # two of them load the session and the user
        ana.read(LIST)


def test_live_part_is_only_the_part_and_304_when_nothing_changed(ana: Browser) -> None:
    install = make_install(name="Acme Labs")
    first = ana.client.get(reverse("install-list-live"))
    assert "<html" not in first.content.decode()
    assert first["Cache-Control"] == "private, no-cache"
    again = ana.client.get(reverse("install-list-live"), headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    Install.objects.filter(pk=install.pk).update(status="SUSPENDED")
    changed = ana.client.get(reverse("install-list-live"), headers={"If-None-Match": first["ETag"]})
    assert changed.status_code == 200
    assert "SUSPENDED" in changed.content.decode()


def test_connect_shows_the_install_with_its_scopes(ana: Browser, fake_opentrain: FakeOpenTrain) -> None:
    token = fake_opentrain.add_install()
    page = ana.submit(CONNECT, token=token.reveal(), name="Acme Labs")
    assert "Acme Labs is connected." in page
    assert "Label Studio Cloud" in page
    assert "<li><code>webhooks:manage</code></li>" in page
    assert token.reveal() not in page
    assert Install.objects.get(name="Acme Labs").token == token


def test_connect_without_the_scope_says_so_plainly(ana: Browser, fake_opentrain: FakeOpenTrain) -> None:
    token = fake_opentrain.add_install(scopes=["contracts:read"])
    page = ana.submit(CONNECT, token=token.reveal(), name="Gamma")
    assert "<strong>This token lacks <code>webhooks:manage</code>:</strong>" in page
    assert [call.operation for call in fake_opentrain.calls] == ["get_install"]


def test_connect_with_a_token_that_is_refused_says_why_and_never_repeats_it(
    ana: Browser, fake_opentrain: FakeOpenTrain
) -> None:
    token = "ot_ptk_" + "z" * 43
    response = ana.client.post(CONNECT, {"token": token, "name": "Acme"})
    page = response.content.decode()
    assert "OpenTrain refused: “The token is not valid: it is malformed, unknown or revoked.”" in page
    assert "zzzz" not in page
    assert 'value="Acme"' in page
    assert "no-store" in response["Cache-Control"]
    assert not Install.objects.exists()


@pytest.mark.parametrize("token", ["", "whsec_" + "a" * 32, "ot_ptk_with a space", "ot_ptk_é", "ot_ptk_" + "z" * 200])
def test_connect_with_something_else_than_a_token_asks_nobody(
    token: str, ana: Browser, fake_opentrain: FakeOpenTrain
) -> None:
    response = ana.client.post(CONNECT, {"token": token})
    page = response.content.decode()
    assert response.status_code == 422
    assert 'id="id_token-error"' in page
    assert not token or token not in page
    assert fake_opentrain.calls == []


def test_connect_sent_twice_is_one_install(ana: Browser, fake_opentrain: FakeOpenTrain) -> None:
    form = {"token": fake_opentrain.add_install().reveal(), "operation": "6f0bd6b4-6f8e-4f5e-9b0b-5f4a3f1d2c11"}
    ana.submit(CONNECT, **form)
    ana.client.post(CONNECT, form)
    assert Install.objects.count() == 1
    assert [call.operation for call in fake_opentrain.calls].count("get_install") == 1


def test_partner_admin_who_connects_an_install_sees_it(fake_opentrain: FakeOpenTrain, partner_admin: User) -> None:
    page = browser_of(partner_admin).submit(CONNECT, token=fake_opentrain.add_install().reveal(), name="New one")
    assert "New one is connected." in page


def test_detail_shows_endpoints_with_state_streak_reason_and_the_button_that_helps(
    ana: Browser, disabled: Endpoint
) -> None:
    page = ana.read(page_of(disabled.install))
    assert "Disabled</span>" in page
    assert 'aria-valuetext="10 of 10"' in page
    assert "<q>10 consecutive failures</q>" in page
    assert f'<time datetime="{disabled.disabled_at.isoformat(timespec="milliseconds")}"' in page
    assert f'href="/endpoints/{disabled.pk}/recover/"' in page
    assert "<strong>2</strong>" in page
    disabled.deliveries.all().delete()  # nothing to redeliver, so re-enabling is enough
    assert f'action="/endpoints/{disabled.pk}/enable/"' in ana.read(page_of(disabled.install))


def test_detail_of_an_install_without_endpoints_explains_the_path(ana: Browser, connected: Install) -> None:
    page = ana.read_refreshed(page_of(connected))
    assert "No endpoints registered." in page
    assert "OpenTrain delivers to Redeliver, which records the delivery and forwards it to your handler." in page


def test_detail_asks_opentrain_once_for_several_looks(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    long_ago = timezone.now() - timedelta(minutes=1)
    Endpoint.objects.update(snapshot_at=long_ago)
    for _ in range(3):
        ana.read(page_of(endpoint.install))
    assert run_queued() == [endpoint.install_id]
    for _ in range(3):
        ana.read(page_of(endpoint.install))
    assert run_queued() == []
    assert [call.operation for call in fake_opentrain.calls].count("list_endpoints") == 1


def test_detail_while_opentrain_cannot_be_reached_shows_what_was_recorded_and_its_age(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    long_ago = timezone.now() - timedelta(minutes=5)
    Endpoint.objects.update(snapshot_at=long_ago)
    Install.objects.update(checked_at=long_ago)
    fake_opentrain.fail_next(Unavailable("OpenTrain cannot be reached: connection refused.", reason=Reason.REFUSED))
    page = ana.read_refreshed(page_of(endpoint.install))
    assert "OpenTrain cannot be reached: connection refused." in page
    assert "The data below is from" in page
    assert ">5 min ago</time>" in page
    assert endpoint.title in page.replace("<wbr>", "")


def test_poll_brings_what_a_refresh_found(ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain) -> None:
    live = reverse("install-live", args=[endpoint.install_id])
    first = ana.client.get(live)
    fake_opentrain.disable(endpoint.opentrain_id, "10 consecutive failures")
    ana.read(live, status=304, If_None_Match=first["ETag"])
    assert run_queued() == [endpoint.install_id]
    brought = ana.client.get(live, headers={"If-None-Match": first["ETag"]})
    assert brought.status_code == 200
    assert "Disabled</span>" in brought.content.decode()


@pytest.mark.usefixtures("_worker")
def test_page_of_an_old_list_says_when_it_was_synced_and_that_it_is_being_refreshed(
    ana: Browser, endpoint: Endpoint
) -> None:
    minute_ago = timezone.now() - timedelta(minutes=1)
    Install.objects.update(listed_at=minute_ago)
    Endpoint.objects.update(snapshot_at=minute_ago)
    for path in (page_of(endpoint.install), reverse("endpoint-detail", args=[endpoint.pk])):
        text = words_of(ana.read(path))
        assert "Last synced 60 s ago · refreshing…" in text
    run_queued()
    for path in (page_of(endpoint.install), reverse("endpoint-detail", args=[endpoint.pk])):
        text = words_of(ana.read(path))
        assert "Last synced just now" in text
        assert "refreshing" not in text


def test_page_of_an_old_list_says_that_no_worker_refreshes_it(ana: Browser, endpoint: Endpoint) -> None:
    Install.objects.update(listed_at=timezone.now() - timedelta(minutes=5))
    text = words_of(ana.read(page_of(endpoint.install)))
    assert "Nothing is refreshed: the background worker is not running." in text
    assert "The data below is from 5 min ago ." in text
    assert "refreshing…" not in text


@pytest.mark.usefixtures("_worker")
def test_page_of_an_install_that_was_never_synced_says_so(ana: Browser, connected: Install) -> None:
    text = words_of(ana.read(page_of(connected)))
    assert "Not synced yet: Redeliver has not read this install's endpoints from OpenTrain." in text
    assert "They appear here in a few seconds." in text
    assert "Last synced not yet · refreshing…" in text
    assert "No endpoint is registered" not in text


def test_pages_of_an_install_whose_token_is_refused_offer_a_new_one_first(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    install, endpoint_page = page_of(disabled.install), reverse("endpoint-detail", args=[disabled.pk])
    connect = f"/installs/connect/?install={disabled.install_id}"
    replace = f'class="btn btn-primary" href="{connect}"'
    for path in (install, endpoint_page):
        assert replace not in ana.read(path)
    assert 'btn-primary" href="/endpoints/' in ana.read(install)
    fake_opentrain.revoke(disabled.install.token)
    Install.objects.update(listed_at=timezone.now() - timedelta(minutes=1))
    for path in (install, endpoint_page):
        ana.read(path)
    assert run_queued() == [disabled.install_id]
    for path in (install, endpoint_page):
        page = ana.read(path)
        assert f'<a href="{connect}">Replace the token</a>' in page
        assert 'btn-primary" href="/endpoints/' not in page
        assert replace in page


def test_detail_after_a_failed_call_leaves_opentrain_alone_for_a_while(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    Endpoint.objects.update(snapshot_at=timezone.now() - timedelta(minutes=5))
    fake_opentrain.fail_next(Unavailable("OpenTrain cannot be reached.", reason=Reason.REFUSED))
    ana.read(page_of(endpoint.install))
    run_queued()
    for _ in range(3):
        assert "OpenTrain cannot be reached." in ana.read(page_of(endpoint.install))
    assert run_queued() == []
    assert [call.operation for call in fake_opentrain.calls].count("list_endpoints") == 1


def test_detail_without_the_scope_does_not_ask_opentrain(ana: Browser, fake_opentrain: FakeOpenTrain) -> None:
    install = make_install(token_scopes=["contracts:read"])
    assert "OpenTrain lists endpoints only to a token with" in ana.read(page_of(install))
    assert fake_opentrain.calls == []


def test_hostile_words_from_opentrain_are_shown_and_not_obeyed(ana: Browser, fake_opentrain: FakeOpenTrain) -> None:
    now = timezone.now()
    install = make_install(
        name=HOSTILE, app_name=HOSTILE, status=HOSTILE[:50], token_name=HOSTILE, checked_at=now, organization_id=HOSTILE
    )
    Install.objects.update(last_error=HOSTILE, last_error_at=now, token_scopes=["webhooks:manage", HOSTILE])
    make_endpoint(install=install, url=HOSTILE, status=HOSTILE[:50], disabled_reason=HOSTILE, event_types=[HOSTILE])
    for path in (LIST, page_of(install)):
        page = ana.read(path)
        assert "<img" not in page
        assert ESCAPED in page


def test_detail_shows_the_newest_activity_of_the_install_and_its_endpoints(
    ana: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_clock(monkeypatch, installs, at=NOON + timedelta(days=1))
    endpoint = make_endpoint(name="Billing")
    install, run = endpoint.install, make_run(endpoint=endpoint)
    make_entry(endpoint=endpoint, at=NOON)
    make_entry(install=install, action="rename install", at=NOON + timedelta(minutes=1))
    make_entry(install=install, action="create alert channel", at=NOON + timedelta(minutes=2))
    make_entry(endpoint=endpoint, action="start run", run=run, at=NOON + timedelta(minutes=3))
    for _ in range(2):
        asked = make_entry(endpoint=endpoint, action="redeliver in a run", run=run, folded=True, phase="requested")
        make_entry(endpoint=endpoint, action="redeliver in a run", run=run, folded=True, operation=asked.operation)
    make_entry(endpoint=endpoint, action="redeliver in a run")  # of a release that did not fold
    make_entry(endpoint=make_endpoint(), action="pause endpoint")
    page = ana.read(page_of(install))
    box = page[page.index('id="activity-heading"') :]
    box = box[: box.index("</section>")]
    words = words_of(box)
    sentences = [
        "ana started a run on Billing at 12:03 UTC on 12 June, 2 redeliveries (",
        "ana created an alert channel of this install at 12:02 UTC on 12 June (",
        "ana renamed this install at 12:01 UTC on 12 June (",
        "ana re-enabled Billing at 12:00 UTC on 12 June (",
    ]
    assert [sentence for sentence in sentences if sentence not in words] == [], words
    assert sorted(sentences, key=words.index) == sentences
    assert box.count("<li ") == len(sentences)
    assert f'href="{reverse("endpoint-detail", args=[endpoint.pk])}"><bdi>Billing</bdi>' in box
    assert f'href="{reverse("activity")}?install={install.pk}"' in box


def test_detail_without_activity_says_so(ana: Browser) -> None:
    page = words_of(ana.read(page_of(make_install())))
    assert "No activity yet." in page


def test_detail_asks_the_database_no_more_for_more_endpoints(ana: Browser, django_assert_max_num_queries) -> None:
    install = make_install(last_error="down", last_error_at=timezone.now())
    for _ in range(12):
        make_endpoint(install=install)
    with django_assert_max_num_queries(13):  # three limit the time of counting findings
        ana.read(page_of(install))


def test_page_and_poll_of_2500_endpoints_are_as_large_as_of_a_page_of_them(ana: Browser) -> None:
    few, many = (make_install(name="A name", last_error="down", last_error_at=timezone.now()) for _ in range(2))
    make_endpoints(install=few, count=SHOWN)
    make_endpoints(install=many, count=2500)
    for place in ("install-detail", "install-live"):
        found = []
        for install in (few, many):
            with CaptureQueriesContext(connection) as asked:
                page = ana.read(reverse(place, args=[install.pk]))
            found.append((len(asked), page.count('<tr id="endpoint-'), len(page)))
        (queries, shown, size), (queries_of_many, shown_of_many, size_of_many) = found
        assert (queries_of_many, shown_of_many, shown) == (queries, SHOWN, SHOWN)
        assert size_of_many < size + 3000  # the filters and the pager


def test_list_of_one_page_has_neither_filters_nor_pager(ana: Browser) -> None:
    install = make_install()
    make_endpoints(install=install, count=SHOWN)
    page = ana.read(page_of(install))
    assert "endpoint-search" not in page
    assert 'class="pager"' not in page
    make_endpoints(install=install, count=1)
    page = ana.read(page_of(install))
    assert 'id="endpoint-search" data-keep' in page  # a poll leaves what is being typed alone
    assert "1 to 25 of 26" in page


def test_pages_of_endpoints_show_each_of_them_once_and_poll_only_themselves(ana: Browser) -> None:
    install = make_install()
    made = make_endpoints(install=install, count=2 * SHOWN + 1)
    worst = make_endpoint(install=install, status="DISABLED", consecutive_failures=10)
    shown = []
    for number in (1, 2, 3):
        query = f"?page={number}" if number > 1 else "?"
        page = ana.read(page_of(install) + query)
        live = f"{reverse('install-live', args=[install.pk])}{query}"
        assert f'hx-get="{live}"' in page
        rows = re.findall(r'<tr id="endpoint-(\d+)"', page)
        assert re.findall(r'<tr id="endpoint-(\d+)"', ana.read(live)) == rows
        shown += rows
    assert shown == [str(pk) for pk in (worst.pk, *sorted((one.pk for one in made), reverse=True))]
    assert "51 to 52 of 52" in ana.read(page_of(install) + "?page=999999")


def test_endpoints_are_found_by_url_and_state(ana: Browser) -> None:
    install = make_install()
    make_endpoints(install=install, count=SHOWN)
    paused = make_endpoint(install=install, status="DISABLED", handler_url="https://one.example.net/Billing")
    make_endpoint(install=install, consecutive_failures=3, url="https://one.example.net/billing-2")

    def rows_of(query: str) -> int:
        return ana.read(page_of(install) + query).count('<tr id="endpoint-')

    assert [rows_of(f"?q={text}") for text in ("billing", "one.example.net/B", paused.opentrain_id, "%")] == [
        2,
        2,
        1,
        0,
    ]
    assert [rows_of(f"?show={show}") for show in ("need", "paused", "failed", "active", "x")] == [1, 1, 0, 25, 25]
    assert rows_of("?show=paused&q=billing") == 1
    page = ana.read(f"{page_of(install)}?show=need&q={HOSTILE}")
    assert f"No endpoint in this view matches “{ESCAPED}”." in page
    assert "Show all 27" in page
    assert "No endpoint has failed deliveries in the log." in ana.read(f"{page_of(install)}?show=failed")


def test_endpoints_being_registered_are_shown_up_to_a_number(ana: Browser) -> None:
    install = make_install()
    for _ in range(12):
        make_endpoint(install=install, opentrain_id=None, registering_since=NOON)
    page = ana.read(page_of(install))
    assert page.count("OpenTrain has not answered.") == 10
    assert "2 older registrations without an answer." in page


def test_replacing_a_token_names_the_install_and_leads_back_to_it(
    ana: Browser, connected: Install, fake_opentrain: FakeOpenTrain, outsider: User
) -> None:
    path = f"{CONNECT}?install={connected.pk}"
    page = ana.read(path)
    assert "<h1>Replace the token of <bdi>Acme Labs</bdi></h1>" in page
    assert f'<form method="post" action="{path}"' in page
    assert f'<a class="btn" href="{page_of(connected)}">Cancel</a>' in page
    assert 'name="name"' not in page
    [token] = fake_opentrain._installs
    assert "Acme Labs is connected. Its token was replaced." in ana.submit(path, token=token.reveal())
    connected.refresh_from_db()
    assert connected.name == "Acme Labs"
    for query in (f"?install={connected.pk}9", "?install=x", "?install="):
        assert "<h1>Connect an install</h1>" in ana.read(CONNECT + query)
    assert "Acme" not in browser_of(outsider).read(path)


def test_install_whose_token_lacks_the_scope_offers_a_token_and_no_endpoint(ana: Browser) -> None:
    page = ana.read(page_of(make_install(token_scopes=["contracts:read"])))
    assert "Replace token…" in page
    assert "Register an endpoint" not in page


def test_page_leads_to_the_contracts_with_findings(ana: Browser, viewer: User, acme: Install) -> None:
    endpoint = make_endpoint(install=acme)
    assert "View contracts : not known: the token lacks a scope" in words_of(ana.read(page_of(acme)))
    Install.objects.filter(pk=acme.pk).update(token_scopes=["webhooks:manage", "contracts:read", "project-links:read"])
    assert "View contracts : not read yet" in words_of(ana.read(page_of(acme)))
    read = Reconciliation.objects.create(install=acme, contracts_read_at=NOON, links_read_at=NOON)
    assert "View contracts : not compared with the delivery log yet" in words_of(ana.read(page_of(acme)))
    Reconciliation.objects.filter(pk=read.pk).update(judged_at=NOON)
    assert "View contracts : no findings" in words_of(ana.read(page_of(acme)))
    for _ in range(2):
        make_finding(contract=make_contract(install=acme), endpoint=endpoint, consequence="access")
    for browser in (ana, browser_of(viewer)):
        page = browser.read(page_of(acme))
        assert "2 people may still have access 2 contracts with findings View contracts" in words_of(page)
        assert f'href="{reverse("install-contracts", args=[acme.pk])}?finding=access"' in page


def test_findings_that_take_too_long_to_count_have_no_number(
    ana: Browser, acme: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_slow(**_asked: Any) -> None:
        raise TooSlow

    monkeypatch.setattr(contract_lists, "finding_counts", too_slow)
    assert "View contracts : findings not counted: that takes too long" in words_of(ana.read(page_of(acme)))


def test_row_of_an_endpoint_has_its_last_24_hours_or_why_they_are_not_known(ana: Browser) -> None:
    now = timezone.now()
    install = make_install()
    received, direct = (
        make_endpoint(install=install, created_at=now - timedelta(hours=1)),
        make_endpoint(install=install, receiver_key=None),
    )
    make_delivery(endpoint=received, first_received_at=now, last_attempt_at=now, last_latency_ms=40)
    page = ana.read(page_of(install))
    cells = dict(re.findall(r'<tr id="endpoint-(\d+)".*?data-label="Last 24 h">(.*?)</td>', page, re.DOTALL))
    said = words_of(cells[str(received.pk)])
    assert re.match(r"100% p50 40 ms · p95 40 ms last (just now|\d+ s ago) since \d\d:\d\d UTC", " ".join(said.split()))
    assert words_of(cells[str(direct.pk)]).startswith("— Not known: its deliveries don")
