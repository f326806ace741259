"""The number above a list of deliveries, and the causes below it: within a time limit, and never a wrong number."""

import re
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone

from dashboard.models import Endpoint
from dashboard.queries import delivery_lists
from dashboard.views import delivery_lists as views
from tests.factories import NOON, make_delivery, make_failed_delivery, make_refused_attempt
from tests.views.conftest import Browser
from tests.views.test_delivery_lists import address, rows_of, words_of

COUNT_MS = views.COUNT_MS


@pytest.mark.django_db(transaction=True)
def test_count_that_takes_too_long_is_not_a_number(ana: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    newest = make_delivery(first_received_at=NOON)
    make_delivery(first_received_at=NOON - timedelta(hours=1))
    monkeypatch.setattr(views, "PAGE", 1)

    def slow(**_facts: object) -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(30)")
        return 0

    monkeypatch.setattr(delivery_lists, "count", slow)
    monkeypatch.setattr(views, "COUNT_MS", COUNT_MS)
    started = timezone.now()
    page = ana.read(reverse("delivery-list"))
    assert "— (not counted: it takes longer than 0.3 s; add a time range)" in words_of(page)
    assert rows_of(page) == [newest.pk]
    assert timezone.now() - started < timedelta(seconds=25)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


@pytest.mark.parametrize("per_page", [1, 2])
def test_count_is_kept_where_only_its_causes_take_too_long(
    ana: Browser, acme_endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, per_page: int
) -> None:
    for _ in range(2):
        make_failed_delivery(endpoint=acme_endpoint)
    monkeypatch.setattr(views, "PAGE", per_page)

    def too_slow(*_place: object, **_facts: object) -> None:
        raise views.TooSlow

    monkeypatch.setattr(views, "_causes", too_slow)
    shown = words_of(ana.read(address("install-deliveries", acme_endpoint)))
    assert "2 deliveries" in shown
    assert "not counted" not in shown


@pytest.mark.django_db(transaction=True)
def test_causes_have_a_time_limit_where_nothing_is_counted(
    ana: Browser, acme_endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_failed_delivery(endpoint=acme_endpoint)
    limits = []

    def limited(**_facts: object) -> list[object]:
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            limits.append(cursor.fetchone())
        return []

    monkeypatch.setattr(views, "cause_rows", limited)
    monkeypatch.setattr(views, "COUNT_MS", 70_007)
    ana.read(address("install-deliveries", acme_endpoint))
    assert limits == [("70007ms",)]


def test_causes_of_failures_are_not_those_of_refused_requests(ana: Browser, acme_endpoint: Endpoint) -> None:
    make_failed_delivery(endpoint=acme_endpoint)
    make_refused_attempt(endpoint=acme_endpoint)
    path = address("endpoint-deliveries", acme_endpoint)
    assert "What went wrong" in words_of(ana.read(path))
    assert "What went wrong" not in words_of(ana.read(f"{path}?signature=refused"))


def test_last_page_says_how_many_there_are_on_all(
    ana: Browser, acme_endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hours in range(3):
        make_delivery(endpoint=acme_endpoint, first_received_at=NOON - timedelta(hours=hours))
    monkeypatch.setattr(views, "PAGE", 2)
    [older] = set(re.findall(r'href="([^"]*older=[^"]*)"', ana.read(address("endpoint-deliveries", acme_endpoint))))
    last = ana.read(older.replace("&amp;", "&"))
    assert (len(rows_of(last)), "3 deliveries" in words_of(last)) == (1, True)


@pytest.mark.parametrize("query", ["", "?signature=refused", "?state=failed"])
def test_deliveries_that_are_all_on_the_page_are_not_counted_again(
    ana: Browser, acme_endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    def count(**_facts: object) -> int:
        return 7

    for name in ("count", "refused_count"):
        monkeypatch.setattr(delivery_lists, name, count)
    for _ in range(2):
        make_failed_delivery(endpoint=acme_endpoint)
        make_refused_attempt(endpoint=acme_endpoint)
    what = "refused requests" if "refused" in query else "deliveries"
    for per_page, number in ((2, 2), (1, 7)):
        monkeypatch.setattr(views, "PAGE", per_page)
        page = ana.read(address("endpoint-deliveries", acme_endpoint) + query)
        assert f'<h2 id="list-heading">{number} {what}' in page


def test_count_of_many_says_that_there_are_more() -> None:
    assert [views.number_words(number) for number in (0, 37, 1000, 1001)] == ["0", "37", "1,000", "1,000+"]
