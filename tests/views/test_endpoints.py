"""An endpoint's page, its buttons with and without JavaScript, and registering one."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from dashboard.actions import endpoints
from dashboard.models import AuditEntry, Delivery, Endpoint, Install
from dashboard.services.opentrain import OutcomeUnknown, Reason, Unavailable
from tests.contract.fake import FakeOpenTrain
from tests.factories import (
    make_attempt,
    make_delivery,
    make_endpoint,
    make_failed_delivery,
    make_refused_attempt,
    make_user,
)
from tests.views.conftest import Browser, browser_of

HOSTILE = "<img src=x onerror=alert(1)>\"'"
OPERATION = "6f0bd6b4-6f8e-4f5e-9b0b-5f4a3f1d2c11"


def page_of(endpoint: Endpoint) -> str:
    return reverse("endpoint-detail", args=[endpoint.pk])


def enable_of(endpoint: Endpoint) -> str:
    return reverse("endpoint-enable", args=[endpoint.pk])


def redeliver_of(endpoint: Endpoint) -> str:
    return reverse("endpoint-redeliver", args=[endpoint.pk])


def create_at(install: Install) -> str:
    return reverse("endpoint-create", args=[install.pk])


def operations_on(page: str) -> list[str]:
    return re.findall(r'name="operation" value="([^"]+)"', page)


def calls(fake: FakeOpenTrain, operation: str) -> int:
    return [call.operation for call in fake.calls].count(operation)


def words_of(page: str) -> str:
    """Return a page's text, as it is read."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


# --- What the page says ----------------------------------------------------------------------------------------------


def test_detail_of_a_disabled_endpoint_says_what_is_going_on(ana: Browser, disabled: Endpoint) -> None:
    text = words_of(ana.read(page_of(disabled)))
    assert "OpenTrain disabled it after 10 failures in a row. Nothing is attempted." in text
    assert "OpenTrain gives the reason: 10 consecutive failures" in text
    assert "2 deliveries failed: 503 from your handler ; last" in text
    assert "Redeliver all failed (2)" in text
    assert "By hand: re-enable, then redeliver" in text
    assert f"Redeliver's receiver: {disabled.url}" in text
    assert "It asks the handler above and passes its answer on." in text
    assert '<h1 id="endpoint-url" class="url"><span>https://acme.example.com/hook</span>' in ana.read(page_of(disabled))


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
    assert "No delivery has arrived yet." in ana.read(page_of(endpoint))


def test_detail_of_a_straight_endpoint_says_that_nothing_is_known(ana: Browser, connected: Install) -> None:
    endpoint = make_endpoint(install=connected, receiver_key=None, snapshot_at=timezone.now(), secret=None)
    text = words_of(ana.read(page_of(endpoint)))
    assert "nowhere: deliveries go straight to its URL" in text
    assert "OpenTrain has no way to list them" in text


@pytest.fixture
def observed(connected: Install) -> Endpoint:
    """One that OpenTrain delivers to by itself, and whose handler reports."""
    return make_endpoint(
        install=connected, receiver_key=None, secret=None, url="https://partner.example.com/hook",
        snapshot_at=timezone.now(), observation_key_sha256="0" * 64, observation_key_at=timezone.now(),
    )  # fmt: skip


def test_detail_of_a_straight_endpoint_offers_both_ways_to_feed_its_log(ana: Browser, connected: Install) -> None:
    endpoint = make_endpoint(install=connected, receiver_key=None, snapshot_at=timezone.now(), secret=None)
    page = ana.read(page_of(endpoint))
    assert f'href="/installs/{connected.pk}/endpoints/new/"' in page
    assert f'<a href="/endpoints/{endpoint.pk}/observation-key/">have its handler report what it sees</a>' in page


def test_detail_of_an_observed_endpoint_shows_what_is_known_and_from_whom(ana: Browser, observed: Endpoint) -> None:
    text = words_of(ana.read(page_of(observed)))
    assert "what its own handler reports ; deliveries go straight to its URL" in text
    assert "Its handler has reported no delivery yet." in text
    make_delivery(endpoint=observed)
    text = words_of(ana.read(page_of(observed)))
    assert "None of the deliveries that its handler reported is failed." in text
    assert "We know of no failed delivery; OpenTrain may." in text
    assert "No delivery arrived in the last 24 hours." in text


def test_detail_of_an_endpoint_that_is_fed_both_ways_says_so(ana: Browser, endpoint: Endpoint) -> None:
    assert "fed both ways" not in ana.read(page_of(endpoint))
    Endpoint.objects.update(observation_key_sha256="0" * 64)
    text = words_of(ana.read(page_of(endpoint)))
    assert "It is fed both ways: its handler reports too , and an attempt that both tell of counts once" in text


def test_install_says_what_is_known_of_an_observed_endpoint(ana: Browser, observed: Endpoint) -> None:
    path = reverse("install-detail", args=[observed.install_id])
    text = words_of(ana.read(path))
    assert "its handler reports" in text
    assert "not known" not in text
    Endpoint.objects.update(observation_key_sha256=None)
    assert "not known" in words_of(ana.read(path))


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
    assert "We will show them here as they arrive: 1 of 2 , 1 delivered" in text


def test_detail_of_a_deleted_endpoint_has_no_buttons(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.delete_endpoint(token=endpoint.install.token, endpoint_id=endpoint.opentrain_id)
    Endpoint.objects.update(snapshot_at=timezone.now() - timedelta(minutes=1))
    page = ana.read(page_of(endpoint))
    assert "OpenTrain no longer lists this endpoint" in page
    assert "/enable/" not in page
    assert "/redeliver/" not in page


def test_button_of_a_deleted_endpoint_asks_nobody(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    Endpoint.objects.update(deleted_at=timezone.now())
    assert ana.client.post(enable_of(endpoint)).status_code == 404
    assert calls(fake_opentrain, "update_endpoint") == 0


def test_detail_shows_refused_requests_with_their_reason(ana: Browser, endpoint: Endpoint) -> None:
    make_refused_attempt(endpoint=endpoint, explanation="The signature is 412 s old.", claimed_delivery_id="dlv_1")
    text = words_of(ana.read(page_of(endpoint)))
    assert "Refused requests" in text
    assert "The signature is 412 s old." in text


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
    with django_assert_max_num_queries(11):
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


# --- The buttons -----------------------------------------------------------------------------------------------------


def test_enable_by_htmx_answers_where_it_was_pressed_and_has_the_page_look_again(
    ana: Browser, disabled: Endpoint
) -> None:
    response = ana.client.post(enable_of(disabled), headers={"HX-Request": "true"})
    partial = response.content.decode()
    assert response["HX-Trigger"] == "redeliver:changed"
    assert "<html" not in partial
    assert "Re-enabled: OpenTrain sends to this endpoint again" in partial
    disabled.refresh_from_db()
    assert (disabled.status, disabled.consecutive_failures) == ("ACTIVE", 0)


def test_page_right_after_an_operation_asks_opentrain_how_things_are(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    ana.read(page_of(disabled))
    ana.press(enable_of(disabled))
    # A list that was asked for while the operation was under way, and answered with how things were before.
    Endpoint.objects.update(status="DISABLED", snapshot_at=timezone.now())
    assert "Active</span>" in ana.read(reverse("endpoint-live", args=[disabled.pk]))


def test_enable_by_a_plain_form_leads_to_the_page_with_the_answer(ana: Browser, disabled: Endpoint) -> None:
    page = ana.submit(enable_of(disabled), operation=OPERATION)
    assert "Re-enabled: OpenTrain sends to this endpoint again" in page
    assert "Active</span>" in page


def test_answer_of_somebody_else_is_not_shown_for_its_name(ana: Browser, disabled: Endpoint) -> None:
    ana.submit(enable_of(disabled), operation=OPERATION)
    bea = browser_of(make_user(role="support"))
    page = bea.read(f"{page_of(disabled)}?operation={OPERATION}")
    assert 'class="outcome' not in page


def test_enable_pressed_twice_is_one_call_and_one_answer(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    name = operations_on(ana.read(page_of(disabled)))[0]
    first = ana.press(enable_of(disabled), operation=name)
    second = ana.press(enable_of(disabled), operation=name)
    assert calls(fake_opentrain, "update_endpoint") == 1
    assert "Re-enabled" in first
    assert "Re-enabled" in second


def test_button_keeps_its_name_until_its_answer_is_in(ana: Browser, disabled: Endpoint) -> None:
    before = operations_on(ana.read(page_of(disabled)))
    assert operations_on(ana.read(page_of(disabled))) == before
    ana.press(redeliver_of(disabled), operation=before[1])
    after = operations_on(ana.read(page_of(disabled)))
    assert len(after) == 2
    assert set(after).isdisjoint(before)


def test_button_whose_request_died_works_again_after_a_minute(ana: Browser, disabled: Endpoint) -> None:
    name = operations_on(ana.read(page_of(disabled)))[0]
    entry = {"phase": "requested", "action": "re-enable endpoint", "endpoint": disabled}
    AuditEntry.objects.create(operation=name, **entry)
    assert operations_on(ana.read(page_of(disabled)))[0] == name
    AuditEntry.objects.create(at=timezone.now() - timedelta(minutes=2), **entry)
    assert operations_on(ana.read(page_of(disabled)))[0] != name


@pytest.mark.parametrize("operation", ["", "nonsense", "6f0bd6b4"])
def test_form_without_a_usable_name_is_an_operation_of_its_own(
    operation: str, ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    assert "Re-enabled" in ana.press(enable_of(disabled), operation=operation)
    assert calls(fake_opentrain, "update_endpoint") == 1


def test_redeliver_quotes_opentrain_and_counts_what_arrives(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    ana.press(enable_of(disabled))
    partial = ana.press(redeliver_of(disabled), operation=OPERATION)
    assert "3 requeued." in partial
    assert "<q>Requeued deliveries will be attempted on the next delivery run (within ~5 minutes).</q>" in partial
    assert "We will show them here as they arrive: <strong>0 of 3</strong>." in partial

    again = reverse("operation-progress", args=[OPERATION])
    assert f'hx-get="{again}"' in partial
    one, two = Delivery.objects.order_by("pk")
    arrive(one, ok=True)
    assert "<strong>1 of 3</strong>, 1 delivered." in ana.read(again)
    arrive(two, ok=False)
    assert "<strong>2 of 3</strong>, 1 delivered, 1 failed again." in ana.read(again)


def test_progress_ends_when_all_arrived(ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain) -> None:
    ana.press(enable_of(disabled))
    ana.press(redeliver_of(disabled), operation=OPERATION)
    make_failed_delivery(endpoint=disabled)  # the third that OpenTrain knows of
    for delivery in Delivery.objects.all():
        arrive(delivery, ok=True)
    partial = ana.read(reverse("operation-progress", args=[OPERATION]))
    assert "All 3 arrived and were delivered." in partial
    assert "hx-get" not in partial


@pytest.mark.parametrize("enabled_first", [True, False])
def test_progress_counts_what_was_failed_before_it_was_ever_attempted(
    enabled_first: bool, ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    created_before = timezone.now()
    if enabled_first:
        ana.press(enable_of(disabled))
    ana.press(redeliver_of(disabled), operation=OPERATION)
    if not enabled_first:
        ana.press(enable_of(disabled))
    later = timezone.now()
    for event_created_at in (created_before, later):  # the second is a new event, and none of the three
        make_delivery(
            endpoint=disabled, event_created_at=event_created_at, first_received_at=later, last_attempt_at=later
        )
    assert "<strong>1 of 3</strong>, 1 delivered." in ana.read(reverse("operation-progress", args=[OPERATION]))


def arrive(delivery: Delivery, *, ok: bool) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(requested_at=None, last_attempt_at=timezone.now(), last_ok=ok)


def test_progress_is_for_those_who_see_the_endpoint(ana: Browser, disabled: Endpoint, outsider) -> None:
    ana.press(redeliver_of(disabled), operation=OPERATION)
    ana.client.force_login(outsider)
    ana.read(reverse("operation-progress", args=[OPERATION]), status=404)


def test_redeliver_while_disabled_says_what_opentrain_says_and_offers_to_enable(
    ana: Browser, disabled: Endpoint
) -> None:
    for page in (ana.press(redeliver_of(disabled)), ana.submit(redeliver_of(disabled), operation=OPERATION)):
        answer = page[page.index('class="outcome') :]
        assert "Nothing is attempted while the endpoint is DISABLED." in answer
        assert f'action="{enable_of(disabled)}"' in answer
    answer = ana.press(enable_of(disabled))
    assert "We will show them here as they arrive" in answer


def test_refusal_shows_code_and_request_id_to_copy(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.revoke(disabled.install.token)
    partial = ana.press(enable_of(disabled))
    assert "outcome-refused" in partial
    assert "The token is not valid" in partial
    assert "<code>UNAUTHORIZED</code>" in partial
    assert 'data-copy="00000000-0000-4000-8000-000000000401"' in partial


def test_unknown_outcome_says_so_and_is_not_repeated(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fail_next(OutcomeUnknown("OpenTrain did not answer within 15 s. The request may have been taken."))
    partial = ana.press(redeliver_of(disabled))
    assert "outcome-unknown" in partial
    assert "The request may have been taken." in partial
    assert calls(fake_opentrain, "redeliver") == 1


def test_unavailable_by_a_plain_form_is_shown_on_the_page_and_in_its_activity(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fail_next(Unavailable("OpenTrain cannot be reached. Nothing was changed.", reason=Reason.REFUSED))
    page = ana.submit(enable_of(disabled), operation=OPERATION)
    assert "outcome-unavailable" in page
    assert page.count("OpenTrain cannot be reached. Nothing was changed.") == 2
    assert "<strong>ana</strong> asked for <em>re-enable endpoint</em>" in page


def test_operation_without_an_answer_is_shown_as_one(ana: Browser, disabled: Endpoint, support) -> None:
    AuditEntry.objects.create(
        operation=OPERATION, phase="requested", action="redeliver all failed", endpoint=disabled, actor=support
    )
    page = ana.read(f"{page_of(disabled)}?operation={OPERATION}")
    assert "This was asked for, and OpenTrain has not answered yet." in page
    assert "No answer is recorded yet." in page


@pytest.mark.parametrize("path", ["endpoint-enable", "endpoint-redeliver"])
def test_button_takes_nothing_but_post(path: str, ana: Browser, endpoint: Endpoint) -> None:
    ana.read(reverse(path, args=[endpoint.pk]), status=405)


# --- Registering -----------------------------------------------------------------------------------------------------


def test_register_shows_the_secret_once_and_nothing_keeps_the_page(
    ana: Browser, connected: Install, fake_opentrain: FakeOpenTrain
) -> None:
    form = {"path": "receiver", "handler_url": "https://acme.example.com/hook", "event_types": ["contract.ended"]}
    response = ana.client.post(create_at(connected), form | {"operation": OPERATION})
    page = response.content.decode()
    endpoint = connected.endpoints.get()
    secret = endpoint.secret.reveal()
    assert f'<code id="secret">{secret}</code>' in page
    assert f'data-copy="{secret}"' in page
    assert "no-store" in response["Cache-Control"]
    assert endpoint.handler_url == "https://acme.example.com/hook"
    assert secret not in str(dict(ana.client.session))
    assert secret not in str(response.headers)

    repeated = ana.client.post(create_at(connected), form | {"operation": OPERATION}).content.decode()
    assert calls(fake_opentrain, "create_endpoint") == 1
    for later in (repeated, ana.read(page_of(endpoint)), ana.read(reverse("install-detail", args=[connected.pk]))):
        assert secret not in later


def test_register_straight_keeps_no_secret(ana: Browser, connected: Install) -> None:
    form = {"path": "direct", "url": "https://acme.example.com/hook", "event_types": ["contract.ended"]}
    page = ana.client.post(create_at(connected), form).content.decode()
    assert "Redeliver has not kept it" in page
    assert connected.endpoints.get().secret is None


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"path": "receiver", "event_types": []}, "Choose at least one event type."),
        ({"path": "receiver", "event_types": ["contract.sung"]}, "contract.sung is not one of the available choices"),
        ({"path": "direct", "event_types": ["contract.ended"]}, "Write the address that OpenTrain is to deliver to."),
        ({"path": "direct", "url": "http://a.example.com/", "event_types": ["contract.ended"]}, "https:// only"),
        ({"path": "direct", "url": "ftp://a.example.com/", "event_types": ["contract.ended"]}, "the whole address"),
        ({"path": "direct", "url": "https://u:p@a.example.com/", "event_types": ["contract.ended"]}, "Leave user name"),
        ({"path": "direct", "url": "https://[::1/", "event_types": ["contract.ended"]}, "not an address"),
        ({"path": "direct", "url": "https://a.example.com:x/", "event_types": ["contract.ended"]}, "not an address"),
        ({"path": "receiver", "handler_url": "https://ä.example.com", "event_types": ["contract.ended"]}, "plain"),
        ({"path": "receiver", "handler_url": "javascript:alert(1)", "event_types": ["contract.ended"]}, "whole"),
    ],
)
def test_register_with_something_wrong_says_what_and_asks_nobody(
    form: dict, words: str, ana: Browser, connected: Install, fake_opentrain: FakeOpenTrain
) -> None:
    response = ana.client.post(create_at(connected), form)
    page = response.content.decode()
    assert response.status_code == 422
    assert words in page
    assert "Nothing was sent to OpenTrain yet" in page
    assert calls(fake_opentrain, "create_endpoint") == 0


def test_register_that_is_refused_says_why_and_keeps_what_was_written(
    ana: Browser, connected: Install, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.set_status(connected.token, "SUSPENDED")
    form = {"path": "receiver", "handler_url": "https://acme.example.com/hook", "event_types": ["contract.ended"]}
    page = ana.client.post(create_at(connected), form).content.decode()
    assert "The install is SUSPENDED, not ACTIVE." in page
    assert 'value="https://acme.example.com/hook"' in page
    assert page.count("checked") == 2  # the path and the one event type
    assert not connected.endpoints.exists()


def test_register_page_offers_all_eight_event_types_chosen(ana: Browser, connected: Install) -> None:
    page = ana.read(create_at(connected))
    assert len(re.findall(r'name="event_types" value="[a-z_.]+" checked', page)) == 8


def test_register_asks_opentrain_through_the_action_only(ana: Browser, connected: Install, monkeypatch) -> None:
    asked: list[dict] = []

    def register(**arguments: object) -> tuple:
        asked.append(arguments)
        raise AssertionError

    monkeypatch.setattr(endpoints, "register", register)
    ana.client.raise_request_exception = False
    ana.client.post(create_at(connected), {"path": "receiver", "event_types": ["contract.ended"]})
    assert [(one["through_redeliver"], one["handler_url"], one["event_types"]) for one in asked] == [
        (True, "", ["contract.ended"])
    ]
