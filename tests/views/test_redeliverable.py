"""The link above a list to what of it can be redelivered: it loads after the list, and names what its preview names."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from dashboard.models import Endpoint, Install, User
from dashboard.views import redeliverable as views
from tests.factories import NOON, make_delivery, make_endpoint, make_failed_delivery
from tests.views.conftest import Browser, browser_of

LIST = "endpoint-deliveries"
QUERIES = 8
"""Maximum number of queries of the link for any number of deliveries, without savepoints and the like."""


def words_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def list_of(endpoint: Endpoint, query: str = "") -> str:
    return f"{reverse(LIST, args=[endpoint.pk])}?{query}"


def preview_of(endpoint: Endpoint, query: str = "") -> str:
    return f"{reverse(f'{LIST}-redeliver', args=[endpoint.pk])}?{query}"


def link_above(browser: Browser, address: str) -> str:
    """Return what the list at this address loads above it; empty if it loads nothing."""
    found = re.search(r'class="list-action"[^>]* hx-get="([^"]+)"', browser.read(address))
    return browser.read(unescape(found[1])).strip() if found else ""


@pytest.mark.parametrize("name", ["delivery-list", "install-deliveries", LIST])
def test_list_offers_to_redeliver_what_it_shows_with_its_filter(ana: Browser, endpoint: Endpoint, name: str) -> None:
    for _ in range(3):
        make_failed_delivery(endpoint=endpoint)
    args = {"delivery-list": [], "install-deliveries": [endpoint.install_id], LIST: [endpoint.pk]}[name]
    query = "state=failed&cause=status%3A503"
    link = link_above(ana, f"{reverse(name, args=args)}?{query}")
    assert f'href="{reverse(f"{name}-redeliver", args=args)}?{query}"'.replace("&", "&amp;") in link
    assert words_of(link) == "Redeliver these 3…"
    assert "Redeliver 3 deliveries" in words_of(ana.read(f"{reverse(f'{name}-redeliver', args=args)}?{query}"))


def test_list_without_javascript_leads_to_the_preview_all_the_same(ana: Browser, endpoint: Endpoint) -> None:
    assert "<noscript>" not in ana.read(list_of(endpoint))
    make_failed_delivery(endpoint=endpoint)
    [link] = re.findall(r"<noscript>(.*?)</noscript>", ana.read(list_of(endpoint, "state=failed")))
    assert words_of(link) == "Redeliver these…"
    assert f'href="{preview_of(endpoint, "state=failed")}"' in link


@pytest.mark.parametrize("query", ["signature=refused", "state=failed&from=yesterdy", "delivery=none"])
def test_list_offers_nothing_where_nothing_can_be_meant(ana: Browser, endpoint: Endpoint, query: str) -> None:
    make_failed_delivery(endpoint=endpoint)
    assert link_above(ana, list_of(endpoint, query)) == ""
    assert "Redeliver th" not in ana.read(list_of(endpoint, query))


def test_link_names_the_number_that_its_preview_names(ana: Browser, endpoint: Endpoint) -> None:
    for _ in range(3):
        make_failed_delivery(endpoint=endpoint)
    make_failed_delivery(endpoint=endpoint, attempt_count=1, attempts_in_round=1, last_attempt_at=timezone.now())
    make_delivery(endpoint=endpoint)
    make_failed_delivery(endpoint=endpoint, requested_at=timezone.now())
    assert words_of(link_above(ana, list_of(endpoint))) == "Redeliver these 4…"
    assert "Redeliver 4 deliveries" in words_of(ana.read(preview_of(endpoint)))
    assert words_of(link_above(ana, list_of(endpoint, "state=retrying"))) == "Redeliver this one…"


def test_list_without_anything_to_redeliver_has_no_link(ana: Browser, endpoint: Endpoint) -> None:
    make_delivery(endpoint=endpoint)
    make_failed_delivery(endpoint=endpoint, requested_at=timezone.now())
    assert link_above(ana, list_of(endpoint)) == ""
    assert "Nothing to redeliver" in words_of(ana.read(preview_of(endpoint)))


def test_filtered_list_of_delivered_ones_says_that_it_sends_them_again(ana: Browser, endpoint: Endpoint) -> None:
    make_delivery(endpoint=endpoint)
    query = "event=contract.started"
    link = link_above(ana, list_of(endpoint, query))
    assert words_of(link) == "Send delivered ones again…"
    assert f'href="{preview_of(endpoint, query)}&amp;delivered=1"' in link
    assert "Redeliver 1 delivery" in words_of(ana.read(preview_of(endpoint, f"{query}&delivered=1")))
    Endpoint.objects.update(status="DISABLED")
    assert link_above(ana, list_of(endpoint, query)) == ""


def test_list_of_a_disabled_endpoint_offers_its_recovery_instead(ana: Browser, endpoint: Endpoint) -> None:
    make_failed_delivery(endpoint=endpoint)
    Endpoint.objects.update(status="DISABLED", consecutive_failures=10)
    link = link_above(ana, list_of(endpoint, "state=failed"))
    assert f'href="{reverse("endpoint-recover", args=[endpoint.pk])}"' in link
    assert words_of(link) == "Recover… The endpoint is disabled or paused, so deliveries are stopped."
    of_all = words_of(link_above(ana, f"{reverse('delivery-list')}?state=failed"))
    assert of_all == "Recover… acme.example.com/ hook : The endpoint is disabled or paused, so deliveries are stopped."


def test_list_of_overtaken_ones_says_that_they_are(ana: Browser, endpoint: Endpoint) -> None:
    make_failed_delivery(endpoint=endpoint, resource_id="con_1", event_created_at=NOON)
    make_delivery(
        endpoint=endpoint, resource_id="con_1", event_type="contract.ended", event_created_at=NOON + timedelta(hours=1)
    )
    assert words_of(link_above(ana, list_of(endpoint))) == "Redeliver 1 overtaken…"
    assert "Redeliver 1 overtaken delivery?" in words_of(ana.read(preview_of(endpoint)))


@pytest.mark.parametrize(("status", "says"), [("ACTIVE", "Redeliver these…"), ("DISABLED", "Recover…")])
def test_link_above_many_leads_on_without_their_number(
    ana: Browser, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, status: str, says: str
) -> None:
    Endpoint.objects.update(status=status)
    for _ in range(3):
        make_failed_delivery(endpoint=endpoint)
    monkeypatch.setattr(views, "MOST", 2)
    assert words_of(link_above(ana, list_of(endpoint))).startswith(says)
    assert words_of(link_above(ana, list_of(endpoint, "state=failed"))).startswith(says)
    monkeypatch.setattr(views, "MOST", 3)
    assert (words_of(link_above(ana, list_of(endpoint))) == "Redeliver these 3…") == (status == "ACTIVE")


def test_link_that_takes_too_long_to_count_leads_on_without_a_number(
    ana: Browser, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_failed_delivery(endpoint=endpoint)

    def too_slow(**_facts: object) -> None:
        raise views.TooSlow

    monkeypatch.setattr(views, "redeliverable", too_slow)
    assert words_of(link_above(ana, list_of(endpoint))) == "Redeliver these…"


def test_link_is_sent_again_only_when_it_has_changed(ana: Browser, endpoint: Endpoint) -> None:
    make_failed_delivery(endpoint=endpoint)
    address = reverse(f"{LIST}-redeliverable-live", args=[endpoint.pk])
    first = ana.client.get(address)
    same = ana.client.get(address, headers={"If-None-Match": first["ETag"]})
    make_failed_delivery(endpoint=endpoint)
    changed = ana.client.get(address, headers={"If-None-Match": first["ETag"]})
    assert [one.status_code for one in (first, same, changed)] == [200, 304, 200]


def test_viewer_gets_no_link_to_redeliver(viewer: User, acme: Install) -> None:
    make_failed_delivery(endpoint=make_endpoint(install=acme))
    browser = browser_of(viewer)
    assert link_above(browser, reverse("delivery-list")) == ""
    assert "Redeliver th" not in browser.read(reverse("delivery-list"))


@pytest.mark.parametrize("query", ["", "?state=failed", "?event=contract.started"])
@pytest.mark.parametrize("fails", [True, False])
def test_link_never_takes_more_queries_for_more_deliveries(
    partner_admin: User, acme: Install, query: str, fails: bool
) -> None:
    browser = browser_of(partner_admin)
    for _ in range(20):
        (make_failed_delivery if fails else make_delivery)(endpoint=make_endpoint(install=acme))
    with CaptureQueriesContext(connection) as captured:
        browser.read(f"{reverse('install-deliveries-redeliverable-live', args=[acme.pk])}{query}")
    asked = [one["sql"] for one in captured if not one["sql"].startswith(("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT"))]
    assert len(asked) <= QUERIES, "\n".join(asked)
