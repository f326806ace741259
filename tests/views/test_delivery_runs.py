"""Redelivering the deliveries of a list: the preview's counts and exclusions, the run it starts, and the messages."""

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core import signing
from django.urls import reverse
from django.utils import timezone

from dashboard.actions.runs import commands
from dashboard.db.statement_timeout import TooSlow
from dashboard.models import Delivery, Endpoint, Install, Run, User
from dashboard.presenters import redeliverable
from dashboard.queries import health_checks
from dashboard.views import delivery_runs
from tests.contract.fake import FakeOpenTrain
from tests.factories import (
    NOON,
    make_contract,
    make_delivery,
    make_endpoint,
    make_failed_delivery,
    make_install,
    make_run,
)
from tests.refreshes import run_queued
from tests.views.conftest import Browser, browser_of


def words_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page[page.index("<main") :]).split())


def seen_on(page: str) -> str:
    return re.search(r'name="seen" value="([^"]+)"', page)[1]


def of_endpoint(endpoint: Endpoint, query: str = "") -> str:
    return f"{reverse('endpoint-deliveries-redeliver', args=[endpoint.pk])}?{query}"


def of_install(install: Install, query: str = "") -> str:
    return f"{reverse('install-deliveries-redeliver', args=[install.pk])}?{query}"


def of_all(query: str = "") -> str:
    return f"{reverse('delivery-list-redeliver')}?{query}"


def items_of(run: Run) -> list[str]:
    return list(run.items.values_list("opentrain_id", flat=True))


# --- The button -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["delivery-list", "install-deliveries", "endpoint-deliveries"])
def test_list_offers_to_redeliver_what_it_shows_with_its_filter(ana: Browser, endpoint: Endpoint, name: str) -> None:
    for _ in range(3):
        make_failed_delivery(endpoint=endpoint)
    args = {"delivery-list": [], "install-deliveries": [endpoint.install_id], "endpoint-deliveries": [endpoint.pk]}[
        name
    ]
    query = "state=failed&cause=status%3A503"
    page = ana.read(f"{reverse(name, args=args)}?{query}")
    link = f'href="{reverse(f"{name}-redeliver", args=args)}?{query}"'.replace("&", "&amp;")
    assert link in page
    assert "Redeliver these 3…" in words_of(page)
    assert "Redeliver 3 deliveries" in words_of(ana.read(f"{reverse(f'{name}-redeliver', args=args)}?{query}"))


@pytest.mark.parametrize("query", ["signature=refused", "state=failed&from=yesterdy", "delivery=none"])
def test_list_offers_nothing_where_nothing_can_be_meant(ana: Browser, endpoint: Endpoint, query: str) -> None:
    make_failed_delivery(endpoint=endpoint)
    assert "Redeliver th" not in ana.read(f"{reverse('endpoint-deliveries', args=[endpoint.pk])}?{query}")


LIST = "endpoint-deliveries"


def list_of(endpoint: Endpoint, query: str = "") -> str:
    return f"{reverse(LIST, args=[endpoint.pk])}?{query}"


def test_list_names_the_number_that_its_preview_names(ana: Browser, endpoint: Endpoint) -> None:
    for _ in range(3):
        make_failed_delivery(endpoint=endpoint)
    make_failed_delivery(endpoint=endpoint, attempt_count=1, attempts_in_round=1, last_attempt_at=timezone.now())
    make_delivery(endpoint=endpoint)
    make_failed_delivery(endpoint=endpoint, requested_at=timezone.now())
    assert "Redeliver these 4…" in words_of(ana.read(list_of(endpoint)))
    assert "Redeliver 4 deliveries" in words_of(ana.read(of_endpoint(endpoint)))
    assert "Redeliver this one…" in words_of(ana.read(list_of(endpoint, "state=retrying")))


def test_list_without_anything_to_redeliver_has_no_button(ana: Browser, endpoint: Endpoint) -> None:
    make_delivery(endpoint=endpoint)
    make_failed_delivery(endpoint=endpoint, requested_at=timezone.now())
    page = ana.read(list_of(endpoint))
    assert reverse(f"{LIST}-redeliver", args=[endpoint.pk]) not in page
    assert "Send delivered ones again…" not in page
    assert "Nothing to redeliver" in words_of(ana.read(of_endpoint(endpoint)))


def test_filtered_list_of_delivered_ones_says_that_it_sends_them_again(ana: Browser, endpoint: Endpoint) -> None:
    make_delivery(endpoint=endpoint)
    page = ana.read(list_of(endpoint, "event=contract.started"))
    link = f"{reverse(f'{LIST}-redeliver', args=[endpoint.pk])}?event=contract.started&amp;delivered=1"
    assert "Send delivered ones again…" in words_of(page)
    assert f'href="{link}"' in page
    assert "Redeliver 1 delivery" in words_of(ana.read(link.replace("&amp;", "&")))
    Endpoint.objects.update(status="DISABLED")
    assert "Send delivered" not in ana.read(list_of(endpoint, "event=contract.started"))


def test_list_of_a_disabled_endpoint_offers_its_recovery_instead(ana: Browser, endpoint: Endpoint) -> None:
    make_failed_delivery(endpoint=endpoint)
    Endpoint.objects.update(status="DISABLED", consecutive_failures=10)
    page = ana.read(list_of(endpoint, "state=failed"))
    assert f'href="{reverse("endpoint-recover", args=[endpoint.pk])}"' in page
    assert "The endpoint is disabled or paused, so deliveries are stopped." in words_of(page)
    assert "Redeliver this one" not in page


def test_list_of_overtaken_ones_says_that_they_are(ana: Browser, endpoint: Endpoint) -> None:
    make_failed_delivery(endpoint=endpoint, resource_id="con_1", event_created_at=NOON)
    make_delivery(
        endpoint=endpoint, resource_id="con_1", event_type="contract.ended", event_created_at=NOON + timedelta(hours=1)
    )
    assert "Redeliver 1 overtaken…" in words_of(ana.read(list_of(endpoint)))
    assert "Redeliver 1 overtaken delivery?" in words_of(ana.read(of_endpoint(endpoint)))


def test_viewer_gets_no_link_to_redeliver(viewer: User, acme: Install) -> None:
    make_failed_delivery(endpoint=make_endpoint(install=acme))
    page = browser_of(viewer).read(reverse("delivery-list"))
    assert ("1 delivery" in page, "Redeliver th" in page) == (True, False)


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


# --- Starting ---------------------------------------------------------------------------------------------------------


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


# --- The order guard --------------------------------------------------------------------------------------------------


@pytest.fixture
def overtaken(endpoint: Endpoint, fake_opentrain: FakeOpenTrain) -> Delivery:
    """Of two failed deliveries, the one whose contract has ended."""
    ended, _other = (
        make_failed_delivery(endpoint=endpoint, opentrain_id=opentrain_id)
        for opentrain_id in fake_opentrain.add_deliveries(endpoint.opentrain_id, failed=2)
    )
    make_contract(install=endpoint.install, opentrain_id=ended.resource_id, status="ended")
    return ended


@pytest.mark.parametrize("name", ["delivery-list", "install-deliveries", "endpoint-deliveries"])
def test_preview_leaves_overtaken_ones_out_and_says_why(ana: Browser, overtaken: Delivery, name: str) -> None:
    endpoint = overtaken.endpoint
    args = {"install-deliveries": [endpoint.install_id], "endpoint-deliveries": [endpoint.pk]}.get(name, [])
    page = ana.read(f"{reverse(f'{name}-redeliver', args=args)}?state=failed")
    text = words_of(page)
    assert "Redeliver 1 delivery" in text
    assert "1 is left out: a later event of the same resource has overtaken it." in text
    assert "OpenTrain lists this contract as ended; redelivering contract.started may give access back." in text
    assert "Redeliver the overtaken one too: the handler gets it after the later event, and may undo that." in text
    assert f'href="{reverse("delivery-detail", args=[overtaken.pk])}"' in page


@pytest.mark.parametrize(
    ("form", "state", "said"), [({}, "left_out", "left out"), ({"overtaken": "1"}, "waiting", "included")]
)
def test_overtaken_ones_are_redelivered_only_if_their_box_is_checked(
    ana: Browser, overtaken: Delivery, form: dict[str, str], state: str, said: str
) -> None:
    page = of_endpoint(overtaken.endpoint, "state=failed")
    text = words_of(ana.submit(page, seen=seen_on(ana.read(page)), **form))
    run = Run.objects.get()
    item = run.items.get(delivery=overtaken)
    assert (item.state, item.is_overtaken) == (state, True)
    assert run.chosen.endswith(f"; 1 {said}: overtaken by a later event of the same resource")
    assert "since the preview" not in text


def test_delivery_that_is_overtaken_since_the_preview_is_left_out_even_if_the_box_is_checked(
    ana: Browser, overtaken: Delivery
) -> None:
    page = of_endpoint(overtaken.endpoint, "state=failed")
    seen = seen_on(ana.read(page))
    other = Delivery.objects.exclude(pk=overtaken.pk).get()
    make_contract(install=overtaken.endpoint.install, opentrain_id=other.resource_id, status="ended")
    text = words_of(ana.submit(page, seen=seen, overtaken="1"))
    assert dict(Run.objects.get().items.values_list("delivery", "state")) == {
        overtaken.pk: "waiting",
        other.pk: "left_out",
    }
    assert "1 delivery is left out: delivered, requeued, overtaken or removed since the preview." in text


def test_overtaken_ones_alone_need_their_box(ana: Browser, overtaken: Delivery) -> None:
    Delivery.objects.exclude(pk=overtaken.pk).delete()
    page = of_endpoint(overtaken.endpoint, "state=failed")
    seen = seen_on(ana.read(page))
    response = ana.client.post(page, {"seen": seen})
    assert response.status_code == 422
    assert "Nothing is chosen, so nothing was started." in response.content.decode()
    assert not Run.objects.exists()
    ana.submit(page, seen=seen, overtaken="1")
    assert Run.objects.get().items.get().state == "waiting"


def test_one_call_is_offered_only_where_nothing_is_overtaken(ana: Browser, overtaken: Delivery) -> None:
    page = of_endpoint(overtaken.endpoint, "state=failed")
    shown = ana.read(page)
    why = "1 failed delivery is overtaken by later events, and one call requests it too"
    assert f"One by one, because {why}." in words_of(shown)
    assert 'name="how"' not in shown
    ana.submit(page, seen=seen_on(shown), how="one-call")  # the field is not believed
    assert Run.objects.get().one_call is False
    Run.objects.all().delete()
    overtaken.delete()
    assert 'value="one-call"' in ana.read(page)


def test_preview_of_the_release_before_can_be_confirmed(ana: Browser, overtaken: Delivery, support: User) -> None:
    """It was shown while the upgrade went on, and does not name the overtaken ones."""
    page, other = of_endpoint(overtaken.endpoint), Delivery.objects.exclude(pk=overtaken.pk).get()
    seen = {"ids": [overtaken.pk, other.pk], "words": "all", "delivered": False, "all_failed": True}
    signed = signing.dumps(seen | {"operation": uuid.uuid4().hex}, salt=f"redeliver-{support.pk}", compress=True)
    ana.submit(page, seen=signed, how="one-call")
    run = Run.objects.get()
    assert (run.one_call, run.items.get(delivery=overtaken).state) == (False, "left_out")
