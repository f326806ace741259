"""The pages of reports, and their texts for the clipboard."""

import re
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from dashboard.models import Run, RunItem, User
from dashboard.views import reports
from tests.factories import NOON, SECRET, make_attempt, make_delivery, make_endpoint, make_install, make_run
from tests.views.conftest import Browser, browser_of
from tests.views.test_endpoints import words_of

pytestmark = pytest.mark.django_db
HOSTILE = f"<img src=x onerror=alert(1)>\"'</textarea> {SECRET}"


@pytest.fixture
def run() -> Run:
    endpoint = make_endpoint(install=make_install(name=HOSTILE))
    run = make_run(endpoint=endpoint, counts={"delivered": 3}, why="3 of 3 delivered in 9 s.")
    for position in range(3):
        RunItem.objects.create(
            run=run,
            position=position,
            opentrain_id=f"dlv_{position}",
            state="delivered",
            settled_at=NOON,
            words=HOSTILE,
        )
    return run


def pages(run: Run) -> dict[str, str]:
    delivery = make_delivery(endpoint=run.endpoint)
    make_attempt(delivery=delivery)
    return {
        "run": reverse("run-report", args=[run.pk]),
        "delivery": reverse("delivery-report", args=[delivery.pk]),
        "endpoint": reverse("endpoint-report", args=[run.endpoint_id]),
    }


@pytest.mark.parametrize("of", ["run", "delivery", "endpoint"])
def test_report_is_a_page_and_the_same_as_text_and_as_markdown(of: str, ana: Browser, run: Run) -> None:
    path = pages(run)[of]
    page = ana.read(path)
    areas = [unescape(text) for text in re.findall(r"<textarea id=[^>]*readonly>\n(.*?)</textarea>", page, re.DOTALL)]
    copied = [unescape(text) for text in re.findall(r'data-copy="([^"]*)"', page)]
    for name, area, button in zip(("text", "markdown"), areas, copied, strict=True):
        response = ana.client.get(path, {"format": name})
        assert response["Content-Type"] == "text/plain; charset=utf-8"
        text = re.sub(r"As of .*", "", response.content.decode())
        assert re.sub(r"As of .*", "", area) == re.sub(r"As of .*", "", button) == text
        assert "Install ID" in text


@pytest.mark.parametrize("of", ["run", "delivery", "endpoint"])
def test_report_has_neither_markup_from_outside_nor_secrets(of: str, ana: Browser, run: Run) -> None:
    path = pages(run)[of]
    page = ana.read(path)
    assert "<img" not in page
    for text in (page, ana.read(f"{path}?format=text"), ana.read(f"{path}?format=markdown")):
        assert SECRET[6:] not in text
        assert run.endpoint.receiver_key not in text


@pytest.mark.parametrize("of", ["run", "delivery", "endpoint"])
def test_unknown_format_is_refused(of: str, ana: Browser, run: Run) -> None:
    ana.read(f"{pages(run)[of]}?format=pdf", status=400)


@pytest.mark.parametrize("of", ["run", "delivery", "endpoint"])
def test_report_of_somebody_elses_install_does_not_exist(of: str, run: Run, outsider: User) -> None:
    browser_of(outsider).read(pages(run)[of], status=404)


def test_report_of_a_run_has_a_table_of_its_deliveries(ana: Browser, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    page = ana.read(reverse("run-report", args=[run.pk]))
    assert page.count("<td><code>dlv_") == 3
    assert "2026-06-12 12:00:00 UTC" in page
    assert f'href="{reverse("run-export", args=[run.pk])}?format=csv"' in page
    monkeypatch.setattr(reports, "MOST_ROWS", 2)
    page = ana.read(reverse("run-report", args=[run.pk]))
    assert page.count("<td><code>dlv_") == 2
    said = "This table has 2 of 3 deliveries, those without success first: 1 is left out. All are in the CSV file: "
    assert f"{said}https://redeliver.example.com/runs/{run.pk}/export/?format=csv" in words_of(page)
    assert page.index("left out.") < page.index("report-items")  # who reads the table on paper reads it first


def test_report_of_a_run_takes_as_many_queries_for_many_deliveries_as_for_few(ana: Browser, run: Run) -> None:
    path = reverse("run-report", args=[run.pk])
    with CaptureQueriesContext(connection) as few:
        ana.read(path)
    for position in range(3, 60):
        RunItem.objects.create(run=run, position=position, opentrain_id=f"dlv_{position}", state="failed_again")
    with CaptureQueriesContext(connection) as many:
        ana.read(path)
    assert len(many) == len(few)


@pytest.mark.parametrize("of", ["run", "delivery", "endpoint"])
def test_page_of_each_offers_its_report(of: str, ana: Browser, run: Run) -> None:
    report = pages(run)[of]
    page = ana.read(report.removesuffix("report/"))
    assert f'href="{report}" data-copy-from="{report}?format=text"' in page
