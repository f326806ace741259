"""The chart on an endpoint's page: the table behind it, and its summary in words."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from dashboard.models import Endpoint, EndpointSnapshot, Install, User
from tests.factories import make_attempt, make_delivery
from tests.views.conftest import Browser, browser_of, register
from tests.views.test_endpoints import words_of


def url(endpoint: Endpoint, query: str = "") -> str:
    return reverse("endpoint-over-time", args=[endpoint.pk]) + query


def page_of(endpoint: Endpoint, query: str = "") -> str:
    return reverse("endpoint-detail", args=[endpoint.pk]) + query


def test_page_sums_up_the_attempts_and_has_their_table(ana: Browser, endpoint: Endpoint) -> None:
    now = timezone.now()
    make_delivery(endpoint=endpoint, last_attempt_at=now)
    make_delivery(endpoint=endpoint, last_attempt_at=now, last_ok=False)
    make_delivery(endpoint=endpoint, first_received_at=now - timedelta(days=3), last_attempt_at=now - timedelta(days=3))
    page = ana.read(page_of(endpoint))
    assert "Attempts of the last 24 hours: 1 delivered, 1 failed." in words_of(page)
    assert page.count("data-at=") == 24
    assert 'data-delivered="1" data-failed="1"' in page
    week = ana.read(page_of(endpoint, "?range=7d"))
    assert "Attempts of the last 7 days: 2 delivered, 1 failed." in words_of(week)
    assert (week.count("data-at="), 'data-width="21600"' in week) == (28, True)
    hour = ana.read(page_of(endpoint, "?range=1h"))
    assert "Attempts of the last hour: 1 delivered, 1 failed." in words_of(hour)
    assert (hour.count("data-at="), 'data-width="300"' in hour) == (12, True)


def test_recovery_leaves_the_outage_in_the_numbers(ana: Browser, endpoint: Endpoint) -> None:
    """By the present state of deliveries, "0 failed" was what the page said after a recovery."""
    now = timezone.now()
    delivery = make_delivery(endpoint=endpoint, attempt_count=2, first_received_at=now, last_attempt_at=now)
    make_attempt(delivery=delivery, received_at=now - timedelta(minutes=2), ok=False)
    make_attempt(delivery=delivery, number=2, received_at=now)
    assert "1 delivered, 1 failed." in words_of(ana.read(url(endpoint)))


def shown_of(page: str) -> str:
    """Return what people see of the charts: without what is folded."""
    return words_of(re.sub(r"<details.*?</details>", "", page, flags=re.DOTALL))


@pytest.mark.parametrize("chosen", ["", "?range=1h", "?range=24h"])
def test_endpoint_without_attempts_says_so_once_and_draws_no_chart(
    ana: Browser, endpoint: Endpoint, chosen: str
) -> None:
    page = ana.read(url(endpoint, chosen))
    assert shown_of(page).count("No delivery was attempted") == 1
    assert ("data-chart=" in page, 'id="over-time-table"' in page) == (False, True)
    assert ('class="strip-times"' in page, "delivered</span>" in page) == (True, False)
    week = shown_of(ana.read(url(endpoint, "?range=7d")))
    assert "No delivery was attempted in the last 7 days." in week


def test_hour_without_attempts_says_so_if_the_day_has_some(ana: Browser, endpoint: Endpoint) -> None:
    at = timezone.now() - timedelta(hours=3)
    make_delivery(endpoint=endpoint, first_received_at=at, last_attempt_at=at)
    page = ana.read(url(endpoint, "?range=1h"))
    assert "No delivery was attempted in the last hour." in shown_of(page)
    assert "data-chart=" not in page
    assert "data-chart=" in ana.read(url(endpoint, "?range=24h"))


def test_young_log_is_shown_in_the_shortest_range_that_holds_it(ana: Browser, endpoint: Endpoint) -> None:
    endpoint.history.all().delete()
    make_delivery(endpoint=endpoint, first_received_at=timezone.now() - timedelta(minutes=20))
    assert ana.read(page_of(endpoint)).count("data-at=") == 12
    make_delivery(endpoint=endpoint, first_received_at=timezone.now() - timedelta(hours=2))
    assert ana.read(page_of(endpoint)).count("data-at=") == 24
    assert ana.read(page_of(endpoint, "?range=7d")).count("data-at=") == 28


def test_charts_ask_again_for_a_range_only_if_somebody_chose_it(ana: Browser, endpoint: Endpoint) -> None:
    asked = re.compile(rf'class="over-time-charts" hx-get="{url(endpoint)}([^"]*)"')
    assert asked.findall(ana.read(url(endpoint))) == [""]
    assert asked.findall(ana.read(url(endpoint, "?range=24h"))) == ["?range=24h"]
    assert asked.findall(ana.read(url(endpoint, "?range=<script>"))) == [""]


def test_polled_part_leaves_the_chart_to_itself(ana: Browser, endpoint: Endpoint) -> None:
    live = ana.read(reverse("endpoint-live", args=[endpoint.pk]))
    assert 'id="over-time"' in live
    assert "data-at=" not in live


def test_direct_endpoint_shows_its_status_and_no_deliveries(ana: Browser, connected: Install, support: User) -> None:
    page = ana.read(page_of(register(connected, support, url="https://acme.example.com/hook")))
    assert ('id="status-over-time-table"' in page, 'id="over-time-table"' in page) == (True, False)


def test_status_is_told_in_exact_intervals(ana: Browser, endpoint: Endpoint) -> None:
    now = timezone.now()
    endpoint.history.all().delete()
    Endpoint.objects.filter(pk=endpoint.pk).update(snapshot_at=now)
    for hours, status, failures in ((30, "ACTIVE", 0), (6, "ACTIVE", 8), (5, "DISABLED", 10), (2, "ACTIVE", 0)):
        at = now - timedelta(hours=hours)
        EndpointSnapshot.objects.create(
            endpoint=endpoint, at=at, not_before=at, status=status, consecutive_failures=failures
        )
    page = ana.read(url(endpoint, "?range=24h"))
    found = re.findall(r'data-since="(\d+)" data-until="(\d+)" data-label="([\w ]*)"', page)
    assert [label for *_, label in found] == ["Active", "At risk", "Disabled", "Active"]
    assert [int(until) - int(since) for since, until, _ in found[1:3]] == [3600, 10_800]
    assert "Disabled for 3 h, at risk for 60 min; at most 10 consecutive failures." in words_of(page)
    assert re.findall(r'<rect class="tone-(\w+)"', page) == ["ok", "ok", "risk", "bad"]


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
    assert re.findall(r'data-label="(\w*)"', page)[:2] == ["", "Active"]
    assert "<td>not known</td>" in page


def test_outsider_does_not_see_the_numbers(endpoint: Endpoint, outsider: User) -> None:
    browser_of(outsider).read(url(endpoint), status=404)


def test_endpoint_page_has_the_figures_of_24_hours(ana: Browser, endpoint: Endpoint) -> None:
    now = timezone.now()
    Endpoint.objects.filter(pk=endpoint.pk).update(created_at=now - timedelta(days=30))
    for ok in (True, True, False):
        make_delivery(endpoint=endpoint, first_received_at=now, last_attempt_at=now, last_ok=ok, last_latency_ms=40)
    said = words_of(ana.read(page_of(endpoint)))
    assert re.search(r"Success, last 24 h 66% Handler p50 40 ms Handler p95 40 ms Last delivery", said)


def test_endpoint_without_a_log_says_why_it_has_no_figures(ana: Browser, connected: Install, support: User) -> None:
    page = ana.read(page_of(register(connected, support, url="https://acme.example.com/hook")))
    assert "Success, last 24 h — Not known: its deliveries don" in words_of(page)
