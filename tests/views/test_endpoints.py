"""An endpoint's page. Its buttons: test_operations.py. Registering an endpoint: test_registration.py."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from dashboard.models import AuditEntry, Endpoint, EndpointWrite, Install, Silence
from tests.contract.fake import FakeOpenTrain
from tests.factories import (
    NOON,
    make_alert,
    make_attempt,
    make_delivery,
    make_endpoint,
    make_failed_delivery,
    make_refused_attempt,
)
from tests.views.conftest import A_TIME, Browser

HOSTILE = "<img src=x onerror=alert(1)>\"'"
OPERATION = "6f0bd6b4-6f8e-4f5e-9b0b-5f4a3f1d2c11"


def page_of(endpoint: Endpoint) -> str:
    return reverse("endpoint-detail", args=[endpoint.pk])


def words_of(page: str) -> str:
    """Return a page's text as a reader sees it: a word with a possible line break inside is one word."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.replace("<wbr>", "")).split())


def test_detail_of_a_disabled_endpoint_says_what_is_going_on(ana: Browser, disabled: Endpoint) -> None:
    text = words_of(ana.read(page_of(disabled)))
    assert (
        "OpenTrain disabled it after 10 consecutive failures, so deliveries are stopped until it is re-enabled." in text
    )
    assert "OpenTrain's reason 10 consecutive failures" in text
    assert text.count("handler returned 503 ; last") == 1
    assert "2 deliveries failed: handler returned 503 ; last" in text
    assert "Redeliver all failed (2)" in text
    assert "To repair it manually, re-enable, then redeliver" in text
    assert f"Redeliver's receiver: {disabled.url}" in text
    assert "Forwards to the handler and returns its response." in text
    assert '<h1 id="endpoint-title" class="url"><bdi>acme.example.com/<wbr>hook</bdi>' in ana.read(page_of(disabled))


def test_detail_lists_deliveries_with_state_attempts_and_last_answer(ana: Browser, endpoint: Endpoint) -> None:
    now = timezone.now()
    delivery = make_delivery(
        endpoint=endpoint, opentrain_id="dlv_0123456789", attempt_count=2, attempts_in_round=2, last_attempt_at=now
    )
    make_attempt(delivery=delivery, number=1, ok=False)
    make_attempt(delivery=delivery, number=2)
    page = ana.read(page_of(endpoint))
    assert 'aria-label="2 attempts, oldest first: failed, delivered"' in page
    assert '<code title="dlv_0123456789">…23456789</code>' in page
    assert "Delivered (200)" in page
    assert "in 12 ms" in page


def test_detail_without_deliveries_says_where_they_would_come_from(ana: Browser, endpoint: Endpoint) -> None:
    assert "No deliveries yet." in ana.read(page_of(endpoint))


def test_detail_of_a_straight_endpoint_says_that_nothing_is_known(ana: Browser, connected: Install) -> None:
    endpoint = make_endpoint(install=connected, receiver_key=None, snapshot_at=timezone.now(), secret=None)
    text = words_of(ana.read(page_of(endpoint)))
    assert "unavailable (direct delivery)" in text
    assert "OpenTrain can't list them" in text


@pytest.fixture
def observed(connected: Install) -> Endpoint:
    """An endpoint that OpenTrain delivers to directly, and whose handler reports observations."""
    return make_endpoint(
        install=connected, receiver_key=None, secret=None, url="https://partner.example.com/hook",
        snapshot_at=timezone.now(), observation_key_sha256="0" * 64, observation_key_at=timezone.now(),
    )  # fmt: skip


def test_detail_of_a_straight_endpoint_offers_both_ways_to_feed_its_log(ana: Browser, connected: Install) -> None:
    endpoint = make_endpoint(install=connected, receiver_key=None, snapshot_at=timezone.now(), secret=None)
    page = ana.read(page_of(endpoint))
    assert f'href="/endpoints/{endpoint.pk}/route/"' in page
    assert f'<a href="/endpoints/{endpoint.pk}/observation-key/">have the handler report them</a>' in page


def test_detail_of_an_observed_endpoint_shows_what_is_known_and_from_whom(ana: Browser, observed: Endpoint) -> None:
    text = words_of(ana.read(page_of(observed)))
    assert "reported by the handler (direct delivery)" in text
    assert "The handler hasn't reported any deliveries yet." in text
    make_delivery(endpoint=observed)
    text = words_of(ana.read(page_of(observed)))
    assert "No failed deliveries in the log." in text
    assert "None failed here; OpenTrain may have others." in text
    assert "No delivery was attempted in the last 24 hours." in text


def test_detail_of_an_endpoint_that_is_fed_both_ways_says_so(ana: Browser, endpoint: Endpoint) -> None:
    assert "reports deliveries too" not in ana.read(page_of(endpoint))
    Endpoint.objects.update(observation_key_sha256="0" * 64)
    text = words_of(ana.read(page_of(endpoint)))
    assert "The handler reports deliveries too ; an attempt that both report counts once" in text


def test_install_says_what_is_known_of_an_observed_endpoint(ana: Browser, observed: Endpoint) -> None:
    path = reverse("install-detail", args=[observed.install_id])
    text = words_of(ana.read(path))
    assert "reported by its handler" in text
    assert "unknown" not in text
    Endpoint.objects.update(observation_key_sha256=None)
    assert "unknown" in words_of(ana.read(path))


def test_detail_leads_to_the_doctor_and_the_observation_key(ana: Browser, endpoint: Endpoint) -> None:
    refused = make_refused_attempt(endpoint=endpoint)
    page = ana.read(page_of(endpoint))
    for path in ("doctor/", f"doctor/?refused={refused.pk}", "observation-key/"):
        assert f'href="/endpoints/{endpoint.pk}/{path}"' in page


def test_progress_of_an_observed_endpoint_is_counted_from_what_it_reports(
    ana: Browser, observed: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    now = timezone.now()
    entry = {"operation": OPERATION, "action": "redeliver all failed", "actor_name": "ana", "endpoint": observed}
    AuditEntry.objects.create(phase="requested", **entry)
    AuditEntry.objects.create(phase="done", requeued=2, **entry)
    make_delivery(
        endpoint=observed, first_received_at=now - timedelta(hours=1), last_attempt_at=now + timedelta(minutes=1)
    )
    text = words_of(ana.read(reverse("operation-progress", args=[OPERATION])))
    assert "Results appear here as they arrive: 1 of 2 , 1 delivered" in text


def test_detail_of_a_deleted_endpoint_has_no_buttons(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.delete_endpoint(token=endpoint.install.token, endpoint_id=endpoint.opentrain_id)
    Endpoint.objects.update(snapshot_at=timezone.now() - timedelta(minutes=1))
    EndpointWrite.objects.update(at=timezone.now() - timedelta(minutes=1))
    page = ana.read_refreshed(page_of(endpoint))
    assert "OpenTrain no longer has this endpoint" in page
    assert "/enable/" not in page
    assert "/redeliver/" not in page


def test_detail_shows_refused_requests_with_their_reason(ana: Browser, endpoint: Endpoint) -> None:
    make_refused_attempt(endpoint=endpoint, explanation="The signature is 412 s old.", claimed_delivery_id="dlv_1")
    text = words_of(ana.read(page_of(endpoint)))
    assert "Refused requests" in text
    assert "The signature is 412 s old." in text


def test_detail_says_which_alerts_are_open(ana: Browser, endpoint: Endpoint) -> None:
    make_alert(endpoint=endpoint, kind="signatures", words="Redeliver refused 3 requests.", opened_at=timezone.now())
    make_alert(endpoint=endpoint, kind="overdue", words="Was overdue.", cleared_at=timezone.now())
    text = words_of(ana.read(reverse("endpoint-detail", args=[endpoint.pk])))
    assert re.search(rf"Signatures refused since {A_TIME}: Redeliver refused 3 requests\.", text)
    assert "Was overdue." not in text


def test_older_deliveries_follow_on_the_last_one_shown_even_when_new_ones_came(
    ana: Browser, endpoint: Endpoint
) -> None:
    start = timezone.now() - timedelta(hours=1)
    made = [
        make_delivery(endpoint=endpoint, opentrain_id=f"d{n:02}", first_received_at=start + timedelta(seconds=n // 3))
        for n in range(60)
    ]
    first = ana.read(page_of(endpoint))
    older = re.search(r'\?before=(\d+)"', first)[1]
    make_delivery(endpoint=endpoint, opentrain_id="new", first_received_at=timezone.now())
    second = ana.read(f"{page_of(endpoint)}?before={older}")
    shown = [re.findall(r'<code title="(d\d\d|new)">', page) for page in (first, second)]
    assert shown[0] + shown[1] == [delivery.opentrain_id for delivery in reversed(made)][:50]


@pytest.mark.parametrize("before", ["x", "-1", "9" * 30, "0", "<b>", "٣"])
def test_older_than_nothing_known_shows_the_newest(before: str, ana: Browser, endpoint: Endpoint) -> None:
    make_delivery(endpoint=endpoint, opentrain_id="dlv_1")
    assert 'title="dlv_1"' in ana.read(f"{page_of(endpoint)}?before={before}")


def test_detail_asks_the_database_no_more_for_more_deliveries(
    ana: Browser, endpoint: Endpoint, django_assert_max_num_queries
) -> None:
    Install.objects.update(last_error="down", last_error_at=timezone.now())
    for _ in range(20):
        make_attempt(delivery=make_failed_delivery(endpoint=endpoint))
    with django_assert_max_num_queries(14):  # one of figures, one of the range that fits
        ana.read(page_of(endpoint))


def test_live_part_is_304_until_something_happens(ana: Browser, endpoint: Endpoint) -> None:
    Install.objects.update(last_error="down", last_error_at=timezone.now())
    path = reverse("endpoint-live", args=[endpoint.pk])
    first = ana.client.get(path)
    assert "<html" not in first.content.decode()
    assert ana.client.get(path, headers={"If-None-Match": first["ETag"]}).status_code == 304
    make_delivery(endpoint=endpoint, opentrain_id="dlv_new")
    assert 'title="dlv_new"' in ana.client.get(path, headers={"If-None-Match": first["ETag"]}).content.decode()


def test_hostile_words_are_shown_and_not_obeyed(ana: Browser, connected: Install) -> None:
    Install.objects.update(last_error=HOSTILE, last_error_at=timezone.now())
    endpoint = make_endpoint(
        install=connected,
        url=HOSTILE,
        handler_url=HOSTILE,
        event_types=[HOSTILE],
        status="DISABLED",
        disabled_reason=HOSTILE,
    )
    make_failed_delivery(
        endpoint=endpoint, event_type=HOSTILE, opentrain_id=HOSTILE, resource_id=HOSTILE, last_cause=HOSTILE[:30]
    )
    make_refused_attempt(
        endpoint=endpoint, explanation=HOSTILE, claimed_delivery_id=HOSTILE, claimed_event_type=HOSTILE
    )
    AuditEntry.objects.create(
        endpoint=endpoint, phase="refused", action="re-enable endpoint", words=HOSTILE, quoted=HOSTILE, code=HOSTILE,
        request_id=HOSTILE, actor_name=HOSTILE, delivery_id=HOSTILE,
    )  # fmt: skip
    page = ana.read(page_of(endpoint))
    assert "<img" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") > 15


def test_detail_of_a_silent_endpoint_says_so_and_what_to_do(ana: Browser, endpoint: Endpoint) -> None:
    last_at = timezone.now() - timedelta(days=3)
    make_delivery(endpoint=endpoint, first_received_at=last_at, last_attempt_at=last_at)
    Silence.objects.create(endpoint=endpoint, last_at=last_at, rhythm="days", noticed_at=timezone.now())
    text = words_of(ana.read(page_of(endpoint)))
    assert "Silent since" in text
    assert "Deliveries came every day for 7 days, but none in the last 3 days." in text
    assert "Ask the customer whether events were expected since then." in text
    assert "open its URL in a browser. It should say “Deliveries are sent by POST.”" in text
    make_delivery(endpoint=endpoint, first_received_at=timezone.now())  # a delivery ends the silence
    assert "Silent" not in words_of(ana.read(page_of(endpoint)))


def test_detail_says_what_is_still_to_be_attempted_and_what_never_came(ana: Browser, endpoint: Endpoint) -> None:
    Install.objects.update(last_error="down", last_error_at=timezone.now())
    Endpoint.objects.update(consecutive_failures=8)
    now = timezone.now()
    for minutes in (1, 60):  # the second one's next attempt is overdue
        at = now - timedelta(minutes=minutes)
        delivery = make_failed_delivery(
            endpoint=endpoint, attempt_count=1, attempts_in_round=1, first_received_at=at, last_attempt_at=at
        )
        make_attempt(delivery=delivery, ok=False, received_at=at)
    page = ana.read(page_of(endpoint))
    text = words_of(page)
    assert "OpenTrain counts 8 failures, 2 reached Redeliver: 6 missing." in text
    assert "1 delivery retrying: handler returned 503" in text
    assert "1 delivery retrying, next attempt overdue: handler returned 503" in text
    for state in ("retrying", "overdue"):
        assert f'href="/endpoints/{endpoint.pk}/deliveries/?state={state}"' in page
    assert "No failed deliveries" not in text
    assert "None failed here" not in text
    assert "What has not been delivered is retried automatically. OpenTrain may have others that failed." in text


def test_detail_says_what_was_requested_again_and_for_what_it_waits(
    ana: Browser, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.views.endpoints.PAGE", 2)
    Install.objects.update(last_error="down", last_error_at=timezone.now())
    for _ in range(2):
        make_failed_delivery(endpoint=endpoint, requested_at=timezone.now())
    text = words_of(ana.read(page_of(endpoint)))
    assert "2 deliveries requested again, waiting for the next delivery run" in text
    Endpoint.objects.update(status="DISABLED", consecutive_failures=10)
    make_failed_delivery(endpoint=endpoint, first_received_at=NOON - timedelta(days=1))
    text = words_of(ana.read(page_of(endpoint)))
    assert "2 of the newest 2 deliveries requested again, waiting until it is re-enabled" in text
    assert "No failed deliveries" not in text


def test_detail_of_a_paused_endpoint_offers_to_re_enable_it_first(ana: Browser, endpoint: Endpoint) -> None:
    Install.objects.update(last_error="down", last_error_at=timezone.now())
    Endpoint.objects.update(status="DISABLED")
    page = ana.read(page_of(endpoint))
    [first] = re.findall(r'<button type="submit" class="btn btn-primary">.*?</button>', page, re.DOTALL)
    assert "Re-enable" in first
    assert "No delivery has arrived yet, and none will until the endpoint is re-enabled." in words_of(page)
