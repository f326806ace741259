"""A delivery's page: it shows any content, and executes none of it."""

import gzip
import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import brotli
import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from dashboard.actions.deliveries.answered import note_answered
from dashboard.actions.deliveries.groups import record_group
from dashboard.models import Attempt, Delivery, Endpoint, EndpointSnapshot, Install
from dashboard.rules.causes import Cause
from dashboard.vault import Secret
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON, make_attempt, make_delivery, make_endpoint, make_failed_delivery
from tests.receiver.journals import attempt
from tests.views.conftest import Browser
from tests.views.test_endpoints import HOSTILE, OPERATION, words_of


def page_of(delivery: Delivery) -> str:
    return reverse("delivery-detail", args=[delivery.pk])


def redeliver_of(delivery: Delivery) -> str:
    return reverse("delivery-redeliver", args=[delivery.pk])


def test_detail_says_the_state_and_every_attempt_in_words(ana: Browser, endpoint: Endpoint) -> None:
    delivery = make_failed_delivery(endpoint=endpoint)
    make_attempt(
        delivery=delivery, number=5, ok=False, cause="timeout", answered_status=504, latency_ms=9500,
        handler_url="https://acme.example.com/hook", answered_in_time=True,
    )  # fmt: skip
    text = words_of(ana.read(page_of(delivery)))
    assert "5 attempts failed, the last" in text
    assert "OpenTrain will not retry automatically." in text
    assert "Attempt 5: no response from the handler within 9.85 s ," in text
    assert "The handler https://acme.example.com/hook gave no response; OpenTrain got 504 in time." in text


def test_detail_names_the_handler_once_for_attempts_that_asked_the_same(ana: Browser, endpoint: Endpoint) -> None:
    delivery = make_failed_delivery(endpoint=endpoint)
    for number, url in enumerate(["https://old.example.com/", *["https://new.example.com/"] * 2], 1):
        make_attempt(
            delivery=delivery, number=number, ok=False, cause="status", answered_status=503, handler_status=503,
            handler_url=url, answered_in_time=True,
        )  # fmt: skip
    text = words_of(ana.read(page_of(delivery)))
    assert re.findall(r"The handler (?:(\S+) )?returned 503; OpenTrain got the same in time\.", text) == [
        "https://new.example.com/", "", "https://old.example.com/",
    ]  # fmt: skip


def test_detail_tells_an_attempt_that_opentrain_got_no_answer_to_from_a_success(
    ana: Browser, endpoint: Endpoint
) -> None:
    given = attempt(endpoint, received_at=timezone.now(), handler_url="https://acme.example.com/hook")
    record_group(attempts=[given])
    delivery = Delivery.objects.get()
    note_answered({given.id: Cause.GONE})
    page = ana.read(page_of(delivery))
    assert "Retrying Attempt 1 of 5 failed; next " in words_of(page)
    assert "Attempt 1: the answer did not reach OpenTrain in time" in words_of(page)
    assert "returned 200; Redeliver answered the same, but that did not reach OpenTrain in time." in words_of(page)
    assert 'class="tone-bad" data-row="attempt"' in page
    Attempt.objects.update(handler_url="", handler_status=None, answered_in_time=True, ok=True, cause="")
    page = ana.read(page_of(delivery))
    assert "Signature verified. OpenTrain got 200 in time." in words_of(page)
    assert 'class="tone-ok" data-row="attempt"' in page


@pytest.mark.parametrize(("attempts", "words"), [(1, "1 attempt"), (2, "2 attempts, newest first")])
def test_detail_heads_attempts_with_their_number(ana: Browser, endpoint: Endpoint, attempts: int, words: str) -> None:
    delivery = make_failed_delivery(endpoint=endpoint, attempt_count=attempts)
    assert f'<h2 id="attempts-heading">{words}</h2>' in ana.read(page_of(delivery))


@pytest.mark.parametrize(("status", "offered"), [("DISABLED", True), ("ACTIVE", False)])
def test_detail_of_a_disabled_endpoints_failed_delivery_offers_the_recovery_first(
    ana: Browser, endpoint: Endpoint, status: str, offered: bool
) -> None:
    Endpoint.objects.update(status=status)
    page = ana.read(page_of(make_failed_delivery(endpoint=endpoint)))
    recover = f'<a class="btn btn-primary" href="{reverse("endpoint-recover", args=[endpoint.pk])}">'
    assert (recover in page, "so deliveries are stopped." in page) == (offered, offered)
    assert "Redeliver this delivery" in page
    assert recover not in ana.read(page_of(make_delivery(endpoint=endpoint)))


def test_detail_says_that_the_next_attempt_comes_at_the_time_or_later(ana: Browser, endpoint: Endpoint) -> None:
    now = timezone.now()
    delivery = make_failed_delivery(endpoint=endpoint, attempts_in_round=2, last_attempt_at=now, first_received_at=now)
    text = words_of(ana.read(page_of(delivery)))
    assert re.search(r"Next attempt in about \d+ (s|min) at the earliest", text)


@pytest.mark.parametrize(
    ("signature", "words", "to_the_doctor"),
    [
        ("verified", "which verified the signature.", False),
        ("", "which did not say whether the signature was right.", False),
        ("mismatch", "which found that the signature does not fit.", True),
        ("stale", "which found the signature too old.", True),
        ("of a newer version", "which checked the signature.", True),
    ],
)
def test_detail_of_an_observed_delivery_says_whose_word_it_is(
    ana: Browser, signature: str, words: str, to_the_doctor: bool
) -> None:
    endpoint = make_endpoint(receiver_key=None, secret=None, observation_key_sha256="0" * 64)
    delivery = make_delivery(endpoint=endpoint, body=None)
    make_attempt(delivery=delivery, source="observed", signature=signature, request_headers=[], response_headers=[])
    page = ana.read(page_of(delivery))
    assert f"Reported by the handler, {words}" in words_of(page)
    assert ("Find out why</a>" in page) == to_the_doctor
    assert "No body was reported." in page
    assert "The body is empty." not in page
    assert "Request headers" not in page


@pytest.mark.parametrize(
    ("signature", "words", "to_the_doctor"),
    [
        ("verified", "Signature verified.", False),
        ("mismatch", "Signature not verified: the receiver found that the signature does not fit.", True),
        ("unchecked", "Signature not verified: the receiver had no secret to check the signature with.", False),
    ],
)
def test_detail_of_a_delivery_that_was_passed_on_says_whether_it_was_verified(
    ana: Browser, endpoint: Endpoint, signature: str, words: str, to_the_doctor: bool
) -> None:
    delivery = make_delivery(endpoint=endpoint, last_signature=signature)
    attempt = make_attempt(delivery=delivery, signature=signature)
    page = ana.read(page_of(delivery))
    assert words in words_of(page)
    assert ("Its signature is not verified." in page) is (signature != "verified")
    of_attempt = page[page.index(f'id="attempt-{attempt.pk}"') :]
    doctor = f'href="/endpoints/{endpoint.pk}/doctor/?delivery={delivery.pk}&amp;attempt=1">Find out why</a>'
    assert (doctor in of_attempt) == to_the_doctor


def test_deliveries_of_the_same_resource_say_which_are_not_verified(ana: Browser, endpoint: Endpoint) -> None:
    one = make_delivery(endpoint=endpoint, resource_id="con_1")
    make_delivery(endpoint=endpoint, resource_id="con_1")
    other = make_delivery(endpoint=endpoint, resource_id="con_1", last_signature="mismatch")
    page = ana.read(page_of(one))
    assert page.count("not verified") == 1
    row = page[page.index(f'id="same-{other.pk}"') :]
    assert "not verified" in row[: row.index("</tr>")]


def test_detail_tells_an_empty_body_from_one_that_was_not_reported(ana: Browser, endpoint: Endpoint) -> None:
    page = ana.read(page_of(make_delivery(endpoint=endpoint, body=b"")))
    assert "The body is empty." in page
    assert "No body was reported." not in page


def test_detail_shows_headers_and_what_was_answered(ana: Browser, endpoint: Endpoint) -> None:
    delivery = make_delivery(endpoint=endpoint)
    make_attempt(
        delivery=delivery, request_headers=[["X-OpenTrain-Event", "contract.started"]], response_head=b"thanks"
    )
    page = ana.read(page_of(delivery))
    assert "<dt>X-OpenTrain-Event</dt><dd>contract.started</dd>" in page
    assert "\nthanks</pre>" in page


@pytest.mark.parametrize(
    ("coding", "named", "compress"), [("gzip", "gzip", gzip.compress), ("br", "Brotli", brotli.compress)]
)
def test_detail_shows_a_compressed_response_in_its_charset(
    ana: Browser, endpoint: Endpoint, coding: str, named: str, compress: Callable[[bytes], bytes]
) -> None:
    delivery = make_delivery(endpoint=endpoint)
    compressed = compress("受け取りました <b>".encode("cp932"))
    attempt = make_attempt(
        delivery=delivery,
        response_headers=[["Content-Type", "text/plain; charset=Shift_JIS"], ["Content-Encoding", coding]],
        response_head=compressed,
    )
    page = ana.read(page_of(delivery))
    note = f"Decompressed from {len(compressed)} bytes of {named}."
    assert ("受け取りました &lt;b&gt;" in page, note in page, "No body." in page) == (True, True, False)
    in_row = ana.read(reverse("delivery-attempts", args=[delivery.pk]))
    assert ("受け取りました &lt;b&gt;" in in_row, note in in_row) == (True, True)
    attempt.response_headers = [["Content-Encoding", "zstd"]]
    attempt.response_head = b"\x28\xb5\x2f\xfd\x00\x00"
    attempt.save()
    words = "6 bytes, compressed with Zstandard, which Redeliver cannot read."
    page, in_row = ana.read(page_of(delivery)), ana.read(reverse("delivery-attempts", args=[delivery.pk]))
    assert (words in page, words in in_row, "No body." in page) == (True, True, False)


def test_detail_shows_hostile_words_and_does_not_obey_them(ana: Browser, endpoint: Endpoint) -> None:
    delivery = make_failed_delivery(
        endpoint=endpoint,
        opentrain_id=HOSTILE,
        event_id=HOSTILE,
        event_type=HOSTILE,
        resource_id=HOSTILE,
        body=json.dumps({HOSTILE: HOSTILE}).encode(),
    )
    make_attempt(
        delivery=delivery,
        ok=False,
        cause=HOSTILE[:30],
        handler_url=HOSTILE,
        request_headers=[[HOSTILE, HOSTILE]],
        response_headers=[[HOSTILE, HOSTILE]],
        response_head=HOSTILE.encode(),
    )
    page = ana.read(page_of(delivery))
    assert "<img" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") > 10


def follow_to_its_end(browser: Browser, delivery: Delivery) -> str:
    """Redeliver, see its progress before and after the delivery arrives, and return the answer to the press."""
    partial = browser.press(redeliver_of(delivery), operation=OPERATION)
    assert "<strong>0 of 1</strong>" in partial
    Delivery.objects.update(requested_at=None, last_attempt_at=timezone.now(), last_ok=True, attempts_in_round=1)
    assert "It arrived and was delivered." in browser.read(reverse("operation-progress", args=[OPERATION]))
    return partial


def test_redeliver_asks_for_this_one_and_follows_it(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    delivery = disabled.deliveries.order_by("pk")[0]
    assert "1 requeued." in follow_to_its_end(ana, delivery)
    assert fake_opentrain.calls[-1].arguments["delivery_id"] == delivery.opentrain_id
    # The same form again, from another tab, is the same operation: it counts the deliveries since then.
    assert "It arrived and was delivered." in ana.press(redeliver_of(delivery), operation=OPERATION)


def test_redeliver_that_requeues_others_too_follows_this_one(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    delivery = disabled.deliveries.order_by("pk")[0]
    fake_opentrain.change_answer(lambda answer: replace(answer, requeued=2), operation="redeliver")
    words = "OpenTrain requeued 2, although only this delivery was requested."
    assert words in follow_to_its_end(ana, delivery)


def test_redeliver_that_requeues_nothing_leaves_the_delivery_failed(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    delivery = disabled.deliveries.order_by("pk")[0]
    fake_opentrain.change_answer(lambda answer: replace(answer, requeued=0), operation="redeliver")
    partial = ana.press(redeliver_of(delivery), operation=OPERATION)
    assert "OpenTrain requeued nothing, so this delivery is not requested again." in partial
    assert "outcome-unavailable" in partial
    assert "Results appear here" not in partial
    assert "Failed</span>" in ana.read(reverse("delivery-detail", args=[delivery.pk]))
    ana.read(reverse("operation-progress", args=[OPERATION]), status=404)


def test_redeliver_costs_eight_queries(ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain) -> None:
    """The user waits for each: session, user, delivery, later events, the "requested" entry; then the record."""
    (opentrain_id,) = fake_opentrain.add_deliveries(endpoint.opentrain_id, failed=1)
    delivery = make_failed_delivery(endpoint=endpoint, opentrain_id=opentrain_id)
    with CaptureQueriesContext(connection) as captured:
        assert "1 requeued." in ana.press(redeliver_of(delivery))
    assert len([query for query in captured if "SAVEPOINT" not in query["sql"]]) == 8


def test_redeliver_with_a_token_that_cannot_be_read_says_what_to_do(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain, settings
) -> None:
    delivery = make_failed_delivery(endpoint=endpoint)
    keys, settings.FIELD_KEYS = settings.FIELD_KEYS, [Fernet.generate_key().decode()]
    Install.objects.update(token=Secret("ot_ptk_of_another_key"))
    settings.FIELD_KEYS = keys
    partial = ana.press(redeliver_of(delivery))
    assert "token cannot be read with the keys in FIELD_KEYS, so OpenTrain was not called." in html.unescape(partial)
    assert [call.operation for call in fake_opentrain.calls].count("redeliver") == 0


def test_redeliver_by_a_plain_form_leads_back_to_the_delivery(ana: Browser, disabled: Endpoint) -> None:
    delivery = disabled.deliveries.order_by("pk")[0]
    page = ana.submit(redeliver_of(delivery), operation=OPERATION)
    assert "1 requeued." in page
    assert "Requested again</span>" in page


def test_redeliver_of_one_that_opentrain_does_not_know_says_so(ana: Browser, endpoint: Endpoint) -> None:
    partial = ana.press(redeliver_of(make_delivery(endpoint=endpoint)))
    assert "There is no such delivery on this endpoint." in partial
    assert partial.count("(404 NOT_FOUND, request ") == 1


def test_live_part_is_only_the_part(ana: Browser, endpoint: Endpoint) -> None:
    delivery = make_delivery(endpoint=endpoint)
    path = reverse("delivery-live", args=[delivery.pk])
    first = ana.client.get(path)
    assert "<html" not in first.content.decode()
    make_attempt(delivery=delivery, number=7)
    assert "Attempt 7" in ana.client.get(path, headers={"If-None-Match": first["ETag"]}).content.decode()


def test_attempts_are_shown_by_their_times_also_one_that_entered_the_log_late(ana: Browser, endpoint: Endpoint) -> None:
    delivery = make_delivery(endpoint=endpoint, attempt_count=2)
    make_attempt(delivery=delivery, number=1, received_at=NOON + timedelta(minutes=5))
    make_attempt(delivery=delivery, number=2, ok=False, cause="status", answered_status=503, received_at=NOON)
    for name in ("delivery-detail", "delivery-attempts"):
        shown = ana.read(reverse(name, args=[delivery.pk]))
        assert re.findall(r"<strong>Attempt (\d+)", shown) == ["1", "2"], name


def test_row_opens_on_its_newest_attempts_and_keeps_up(ana: Browser, endpoint: Endpoint) -> None:
    delivery = make_failed_delivery(endpoint=endpoint, attempt_count=12)
    for number in range(1, 13):
        make_attempt(
            delivery=delivery,
            number=number,
            ok=False,
            cause="status",
            answered_status=503,
            response_head=b"<b>busy</b>",
        )
    row = ana.read(reverse("endpoint-deliveries", args=[endpoint.pk]))
    assert f'hx-get="/deliveries/{delivery.pk}/attempts/"' in row
    assert f'<a class="row-link" href="/deliveries/{delivery.pk}/">' in row
    opened = ana.read(reverse("delivery-attempts", args=[delivery.pk]))
    assert re.findall(r"Attempt (\d+): handler returned 503", opened) == [str(number) for number in range(12, 2, -1)]
    assert "2 earlier attempts not shown." in opened
    assert "&lt;b&gt;busy&lt;/b&gt;" in opened
    path = reverse("delivery-attempts-live", args=[delivery.pk])
    first = ana.client.get(path)
    assert ana.client.get(path, headers={"If-None-Match": first["ETag"]}).status_code == 304
    make_attempt(delivery=delivery, number=13)
    assert "Attempt 13" in ana.client.get(path, headers={"If-None-Match": first["ETag"]}).content.decode()


def test_detail_with_many_attempts_shows_the_newest(
    ana: Browser, endpoint: Endpoint, django_assert_max_num_queries
) -> None:
    delivery = make_delivery(endpoint=endpoint, attempt_count=60)
    for number in range(1, 61):
        make_attempt(delivery=delivery, number=number)
    with django_assert_max_num_queries(8):
        page = ana.read(page_of(delivery))
    assert "Attempt 60:" in page
    assert "Attempt 10:" not in page
    assert "10 earlier attempts not shown." in page


def test_detail_of_a_delivery_whose_body_left_says_so(ana: Browser, endpoint: Endpoint) -> None:
    delivery = make_delivery(endpoint=endpoint, body=None, body_gone_at=NOON + timedelta(days=30, hours=2))
    make_attempt(delivery=delivery, response_head=None)
    text = words_of(ana.read(page_of(delivery)))
    assert "The body was removed after 30 days." in text
    assert "The response body is no longer kept." in text
    assert "The body is empty." not in text


def test_detail_shows_the_body_as_a_tree_and_as_a_command(ana: Browser, endpoint: Endpoint) -> None:
    delivery = make_delivery(endpoint=endpoint, body=b'{"data": {"name": "<b>it\'s</b>"}}')
    make_attempt(delivery=delivery, request_headers=[["X-OpenTrain-Event", HOSTILE], ["Authorization", "[redacted]"]])
    page = ana.read(page_of(delivery))
    assert '<bdi class="text">&quot;&lt;b&gt;it&#x27;s&lt;/b&gt;&quot;</bdi>' in page
    assert "--url https://acme.example.com/hook" in page
    assert "<img" not in page
    assert "redacted" not in page[page.index('id="curl"') :]


def test_detail_without_a_handler_or_a_body_has_no_command(ana: Browser, endpoint: Endpoint) -> None:
    bodiless = make_delivery(endpoint=endpoint, body=None, body_gone_at=NOON)
    make_attempt(delivery=bodiless)
    assert 'id="curl"' not in ana.read(page_of(bodiless))
    Endpoint.objects.update(handler_url="")
    delivery = make_delivery(endpoint=endpoint)
    make_attempt(delivery=delivery)
    assert 'id="curl"' not in ana.read(page_of(delivery))


def test_detail_tells_what_other_deliveries_of_the_resource_did(ana: Browser, endpoint: Endpoint) -> None:
    delivery = make_delivery(endpoint=endpoint, resource_id="con_7", event_id="evt_7")
    other = make_endpoint(install=endpoint.install, handler_url="https://other.example.com/x")
    make_failed_delivery(endpoint=other, resource_id="con_7", event_id="evt_7")
    before = make_failed_delivery(endpoint=other, resource_id="con_7", event_id="evt_6", event_type=HOSTILE)
    elsewhere = make_delivery(resource_id="con_7")
    page = ana.read(page_of(delivery))
    same = words_of(page[page.index('id="same-heading"') :])
    assert "other.example.com/x Handler returned 503" in same
    assert page.count('id="same-') == 2  # the heading and one row: the table of the event has the other delivery
    assert (page_of(before) in page, page_of(elsewhere) in page, "<img" in page) == (True, False, False)


def test_detail_tells_what_became_of_the_event_at_every_endpoint_of_the_install(
    ana: Browser, endpoint: Endpoint
) -> None:
    delivery = make_delivery(endpoint=endpoint, event_id="evt_7", resource_id="con_7", event_created_at=NOON)
    twin = make_failed_delivery(
        endpoint=make_endpoint(install=endpoint.install, handler_url="https://twin.example.com/x"), event_id="evt_7"
    )
    disabled = make_endpoint(
        install=endpoint.install, handler_url="https://off.example.com/x", auto_disabled_at=NOON - timedelta(minutes=1)
    )
    for minutes, status, failures in ((-60, "ACTIVE", 9), (-1, "DISABLED", 10), (2, "ACTIVE", 0)):
        EndpointSnapshot.objects.create(
            endpoint=disabled, at=NOON + timedelta(minutes=minutes), not_before=NOON + timedelta(minutes=minutes),
            status=status, consecutive_failures=failures, event_types=["contract.started"], is_received=True,
        )  # fmt: skip
    make_endpoint(install=endpoint.install, receiver_key=None, url="https://direct.example.com/<b>")
    make_endpoint()
    page = ana.read(page_of(delivery))
    told = words_of(page[page.index('id="event-heading"') : page.index('id="body-heading"')])
    assert "2 of 4 endpoints have a delivery of it." in told
    assert "This delivery." in told
    assert "Failed twin.example.com/x 5 attempts failed" in told
    assert "None seen; disabled then off.example.com/x The endpoint was disabled when" in told
    assert "Direct: not seen here direct.example.com/<b>" in html.unescape(told)
    assert page_of(twin) in page
    assert "direct.example.com/<b>" not in page


def test_event_of_one_endpoint_alone_needs_no_table(ana: Browser, endpoint: Endpoint) -> None:
    assert "event-heading" not in ana.read(page_of(make_delivery(endpoint=endpoint)))


def test_event_asks_the_database_no_more_for_more_endpoints(
    ana: Browser, endpoint: Endpoint, django_assert_max_num_queries
) -> None:
    delivery = make_delivery(endpoint=endpoint)
    for _ in range(30):
        make_endpoint(install=endpoint.install)
    with django_assert_max_num_queries(13):
        page = ana.read(page_of(delivery))
    assert page.count('id="event-at-') == 31


def test_detail_shows_the_newest_ten_of_a_resource_and_none_of_no_resource(ana: Browser, endpoint: Endpoint) -> None:
    for number in range(12):
        first = make_delivery(
            endpoint=endpoint, resource_id="con_7", first_received_at=NOON + timedelta(minutes=number)
        )
    page = ana.read(page_of(first))
    assert page.count('id="same-') == 11  # the heading and ten rows
    make_delivery(endpoint=endpoint, resource_id="")
    assert 'id="same-' not in ana.read(page_of(make_delivery(endpoint=endpoint, resource_id="")))


def test_detail_takes_two_ids_that_were_cut_for_no_one_resource(ana: Browser, endpoint: Endpoint) -> None:
    cut = [make_delivery(endpoint=endpoint, resource_id="r" * 199 + "…") for _ in range(2)]
    assert 'id="same-' not in ana.read(page_of(cut[0]))
