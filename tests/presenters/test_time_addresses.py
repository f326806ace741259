"""Times of a list are typed in the reader's zone, and its address has them in UTC."""

import pytest
from django.urls import reverse

from dashboard.models import AuditEntry, Endpoint, Install, User
from tests.factories import make_endpoint
from tests.views.conftest import Browser, browser_of
from tests.views.test_activity import words_of

DELIVERIES, ACTIVITY = reverse("delivery-list"), reverse("activity")


@pytest.fixture
def acme_endpoint(acme: Install) -> Endpoint:
    return make_endpoint(install=acme)


@pytest.fixture
def asha(support: User) -> Browser:
    """Someone of support in India."""
    support.time_zone = "Asia/Kolkata"
    support.save()
    return browser_of(support)


def lists_of(endpoint: Endpoint) -> list[str]:
    return [
        DELIVERIES,
        reverse("install-deliveries", args=[endpoint.install_id]),
        reverse("endpoint-deliveries", args=[endpoint.pk]),
        ACTIVITY,
    ]


def test_what_is_typed_becomes_an_address_that_means_the_same_to_everybody(
    asha: Browser, acme_endpoint: Endpoint, partner_admin: User
) -> None:
    for path in lists_of(acme_endpoint):
        response = asha.client.get(path, {"from": "2026-06-12 09:00", "to": "12 June 2026 17:30"})
        address = f"{path}?from=2026-06-12T03%3A30Z&to=2026-06-12T12%3A00Z"
        assert (response.status_code, response["Location"]) == (302, address)
        page = asha.read(address)
        assert 'value="2026-06-12 09:00"' in page
        assert "From: 2026-06-12 09:00 UTC+05:30" in words_of(page)
        partner_admin.time_zone = "America/New_York"
        partner_admin.save()
        assert "From: 2026-06-11 23:30 EDT" in words_of(browser_of(partner_admin).read(address))


def test_what_the_field_shows_is_sent_again_as_the_same_address(asha: Browser, acme_endpoint: Endpoint) -> None:
    shown = {"from": "2026-06-12 09:00", "to": "2026-06-12 17:30", "state": ""}
    response = asha.client.get(DELIVERIES, shown)
    assert response["Location"] == f"{DELIVERIES}?from=2026-06-12T03%3A30Z&to=2026-06-12T12%3A00Z&state="


def test_other_filters_and_what_is_no_time_stay_in_the_address(asha: Browser, acme_endpoint: Endpoint) -> None:
    typed = {"state": "failed", "from": "2026-06-12", "to": "yesterdy", "delivery": "<b>"}
    response = asha.client.get(DELIVERIES, typed, follow=True)
    assert response.redirect_chain == [
        (f"{DELIVERIES}?state=failed&from=2026-06-11T18%3A30Z&to=yesterdy&delivery=%3Cb%3E", 302)
    ]
    text = words_of(response.content.decode())
    assert "“yesterdy” is not a time: use 03:12, yesterday 3pm or 2026-06-12 03:12 (Asia/Kolkata)" in text


@pytest.mark.parametrize("query", ["", "?from=24h", "?from=2026-06-12T03:30Z", "?from=", "?state=failed", "?from=no"])
def test_address_without_a_typed_time_is_shown_at_once(asha: Browser, acme_endpoint: Endpoint, query: str) -> None:
    for path in lists_of(acme_endpoint):
        asha.read(path + query)


def test_hour_that_comes_twice_or_never_is_said_with_what_was_taken(support: User, acme_endpoint: Endpoint) -> None:
    support.time_zone = "Europe/Berlin"
    support.save()
    typed = {"from": "2026-03-29 02:30", "to": "2025-10-26 02:30"}
    text = words_of(browser_of(support).client.get(ACTIVITY, typed, follow=True).content.decode())
    assert "02:30 does not exist on 29 March 2026 in Europe/Berlin" in text
    assert "03:30 CEST is used." in text
    assert "02:30 comes twice on 26 October 2025 in Europe/Berlin" in text
    assert "02:30 CET is used." in text


def test_exports_and_what_is_kept_of_them_are_in_utc_and_shown_in_the_readers_zone(
    asha: Browser, acme_endpoint: Endpoint
) -> None:
    path = reverse("delivery-list-export")
    response = asha.client.get(path, {"from": "2026-06-12T03:30Z", "format": "csv"})
    assert response.status_code == 200
    b"".join(response)  # type: ignore[arg-type]
    assert "From: 2026-06-12 03:30 UTC" in AuditEntry.objects.get(action="export deliveries").words
    assert "From: 2026-06-12 09:00 UTC+05:30" in words_of(asha.read(f"{ACTIVITY}?what=export+deliveries"))
    kept = asha.client.get(reverse("activity-export"), {"format": "csv"})
    assert b"From: 2026-06-12 03:30 UTC" in b"".join(kept)  # type: ignore[arg-type]


def test_typed_times_are_of_the_zone_that_the_form_names_though_another_tab_chose_another(
    asha: Browser, acme_endpoint: Endpoint
) -> None:
    for path in lists_of(acme_endpoint):
        assert 'name="zone" value="Asia/Kolkata"' in asha.read(path)
        response = asha.client.get(path, {"from": "2026-06-12 09:00", "zone": "Europe/Berlin"})
        assert response["Location"] == f"{path}?from=2026-06-12T07%3A00Z"
    twice = asha.client.get(DELIVERIES, {"from": "2026-10-25 02:30", "zone": "Europe/Berlin"}, follow=True)
    assert "02:30 comes twice on 25 October 2026 in Europe/Berlin" in words_of(twice.content.decode())


@pytest.mark.parametrize("zone", ["", "Nowhere", "<script>", "Asia/Kolkata", "\0"])
def test_zone_of_a_form_leaves_the_address_and_is_the_readers_where_it_is_none(asha: Browser, zone: str) -> None:
    response = asha.client.get(DELIVERIES, {"from": "2026-06-12 09:00", "zone": zone})
    assert response["Location"] == f"{DELIVERIES}?from=2026-06-12T03%3A30Z"
    assert asha.client.get(DELIVERIES, {"zone": zone})["Location"] == DELIVERIES
    answer = asha.client.get(DELIVERIES, {"from": "yesterdy", "zone": zone}, follow=True)
    assert answer.redirect_chain == [(f"{DELIVERIES}?from=yesterdy", 302)]
