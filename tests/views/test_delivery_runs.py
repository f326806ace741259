"""Redelivering the deliveries of a list: the preview's counts and exclusions, and the list of runs."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from dashboard.actions.runs import commands
from dashboard.db.statement_timeout import TooSlow
from dashboard.models import Endpoint, User
from dashboard.presenters import redeliverable
from dashboard.views import delivery_runs
from tests.contract.fake import FakeOpenTrain
from tests.factories import (
    make_delivery,
    make_endpoint,
    make_failed_delivery,
    make_install,
    make_run,
)
from tests.views.conftest import Browser, browser_of


def words_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page[page.index("<main") :]).split())


def of_endpoint(endpoint: Endpoint, query: str = "") -> str:
    return f"{reverse('endpoint-deliveries-redeliver', args=[endpoint.pk])}?{query}"


def of_all(query: str = "") -> str:
    return f"{reverse('delivery-list-redeliver')}?{query}"


# --- The preview ------------------------------------------------------------------------------------------------------


def test_preview_counts_by_cause_and_age_and_says_what_is_left_out(ana: Browser, endpoint: Endpoint) -> None:
    now = timezone.now()
    make_failed_delivery(endpoint=endpoint, first_received_at=now - timedelta(days=3))
    make_failed_delivery(endpoint=endpoint, first_received_at=now, last_cause="timeout")
    make_failed_delivery(endpoint=endpoint, requested_at=now)
    make_delivery(endpoint=endpoint)
    text = words_of(ana.read(of_endpoint(endpoint)))
    assert "Redeliver 2 deliveries 4 match in the list of acme.example.com/ hook . No filter: all" in text
    assert "1 : handler returned 503" in text
    assert "1 : no response from the handler within 9.85 s" in text
    assert "1 : less than an hour old" in text
    assert "1 : a day to a week old" in text
    assert "1 : already delivered" in text
    assert "1 : already requested again, attempt pending" in text
    text = words_of(ana.read(of_endpoint(endpoint, "delivered=1")))
    assert "Redeliver 3 deliveries" in text
    assert "already delivered" not in text


def test_preview_that_finds_nothing_leads_back_to_the_filter(ana: Browser, endpoint: Endpoint) -> None:
    page = ana.read(of_endpoint(endpoint, "delivery=none"))
    back = f"{reverse('endpoint-deliveries', args=[endpoint.pk])}?delivery=none"
    assert f'<a class="btn" href="{back}">Change the filter in the list</a>' in page


def test_preview_says_how_many_opentrain_still_tries_by_itself(ana: Browser, endpoint: Endpoint) -> None:
    make_failed_delivery(endpoint=endpoint)
    make_failed_delivery(endpoint=endpoint, attempts_in_round=2)
    page = ana.read(of_endpoint(endpoint, "cause=503"))
    assert "OpenTrain still retries 1 of these automatically. Only failed ones" in words_of(page)
    assert "?cause=status%3A503&amp;state=failed" in page
    assert "still tries again" not in ana.read(of_endpoint(endpoint, "state=failed"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"deleted_at": timezone.now()},
            "OpenTrain no longer has this endpoint, so these deliveries can never be redelivered.",
        ),
        ({"status": "DISABLED"}, "The endpoint is disabled or paused, so deliveries are stopped. Recover it instead"),
        ({"opentrain_id": None}, "OpenTrain does not list this endpoint yet."),
    ],
)
def test_preview_says_plainly_which_endpoints_cannot_redeliver(ana: Browser, change: dict[str, Any], said: str) -> None:
    endpoint = make_endpoint()
    make_failed_delivery(endpoint=endpoint)
    Endpoint.objects.filter(pk=endpoint.pk).update(**change)
    page = ana.read(of_all("state=failed"))
    assert said in words_of(page)
    assert "Nothing to redeliver" in words_of(page)
    assert "1 : its endpoint can&#x27;t redeliver now" in words_of(page)
    assert 'name="seen"' not in page


def test_preview_says_that_a_token_is_refused(ana: Browser) -> None:
    install = make_install(last_error="OpenTrain refused the token.", last_error_code="token_refused")
    make_failed_delivery(endpoint=make_endpoint(install=install))
    assert "OpenTrain refused the token. View the install" in words_of(ana.read(of_all()))


def test_preview_of_an_endpoint_shows_what_a_refresh_brings(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed_delivery(endpoint=endpoint)
    Endpoint.objects.filter(pk=endpoint.pk).update(status="DISABLED", snapshot_at=timezone.now() - timedelta(hours=1))
    assert "Redeliver 1 delivery" in words_of(ana.read_refreshed(of_endpoint(endpoint)))


def test_preview_leads_to_the_run_that_is_in_the_way(ana: Browser, endpoint: Endpoint) -> None:
    make_failed_delivery(endpoint=endpoint)
    run = make_run(endpoint=endpoint, state="running", ended_at=None)
    page = ana.read(of_endpoint(endpoint))
    assert "This endpoint already has an active run" in words_of(page)
    assert reverse("run-detail", args=[run.pk]) in page
    assert 'name="seen"' not in page


def test_preview_of_too_many_says_how_to_narrow(
    ana: Browser, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_runs, "MOST", 2)
    for _ in range(3):
        make_failed_delivery(endpoint=endpoint)
    page = ana.read(of_endpoint(endpoint, "event=contract.started"))
    assert "More than 2 deliveries match, the most that can be redelivered at once." in words_of(page)
    assert "This cannot be redelivered like this" in words_of(page)
    assert "?state=failed&amp;event=contract.started" in page
    assert 'name="seen"' not in page


def test_preview_of_too_many_endpoints_says_so(ana: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redeliverable, "MOST_ENDPOINTS", 2)
    for _ in range(3):
        make_failed_delivery()
    assert "These deliveries belong to 3 endpoints; at most 2 runs can start at once" in words_of(ana.read(of_all()))


def test_preview_that_takes_too_long_says_so(ana: Browser, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*, ms: int) -> Any:
        raise TooSlow

    monkeypatch.setattr(delivery_runs, "at_most", slow)
    assert "Finding the matching deliveries takes longer than 5 s." in words_of(ana.read(of_endpoint(endpoint)))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("signature=refused", "Refused requests can&#x27;t be redelivered"),
        ("from=yesterdy", "“yesterdy” is not a time"),
    ],
)
def test_preview_of_a_filter_that_cannot_be_meant_says_why(
    ana: Browser, endpoint: Endpoint, query: str, said: str
) -> None:
    make_failed_delivery(endpoint=endpoint)
    page = ana.read(of_endpoint(endpoint, query))
    assert said in words_of(page)
    assert 'name="seen"' not in page


# --- The list of runs -------------------------------------------------------------------------------------------------


def test_list_of_runs_is_304_while_nothing_changes(ana: Browser, endpoint: Endpoint, support: User) -> None:
    run = make_run(endpoint=endpoint, state="running", ended_at=None, created_at=timezone.now())
    live = reverse("run-list-live")
    assert f'hx-get="{live}"' in ana.read(reverse("run-list"))
    etag = ana.client.get(live)["ETag"]
    ana.read(live, status=304, If_None_Match=etag)
    commands.stop(actor=support, run=run, now=timezone.now())
    assert 'data-row="stopped"' in ana.client.get(live, headers={"If-None-Match": etag}).content.decode()


def test_older_page_of_runs_is_not_polled(ana: Browser, endpoint: Endpoint) -> None:
    run = make_run(endpoint=endpoint)
    assert "data-poll" in ana.read(reverse("run-list"))
    assert "data-poll" not in ana.read(f"{reverse('run-list')}?before={run.pk}")


def test_batch_of_somebody_elses_runs_is_empty(ana: Browser, endpoint: Endpoint, outsider: User) -> None:
    batch = "00000000-0000-4000-8000-000000000001"
    make_run(endpoint=endpoint, batch=batch)
    path = f"{reverse('run-list')}?batch={batch}"
    assert 'data-row="done"' in ana.read(path)
    assert 'data-row="done"' not in browser_of(outsider).read(path)
