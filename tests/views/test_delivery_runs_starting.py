"""Confirming a bulk redelivery starts exactly what was seen, once, or says why it starts nothing."""

import re
from datetime import timedelta

import pytest
from django.core import signing
from django.urls import reverse
from django.utils import timezone

from dashboard.models import Delivery, Endpoint, Install, Run, User
from dashboard.queries import health_checks
from dashboard.views import delivery_runs
from tests.contract.fake import FakeOpenTrain
from tests.factories import (
    make_delivery,
    make_endpoint,
    make_failed_delivery,
    make_run,
)
from tests.refreshes import run_queued
from tests.views.conftest import Browser, browser_of
from tests.views.test_delivery_runs import of_all, of_endpoint, words_of


def seen_on(page: str) -> str:
    return re.search(r'name="seen" value="([^"]+)"', page)[1]


def of_install(install: Install, query: str = "") -> str:
    return f"{reverse('install-deliveries-redeliver', args=[install.pk])}?{query}"


def items_of(run: Run) -> list[str]:
    return list(run.items.values_list("opentrain_id", flat=True))


def test_confirmed_is_exactly_what_was_seen(ana: Browser, endpoint: Endpoint) -> None:
    mine = make_failed_delivery(endpoint=endpoint)
    seen = seen_on(ana.read(of_endpoint(endpoint, "state=failed")))
    make_failed_delivery(endpoint=endpoint)
    text = words_of(ana.submit(of_endpoint(endpoint, "state=failed"), seen=seen, note="ticket 7"))
    run = Run.objects.get()
    assert items_of(run) == [mine.opentrain_id]
    assert (run.kind, run.note, run.one_call, run.batch) == ("bulk", "ticket 7", False, None)
    assert run.chosen.startswith("State: Failed (as of ")
    assert "Running: 0 of 1 delivered, 1 not requested." in text


def test_what_a_run_keeps_of_its_filter_names_the_install(ana: Browser, endpoint: Endpoint) -> None:
    make_failed_delivery(endpoint=endpoint)
    path = f"{reverse('delivery-list-redeliver')}?install={endpoint.install_id}"
    ana.submit(path, seen=seen_on(ana.read(path)))
    assert Run.objects.get().chosen.startswith(f"Install: {endpoint.install.name} (as of ")


def test_what_a_run_keeps_of_its_filter_is_in_utc_for_later_readers(support: User, endpoint: Endpoint) -> None:
    make_failed_delivery(endpoint=endpoint)
    support.time_zone = "Asia/Kolkata"
    support.save()
    path, asha = of_endpoint(endpoint, "from=2026-06-12T03:30Z"), browser_of(support)
    page = asha.read(path)
    asha.submit(path, seen=seen_on(page))
    chosen = Run.objects.get().chosen
    assert chosen.startswith("From: 2026-06-12 03:30 UTC (as of ")
    assert chosen.endswith(" UTC)")


def test_confirmed_on_an_endpoint_that_was_disabled_since_starts_nothing_and_says_so(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    """The preview may be outdated, so OpenTrain is asked before a run starts."""
    make_failed_delivery(endpoint=endpoint)
    seen = seen_on(ana.read(of_endpoint(endpoint)))
    fake_opentrain.disable(endpoint.opentrain_id, "10 consecutive failures")
    response = ana.client.post(of_endpoint(endpoint), {"seen": seen})
    assert response.status_code == 422
    text = words_of(response.content.decode())
    assert "An endpoint has changed since this preview and can&#x27;t redeliver now, so nothing was started." in text
    assert "The endpoint is disabled or paused, so deliveries are stopped. Recover it instead" in text
    assert Run.objects.count() == 0


def test_preview_polls_while_it_is_being_refreshed_and_no_longer(
    ana: Browser, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_checks, "has_worker", lambda **_: True)
    Install.objects.update(listed_at=timezone.now() - timedelta(minutes=1))
    make_failed_delivery(endpoint=endpoint)
    for path in (of_endpoint(endpoint, "state=failed"), reverse("endpoint-recover", args=[endpoint.pk])):
        page = ana.read(path)
        assert f'hx-get="{path}" hx-headers=\'{{"X-Redeliver-Poll": "1"}}\'' in page
        assert 'hx-select="#live" hx-trigger="redeliver:poll"' in page
        assert "Last synced" in words_of(page)
    run_queued()
    for path in (of_endpoint(endpoint, "state=failed"), reverse("endpoint-recover", args=[endpoint.pk])):
        assert "data-poll" not in ana.read(path)


def test_confirmed_twice_is_one_run(ana: Browser, endpoint: Endpoint) -> None:
    make_failed_delivery(endpoint=endpoint)
    seen = seen_on(ana.read(of_endpoint(endpoint)))
    pages = [ana.client.post(of_endpoint(endpoint), {"seen": seen})["Location"] for _ in range(2)]
    assert pages == [reverse("run-detail", args=[Run.objects.get().pk])] * 2


def test_what_changed_since_it_was_seen_is_left_out_and_said(ana: Browser, endpoint: Endpoint) -> None:
    first, second, third = (make_failed_delivery(endpoint=endpoint) for _ in range(3))
    seen = seen_on(ana.read(of_endpoint(endpoint)))
    Delivery.objects.filter(pk=first.pk).update(last_ok=True)
    Delivery.objects.filter(pk=second.pk).delete()
    text = words_of(ana.submit(of_endpoint(endpoint), seen=seen))
    assert "2 deliveries are left out: delivered, requeued, overtaken or removed since the preview." in text
    assert sorted(Run.objects.get().items.values_list("opentrain_id", "state")) == sorted(
        [(first.opentrain_id, "left_out"), (third.opentrain_id, "waiting")]
    )


def test_nothing_is_started_when_nothing_is_left(ana: Browser, endpoint: Endpoint) -> None:
    make_failed_delivery(endpoint=endpoint)
    seen = seen_on(ana.read(of_endpoint(endpoint)))
    Delivery.objects.update(last_ok=True)
    text = words_of(ana.submit(of_endpoint(endpoint), seen=seen))
    assert "1 delivery is left out: delivered, requeued, overtaken or removed since the preview." in text
    assert Run.objects.count() == 0


def test_delivered_ones_are_sent_again_when_they_are_asked_for(ana: Browser, endpoint: Endpoint) -> None:
    make_delivery(endpoint=endpoint)
    page = ana.read(of_endpoint(endpoint, "state=delivered"))
    assert "state=delivered&amp;delivered=1" in page
    page = ana.read(of_endpoint(endpoint, "state=delivered&delivered=1"))
    ana.submit(of_endpoint(endpoint, "state=delivered"), seen=seen_on(page))
    assert list(Run.objects.get().items.values_list("state", flat=True)) == ["waiting"]


def test_several_endpoints_become_a_run_each_shown_together(ana: Browser, endpoint: Endpoint) -> None:
    other, busy = make_endpoint(), make_endpoint()
    for one in (endpoint, endpoint, other, busy):
        make_failed_delivery(endpoint=one)
    page = ana.read(of_all("state=failed"))
    assert "3 runs, one for each endpoint" in words_of(page)
    active = make_run(endpoint=busy, state="running", ended_at=None)
    text = words_of(ana.submit(of_all("state=failed"), seen=seen_on(page)))
    assert "2 runs, started together" in text
    assert "0 requested again, 0 delivered, 0 failed again, 3 not requested of 3" in text
    assert f"No run was started on {busy.title}: run {active.pk} is already active there." in text
    started = Run.objects.exclude(pk=active.pk)
    assert {run.endpoint_id: run.items.count() for run in started} == {endpoint.pk: 2, other.pk: 1}
    assert "together with others" in ana.read(reverse("run-detail", args=[started[0].pk]))


def test_one_call_is_offered_where_the_filter_is_all_failed_of_one_endpoint(ana: Browser, endpoint: Endpoint) -> None:
    make_failed_delivery(endpoint=endpoint)
    page = ana.read(of_endpoint(endpoint, "state=failed"))
    assert 'value="one-call"' in page
    for other in (of_endpoint(endpoint, "state=failed&cause=503"), of_install(endpoint.install, "state=failed")):
        assert 'value="one-call"' not in ana.read(other)
    ana.submit(of_endpoint(endpoint, "state=failed"), seen=seen_on(page), how="one-call")
    assert Run.objects.get().one_call is True


def test_one_call_is_not_taken_for_anything_less(ana: Browser, endpoint: Endpoint) -> None:
    make_failed_delivery(endpoint=endpoint)
    page = ana.read(of_endpoint(endpoint, "state=failed&cause=503"))
    ana.submit(of_endpoint(endpoint, "state=failed"), seen=seen_on(page), how="one-call")
    assert Run.objects.get().one_call is False


@pytest.mark.parametrize("seen", ["", "nonsense", "eyJpZHMiOlsxXX0:1tABCD:forged", "\x00"])
def test_form_that_was_not_shown_starts_nothing_and_shows_how_it_is_now(
    ana: Browser, endpoint: Endpoint, seen: str
) -> None:
    make_failed_delivery(endpoint=endpoint)
    response = ana.client.post(of_endpoint(endpoint), {"seen": seen})
    assert response.status_code == 422
    assert "nothing was started. Check the updated preview below." in response.content.decode()
    assert Run.objects.count() == 0


def test_form_that_was_shown_an_hour_ago_starts_nothing(
    ana: Browser, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_failed_delivery(endpoint=endpoint)
    seen = seen_on(ana.read(of_endpoint(endpoint)))
    monkeypatch.setattr(delivery_runs, "GOOD_FOR", timedelta(seconds=-1))
    assert ana.client.post(of_endpoint(endpoint), {"seen": seen}).status_code == 422
    assert Run.objects.count() == 0


def test_form_is_of_use_to_nobody_else_and_reaches_nothing_that_is_hidden(
    ana: Browser, endpoint: Endpoint, outsider: User
) -> None:
    delivery = make_failed_delivery(endpoint=endpoint)
    seen = seen_on(ana.read(of_endpoint(endpoint)))
    olga = browser_of(outsider)
    assert olga.client.post(of_all(), {"seen": seen}).status_code == 422
    facts = {"ids": [delivery.pk], "words": "", "delivered": True, "all_failed": False, "operation": "0" * 32}
    forged = signing.dumps(facts, salt=f"redeliver-{outsider.pk}")
    assert olga.client.post(of_all(), {"seen": forged})["Location"] == reverse("delivery-list")
    assert Run.objects.count() == 0
    assert "Nothing to redeliver" in words_of(olga.read(of_all()))
