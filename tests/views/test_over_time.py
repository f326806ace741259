"""The chart on an endpoint's page: the table behind it, and its summary in words."""

import re
from datetime import timedelta

from django.urls import reverse
from django.utils import timezone

from dashboard.models import Endpoint, EndpointSnapshot, Install, User
from dashboard.rules.endpoints import AUTO_DISABLE_AT
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
    hour = ana.read(page_of(endpoint, "?range=1h"))
    assert "Deliveries of the last hour: 1 delivered, 0 waiting, 1 failed." in words_of(hour)
    assert (hour.count("data-at="), 'data-width="300"' in hour) == (12, True)


def test_endpoint_without_deliveries_says_so(ana: Browser, endpoint: Endpoint) -> None:
    assert "No delivery arrived in the last 24 hours." in words_of(ana.read(url(endpoint)))


def test_range_that_is_not_one_is_a_day(ana: Browser, endpoint: Endpoint) -> None:
    pages = (ana.read(url(endpoint, query)) for query in ("?range=<script>", "?range=24h"))
    odd, day = (re.sub(r'data-until="\d+"|\d+ s;', "", page) for page in pages)  # time passes between the two requests
    assert odd == day


def test_polled_part_leaves_the_chart_to_itself(ana: Browser, endpoint: Endpoint) -> None:
    live = ana.read(reverse("endpoint-live", args=[endpoint.pk]))
    assert 'id="over-time"' in live
    assert "data-at=" not in live


def test_chart_of_the_status_ends_at_the_failures_that_disable(ana: Browser, connected: Install, support: User) -> None:
    page = ana.read(page_of(register(connected, support, url="https://acme.example.com/hook")))
    assert f'data-disabled-at="{AUTO_DISABLE_AT}"' in page


def test_direct_endpoint_shows_its_status_and_no_deliveries(ana: Browser, connected: Install, support: User) -> None:
    page = ana.read(page_of(register(connected, support, url="https://acme.example.com/hook")))
    assert ('id="status-over-time-table"' in page, 'id="over-time-table"' in page) == (True, False)


def test_status_is_told_stretch_by_stretch_with_its_worst_moments(ana: Browser, endpoint: Endpoint) -> None:
    now = timezone.now()
    endpoint.history.all().delete()
    for hours, status, failures in ((30, "ACTIVE", 0), (6, "ACTIVE", 8), (5, "DISABLED", 10), (2, "ACTIVE", 0)):
        at = now - timedelta(hours=hours)
        EndpointSnapshot.objects.create(
            endpoint=endpoint, at=at, not_before=at, status=status, consecutive_failures=failures
        )
    page = ana.read(url(endpoint))
    found = re.findall(r'data-failures="(\d*)" data-tone="(\w*)" data-label="([\w ]*)"', page)
    assert found == [("0", "ok", "Active"), ("8", "risk", "At risk"), ("10", "bad", "Disabled"), ("0", "ok", "Active")]
    assert "Disabled for 3 h, at risk for 60 min; at most 10 consecutive failures." in words_of(page)


def test_outage_of_110_s_is_told_as_such_in_every_range(ana: Browser, endpoint: Endpoint) -> None:
    now = timezone.now()
    endpoint.history.all().delete()
    for back, status in ((8 * 86_400, "ACTIVE"), (600, "DISABLED"), (490, "ACTIVE")):
        at = now - timedelta(seconds=back)
        failures = 10 * (status == "DISABLED")
        EndpointSnapshot.objects.create(
            endpoint=endpoint, at=at, not_before=at, status=status, consecutive_failures=failures
        )
    for query in ("?range=1h", "?range=24h", "?range=7d"):
        assert "Disabled for 110 s; at most 10 consecutive failures." in words_of(ana.read(url(endpoint, query)))


def test_time_before_the_first_word_is_not_on_record(ana: Browser, endpoint: Endpoint) -> None:
    endpoint.history.all().delete()
    page = ana.read(url(endpoint))
    assert "No status history for this period." in page
    assert "Syncs are about a minute apart." in page
    assert "status-over-time-table" not in page
    EndpointSnapshot.objects.create(endpoint=endpoint, at=timezone.now() - timedelta(hours=1), status="ACTIVE")
    page = ana.read(url(endpoint))
    assert "Active as far as is known. Not known before" in page
    assert "Active throughout." not in page
    assert re.findall(r'data-failures="(\d*)" data-tone="(\w*)"', page) == [("", ""), ("0", "ok")]
    assert "<td>unknown</td>" in page


def test_outsider_does_not_see_the_numbers(endpoint: Endpoint, outsider: User) -> None:
    browser_of(outsider).read(url(endpoint), status=404)
