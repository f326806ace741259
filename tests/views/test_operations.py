"""An endpoint's buttons with and without JavaScript: one press is one call, and its answer appears at the button."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from dashboard.actions.installs import freshness, sync
from dashboard.models import AuditEntry, Endpoint, Install
from dashboard.services.opentrain import OutcomeUnknown, Reason, Unavailable
from dashboard.services.opentrain import call as opentrain_call
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_contract, make_endpoint, make_failed_delivery, make_user
from tests.refreshes import run_queued
from tests.services.misbehaving import answer, misbehaving, silent
from tests.views.conftest import Browser, browser_of
from tests.views.test_endpoints import words_of

OPERATION = "6f0bd6b4-6f8e-4f5e-9b0b-5f4a3f1d2c11"


def page_of(endpoint: Endpoint) -> str:
    return reverse("endpoint-detail", args=[endpoint.pk])


def enable_of(endpoint: Endpoint) -> str:
    return reverse("endpoint-enable", args=[endpoint.pk])


def redeliver_of(endpoint: Endpoint) -> str:
    return reverse("endpoint-redeliver", args=[endpoint.pk])


def operations_on(page: str) -> list[str]:
    return re.findall(r'name="operation" value="([^"]+)"', page)


def calls(fake: FakeOpenTrain, operation: str) -> int:
    return [call.operation for call in fake.calls].count(operation)


def test_enable_by_htmx_answers_where_it_was_pressed_and_has_the_page_look_again(
    ana: Browser, disabled: Endpoint
) -> None:
    response = ana.client.post(enable_of(disabled), headers={"HX-Request": "true"})
    partial = response.content.decode()
    assert response["HX-Trigger"] == "redeliver:changed"
    assert "<html" not in partial
    assert "Re-enabled. OpenTrain sends to this endpoint again" in partial
    disabled.refresh_from_db()
    assert (disabled.status, disabled.consecutive_failures) == ("ACTIVE", 0)


def test_page_right_after_an_operation_shows_what_it_did_without_a_refresh(ana: Browser, disabled: Endpoint) -> None:
    assert "Disabled</span>" in ana.read(page_of(disabled))
    ana.press(enable_of(disabled))
    for name in ("endpoint-detail", "endpoint-live"):
        assert "Active</span>" in ana.read(reverse(name, args=[disabled.pk]))


def test_page_right_after_an_operation_asks_opentrain_how_things_are(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    ana.read(page_of(disabled))
    ana.press(enable_of(disabled))
    # A list that was requested during the operation, and that still shows the earlier state.
    Endpoint.objects.update(status="DISABLED", snapshot_at=timezone.now())
    assert "Active</span>" in ana.read_refreshed(reverse("endpoint-live", args=[disabled.pk]))


def test_enable_by_a_plain_form_leads_to_the_page_with_the_answer(ana: Browser, disabled: Endpoint) -> None:
    page = ana.submit(enable_of(disabled), operation=OPERATION)
    assert "Re-enabled. OpenTrain sends to this endpoint again" in page
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


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        ("DISABLED", "unavailable", "Not re-enabled: OpenTrain answered that the endpoint is DISABLED, with 10"),
        ("HIBERNATING", "unknown", "OpenTrain gives its status as HIBERNATING, which Redeliver does not know."),
    ],
)
def test_enable_that_opentrain_answers_otherwise_is_not_called_re_enabled(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain, status: str, kind: str, words: str
) -> None:
    fake_opentrain.change_answer(
        lambda answer: replace(answer, status=status, consecutive_failures=10), operation="update_endpoint"
    )
    page = ana.submit(enable_of(disabled), operation=OPERATION)
    answer = page[page.index('class="outcome') :]
    assert words in answer
    assert f"outcome-{kind}" in answer
    assert "Re-enabled" not in page
    assert (f'action="{enable_of(disabled)}"' in answer) is (status == "DISABLED")


def test_redeliver_while_disabled_says_what_opentrain_says_and_offers_to_enable(
    ana: Browser, disabled: Endpoint
) -> None:
    for page in (ana.press(redeliver_of(disabled)), ana.submit(redeliver_of(disabled), operation=OPERATION)):
        answer = page[page.index('class="outcome') :]
        assert "Nothing is attempted while the endpoint is DISABLED." in answer
        assert f'action="{enable_of(disabled)}"' in answer
    answer = ana.press(enable_of(disabled))
    assert "Results appear here as they arrive" in answer


def test_redeliver_on_a_stopped_endpoint_is_no_success_before_it_is_re_enabled(
    ana: Browser, disabled: Endpoint
) -> None:
    waits = "Requested. Waiting until the endpoint is re-enabled."
    page = ana.submit(redeliver_of(disabled), operation=OPERATION)
    assert (waits in page, "outcome-unavailable" in page, "outcome-done" in page) == (True, True, False)
    ana.press(enable_of(disabled))
    page = ana.read(f"{page_of(disabled)}?operation={OPERATION}")
    assert (waits in page, "outcome-unavailable" in page, "outcome-done" in page) == (False, False, True)


def test_refusal_shows_code_and_request_id_to_copy(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.revoke(disabled.install.token)
    partial = ana.press(enable_of(disabled))
    assert "outcome-refused" in partial
    assert "The token is not valid" in partial
    assert partial.count("(401 UNAUTHORIZED, request 00000000-0000-4000-8000-000000000401)") == 1
    assert partial.count("UNAUTHORIZED") == 1  # shown once, followed by the button that copies the request ID
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
    assert "ana tried to re-enable this endpoint at" in " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_operation_without_an_answer_is_shown_as_one(ana: Browser, disabled: Endpoint, support) -> None:
    AuditEntry.objects.create(
        operation=OPERATION, phase="requested", action="redeliver all failed", endpoint=disabled, actor=support
    )
    page = ana.read(f"{page_of(disabled)}?operation={OPERATION}")
    assert "Requested; OpenTrain has not answered yet." in page
    assert "No response recorded yet." in page


def test_button_of_a_deleted_endpoint_asks_nobody(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    Endpoint.objects.update(deleted_at=timezone.now())
    assert ana.client.post(enable_of(endpoint)).status_code == 404
    assert calls(fake_opentrain, "update_endpoint") == 0


@pytest.mark.parametrize("path", ["endpoint-enable", "endpoint-redeliver"])
def test_button_takes_nothing_but_post(path: str, ana: Browser, endpoint: Endpoint) -> None:
    ana.read(reverse(path, args=[endpoint.pk]), status=405)


@pytest.mark.parametrize("lost", ["hangs", "html", "500"])
def test_page_after_a_lost_write_asks_nothing_and_never_says_that_nothing_was_changed(
    ana: Browser, lost: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without JavaScript, against a real server. The page's own read fails as well, and says nothing of a write."""
    endpoint = make_endpoint(status="DISABLED", consecutive_failures=10, snapshot_at=timezone.now())
    behaviour = {
        "hangs": silent,
        "html": answer(200, b"<html>", content_type="text/html"),
        "500": answer(500, b'{"error": "Something broke.", "code": "INTERNAL_ERROR", "requestId": "r-1"}'),
    }[lost]
    monkeypatch.setattr(opentrain_call, "LIMITS", replace(opentrain_call.LIMITS, pause_s=0.01, read_s=0.3, total_s=0.5))
    with misbehaving(behaviour) as server:
        settings.OPENTRAIN_BASE_URL = server.url
        page = words_of(ana.submit(enable_of(endpoint), operation=OPERATION))
        assert ("Check the endpoint before you repeat the request." in page, run_queued()) == (True, [])
        assert [request.method for request in server.requests] == ["PATCH"]
        monkeypatch.setattr(freshness, "PAUSE_AFTER_FAILURE", timedelta())
        page = words_of(ana.read(f"{page_of(endpoint)}?operation={OPERATION}"))
        assert run_queued() == [endpoint.install_id]
        monkeypatch.setattr(freshness, "PAUSE_AFTER_FAILURE", timedelta(minutes=1))
        page = words_of(ana.read(f"{page_of(endpoint)}?operation={OPERATION}"))
    assert "Try again in a minute" in page  # the read's own words
    assert "Check the endpoint before you repeat the request." in page
    assert "Nothing was changed" not in page


def test_enable_by_a_second_person_says_who_did_it_and_calls_nobody(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    other = browser_of(make_user(role="support", username="sam"))
    ana.press(enable_of(disabled), operation=operations_on(ana.read(page_of(disabled)))[0])
    said = r"Nothing changed: ana re-enabled this endpoint at \d\d:\d\d UTC"
    assert re.search(said, other.press(enable_of(disabled), operation=OPERATION))
    assert re.search(said, words_of(other.submit(enable_of(disabled), operation=OPERATION)))
    assert calls(fake_opentrain, "update_endpoint") == 1
    fake_opentrain.set_streak(disabled.opentrain_id, 3)
    sync.refresh(install=disabled.install, now=timezone.now())
    assert "Re-enabled." in other.press(enable_of(disabled), operation=OPERATION)  # it sets the count to 0 again


def told(endpoint: Endpoint, **changes: Any) -> bytes:
    """Return OpenTrain's answer to a write, as bytes, with these changes to the endpoint and to the answer."""
    described = {
        "id": endpoint.opentrain_id,
        "url": endpoint.url,
        "eventTypes": endpoint.event_types,
        "status": "ACTIVE",
        "createdAt": "2026-06-12T10:00:00.000Z",
        "consecutiveFailures": 0,
        "disabledAt": None,
        "disabledReason": None,
    }
    body = {"requeued": changes.pop("requeued", 0), "message": "Soon.", "webhookEndpoint": described | changes}
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("button", "changes", "words"),
    [
        (
            "endpoint-enable",
            {"status": "DISABLED", "consecutiveFailures": 10, "disabledAt": "2026-06-12T11:00:00.000Z"},
            "Not re-enabled: OpenTrain answered that the endpoint is DISABLED, with 10 consecutive failures.",
        ),
        (
            "endpoint-enable",
            {"status": "HIBERNATING"},
            "OpenTrain gives its status as HIBERNATING, which Redeliver does not know.",
        ),
        ("endpoint-pause", {}, "Not paused: OpenTrain answered that the endpoint is ACTIVE, so it keeps sending."),
        ("endpoint-redeliver", {"requeued": 0}, "OpenTrain requeued nothing; 3 are failed here, and stay failed."),
        ("endpoint-redeliver", {"requeued": 1}, "OpenTrain requeued 1; 3 are failed here, and it does not say which."),
        ("endpoint-redeliver", {"requeued": 3}, "3 requeued."),
        (
            "endpoint-redeliver",
            {"requeued": 5},
            "5 requeued: the 3 that were failed here, and 2 that only OpenTrain had as failed.",
        ),
    ],
)
def test_words_and_marks_come_from_the_answer_as_it_came(
    ana: Browser, settings: Any, button: str, changes: dict[str, Any], words: str
) -> None:
    """Over HTTP: a server that answers 200 with something else than was requested."""
    endpoint = make_endpoint()
    for _ in range(3):
        make_failed_delivery(endpoint=endpoint)
    with misbehaving(answer(200, told(endpoint, **changes))) as server:
        settings.OPENTRAIN_BASE_URL = server.url
        page = ana.client.post(reverse(button, args=[endpoint.pk]), {"operation": OPERATION}, follow=True)
    assert words in words_of(page.content.decode())
    requested = endpoint.deliveries.filter(requested_at__isnull=False).count()
    assert requested == (3 if changes.get("requeued", 0) >= 3 else 0)
    audited = AuditEntry.objects.exclude(phase="requested").get(operation=OPERATION)
    assert words in audited.words


def test_page_keeps_what_opentrain_answered_while_its_list_lags_and_says_so(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    page, lags = reverse("endpoint-detail", args=[disabled.pk]), "but its list does not show it yet."
    assert lags not in ana.read(page)
    fake_opentrain.fall_behind()
    ana.press(enable_of(disabled))
    for _ in range(2):
        text = ana.read_refreshed(page)
        assert "No consecutive failures." in text
        assert lags in text
        Install.objects.update(listed_at=timezone.now() - timedelta(seconds=3))  # so that the page asks again
    fake_opentrain.catch_up()
    text = ana.read_refreshed(page)
    assert "No consecutive failures." in text
    assert lags not in text


# --- Overtaken --------------------------------------------------------------------------------------------------------


def anyway_of(endpoint: Endpoint) -> str:
    return reverse("endpoint-redeliver-anyway", args=[endpoint.pk])


def end_one(endpoint: Endpoint) -> None:
    make_contract(install=endpoint.install, opentrain_id=endpoint.deliveries.first().resource_id, status="ended")


def test_all_failed_with_an_overtaken_one_are_redelivered_only_after_a_question(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    end_one(disabled)
    page = ana.submit(redeliver_of(disabled), operation=OPERATION)
    assert "1 of the failed deliveries is overtaken by a later event of the same resource." in page
    assert "OpenTrain lists this contract as ended; redelivering contract.started may give access back." in page
    assert calls(fake_opentrain, "redeliver") == 0
    assert f'href="{reverse("endpoint-recover", args=[disabled.pk])}"' in page  # nothing is attempted meanwhile
    assert 'name="anyway" value="1"' in page
    page = ana.submit(redeliver_of(disabled), operation=operations_on(page)[-1], anyway="1")
    assert calls(fake_opentrain, "redeliver") == 1
    assert "3 requeued" in page


def test_question_about_all_failed_offers_the_ordered_run_where_deliveries_are_attempted(
    ana: Browser, endpoint: Endpoint
) -> None:
    make_failed_delivery(endpoint=endpoint)
    end_one(endpoint)
    page = ana.read(anyway_of(endpoint))
    assert f'href="{reverse("endpoint-deliveries-redeliver", args=[endpoint.pk])}?state=failed"' in page
    assert "Redeliver in order…" in page


def test_all_failed_by_htmx_lead_to_the_question_too(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    end_one(disabled)
    response = ana.client.post(redeliver_of(disabled), headers={"HX-Request": "true"})
    assert (response.status_code, response["HX-Redirect"]) == (200, anyway_of(disabled))
    assert calls(fake_opentrain, "redeliver") == 0


def test_question_about_all_failed_without_an_overtaken_one_leads_back(ana: Browser, disabled: Endpoint) -> None:
    response = ana.client.get(anyway_of(disabled))
    assert (response.status_code, response["Location"]) == (302, page_of(disabled))
