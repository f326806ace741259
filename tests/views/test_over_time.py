"""The chart's part of an endpoint's page: the table that it is drawn from, and what it says in words."""

from datetime import timedelta

from django.urls import reverse
from django.utils import timezone

from dashboard.models import Endpoint, Install, User
from tests.factories import make_delivery, make_failed_delivery
from tests.views.conftest import Browser, browser_of, register
from tests.views.test_endpoints import words_of


def url(endpoint: Endpoint, query: str = "") -> str:
    return reverse("endpoint-over-time", args=[endpoint.pk]) + query


def page_of(endpoint: Endpoint, query: str = "") -> str:
    return reverse("endpoint-detail", args=[endpoint.pk]) + query


def test_page_sums_up_the_last_day_and_has_its_table(ana: Browser, endpoint: Endpoint) -> None:
    now = timezone.now()
    make_delivery(endpoint=endpoint, first_received_at=now)
    make_failed_delivery(endpoint=endpoint, first_received_at=now)
    make_delivery(endpoint=endpoint, first_received_at=now - timedelta(days=3))
    page = ana.read(page_of(endpoint))
    assert "Deliveries of the last 24 hours: 1 delivered, 0 waiting, 1 failed." in words_of(page)
    assert page.count("data-at=") == 24
    assert 'data-delivered="1" data-waiting="0" data-failed="1"' in page
    week = ana.read(page_of(endpoint, "?range=7d"))
    assert "Deliveries of the last 7 days: 2 delivered, 0 waiting, 1 failed." in words_of(week)
    assert (week.count("data-at="), 'data-width="21600"' in week) == (28, True)


def test_endpoint_without_deliveries_says_so(ana: Browser, endpoint: Endpoint) -> None:
    assert "No delivery arrived in the last 24 hours." in words_of(ana.read(url(endpoint)))


def test_range_that_is_not_one_is_the_shortest(ana: Browser, endpoint: Endpoint) -> None:
    assert ana.read(url(endpoint, "?range=<script>")) == ana.read(url(endpoint, "?range=24h"))


def test_polled_part_leaves_the_chart_to_itself(ana: Browser, endpoint: Endpoint) -> None:
    live = ana.read(reverse("endpoint-live", args=[endpoint.pk]))
    assert 'id="over-time"' in live
    assert "data-at=" not in live


def test_direct_endpoint_has_no_chart(ana: Browser, connected: Install, support: User) -> None:
    page = ana.read(page_of(register(connected, support, url="https://acme.example.com/hook")))
    assert ("over-time" in page, "uPlot" in page) == (False, False)


def test_outsider_does_not_see_the_numbers(endpoint: Endpoint, outsider: User) -> None:
    browser_of(outsider).read(url(endpoint), status=404)
