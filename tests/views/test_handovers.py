"""Pages of hand-overs: the event without a call, the read on demand, sending, a selection, and the switch."""

import html
import json
import re
import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from dashboard.actions.handovers import sending
from dashboard.models import AuditEntry, Contract, Endpoint, Finding, Grant, Handover, Install, User
from dashboard.rules.reconciliation import Consequence, Event, Kind
from tests.contract.fake import FakeOpenTrain
from tests.factories import (
    SECRET,
    make_contract,
    make_endpoint,
    make_evidence,
    make_finding,
    make_handover,
    make_link,
    make_user,
)
from tests.handing_over import BUDGET, LATE, Scene, make_scene, queued
from tests.views.conftest import Browser, browser_of

pytestmark = pytest.mark.django_db

JONAS = {"opentrainUserId": "usr_jonas", "displayName": "Jonas <b>K.</b>"}


@pytest.fixture
def scene(fake_opentrain: FakeOpenTrain, support: User) -> Scene:
    scene = make_scene(fake_opentrain, actor=support)
    fake_opentrain.calls.clear()
    return scene


@pytest.fixture
def paul(scene: Scene) -> Browser:
    """A partner admin of the install."""
    user = make_user(role="partner_admin", username="paul")
    Grant.objects.create(user=user, install=scene.install)
    return browser_of(user)


@pytest.fixture
def vera(scene: Scene) -> Browser:
    """A viewer of the install."""
    user = make_user(role="viewer", username="vera")
    Grant.objects.create(user=user, install=scene.install)
    return browser_of(user)


def address(scene: Scene, name: str = "handover-preview", *, event: str = "ended") -> str:
    return reverse(name, args=[scene.contract.pk, scene.endpoint.pk, event])


def send_all(scene: Scene) -> str:
    return reverse("handover-all", args=[scene.endpoint.pk])


def operation_in(page: str) -> str:
    found = re.search(r'name="operation" value="([0-9a-f-]+)"', page)
    assert found is not None
    return found[1]


def allow(scene: Scene, yes: bool = True) -> None:
    Endpoint.objects.filter(pk=scene.endpoint.pk).update(hands_over=yes)


# --- The preview ------------------------------------------------------------------------------------------------------


def test_preview_shows_the_event_with_the_logged_person_and_calls_nobody(scene: Scene, ana: Browser) -> None:
    scene.log(JONAS)
    page = ana.read(address(scene))
    assert scene.fake.calls == []
    [copied] = [text for text in re.findall(r'data-copy="([^"]*)"', page) if text.startswith("{")]
    said = json.loads(html.unescape(copied))
    assert (said["type"], said["reconstructed"]) == ("contract.ended", True)
    assert said["data"]["freelancer"]["displayName"] == "Jonas <b>K.</b>"
    assert "<b>K.</b>" not in page
    assert "The person is from a logged event of this contract." in page
    assert "If OpenTrain&#x27;s own delivery comes later, the handler sees both." in page
    assert "As a curl command" in page


def test_preview_says_what_it_means_for_people_and_whose_handler_it_is(
    scene: Scene, ana: Browser, paul: Browser
) -> None:
    at_stake = "A person may still have access."
    assert at_stake not in ana.read(address(scene))
    Finding.objects.update_or_create(
        contract=scene.contract,
        endpoint=scene.endpoint,
        event_type="contract.ended",
        defaults={
            "install": scene.install,
            "kind": Kind.MISSING,
            "consequence": Consequence.ACCESS,
            "found_at": scene.contract.first_seen_at,
            "changed_at": scene.contract.first_seen_at,
        },
    )
    page = ana.read(address(scene))
    assert at_stake in page
    assert "Below is what the handler should have got" in page
    page = paul.read(address(scene))
    assert at_stake in page
    assert "Below is what your handler should have got" in page


def test_partner_sends_to_their_own_handler_and_support_to_the_handler(
    scene: Scene, ana: Browser, paul: Browser
) -> None:
    for browser, handler in ((ana, "the handler"), (paul, "your handler")):
        page = browser.press(address(scene, "handover-participants"))
        assert f"Send to {handler}" in page
        assert f"Sends the event to {handler} from your own machine" in page
    assert "the handler" not in page.lower()
    for name in ("endpoint-doctor", "endpoint-detail", "endpoint-bypass"):
        assert "the handler" not in paul.read(reverse(name, args=[scene.endpoint.pk])).lower()


def test_preview_takes_a_bounded_number_of_queries(
    scene: Scene, ana: Browser, django_assert_max_num_queries: Any
) -> None:
    for _ in range(15):
        scene.log(JONAS)
        make_handover(contract=scene.contract, endpoint=scene.endpoint, ok=False, result="failed")
        make_evidence(contract=scene.contract, endpoint=make_endpoint(install=scene.install))
    with django_assert_max_num_queries(32):
        ana.read(address(scene))


def test_preview_has_no_secret_and_no_signature(scene: Scene, ana: Browser) -> None:
    scene.log(JONAS)
    page = ana.read(address(scene))
    assert SECRET not in page
    assert not re.search(r"v1=[0-9a-f]{64}", page)


def test_who_was_hired_is_read_when_someone_asks_and_is_not_stored(scene: Scene, ana: Browser) -> None:
    page = ana.read(address(scene))
    assert "The log does not tell who was hired." in page
    assert "Send to the handler" not in page
    assert scene.fake.calls == []
    answer = ana.press(address(scene, "handover-participants"))
    assert [call.operation for call in scene.fake.calls] == ["list_participants"]
    assert "Maria G." in answer
    assert "read of OpenTrain now, and not stored" in answer
    assert "Send to the handler" in answer
    assert "<html" not in answer
    assert not Handover.objects.exists()
    assert "Maria" not in ana.read(address(scene))


def test_who_was_hired_is_read_without_a_script_too(scene: Scene, ana: Browser) -> None:
    response = ana.client.post(address(scene, "handover-participants"))
    assert response.status_code == 200
    assert "Maria G." in response.content.decode()
    assert "no-store" in response["Cache-Control"]


def test_what_is_not_built_is_not_read_either(scene: Scene, ana: Browser) -> None:
    answer = ana.press(address(scene, "handover-participants", event="started"))
    assert "it would give access back" in answer
    assert scene.fake.calls == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"token_scopes": ["webhooks:manage"]}, "Not known, because this token lacks participants:read."),
    ],
)
def test_scope_that_is_missing_is_named(scene: Scene, ana: Browser, change: dict[str, Any], words: str) -> None:
    Install.objects.filter(pk=scene.install.pk).update(**change)
    page = ana.read(address(scene))
    assert words in page
    assert "Read who was hired" not in page


def test_direct_endpoint_shows_the_body_without_send(scene: Scene, ana: Browser) -> None:
    scene.log(JONAS)
    direct = make_endpoint(install=scene.install, receiver_key=None, secret=None, event_types=["contract.ended"])
    page = ana.read(reverse("handover-preview", args=[scene.contract.pk, direct.pk, "ended"]))
    assert "reconstructed" in page
    assert "As a curl command" in page
    assert 'id="send-form"' not in page
    assert "Redeliver does not know whether the handler took this event, so it does not send it." in html.unescape(page)


def test_several_links_are_a_choice_and_each_has_its_event(scene: Scene, ana: Browser) -> None:
    scene.log(JONAS)
    other = make_link(install=scene.install, external_project_name="Second <i>project</i>")
    Contract.objects.update(link_ids=[scene.link.opentrain_id, other.opentrain_id])
    page = ana.read(f"{address(scene)}?link={other.opentrain_id}")
    assert "OpenTrain sends one event for each project link" in page
    assert f'name="link" value="{other.opentrain_id}"' in page
    assert "<i>project</i>" not in page
    ana.read(f"{address(scene)}?link=plk_of_another", status=404)


def test_unknown_events_and_endpoints_of_other_installs_do_not_exist(scene: Scene, ana: Browser) -> None:
    ana.read(address(scene, event="paused"), status=404)
    other = make_endpoint()
    ana.read(reverse("handover-preview", args=[scene.contract.pk, other.pk, "ended"]), status=404)


def test_viewer_sees_the_event_and_may_not_send_or_read(scene: Scene, vera: Browser) -> None:
    page = vera.read(address(scene))
    assert "Read who was hired" not in page
    scene.log(JONAS)
    page = vera.read(address(scene))
    assert "reconstructed" in page
    assert 'id="send-form"' not in page


# --- Sending one ------------------------------------------------------------------------------------------------------


def test_button_queues_the_event_and_its_answer_follows_it(scene: Scene, ana: Browser) -> None:
    scene.log(JONAS)
    operation = operation_in(ana.read(address(scene)))
    answer = ana.press(address(scene, "handover-send"), operation=operation, link=scene.link.opentrain_id)
    row = Handover.objects.get()
    outcome = reverse("handover-outcome-live", args=[row.pk])
    assert outcome in answer
    assert "Waiting to be sent…" in answer
    assert queued() == [scene.endpoint.pk]
    scene.send(row)  # nothing listens there
    said = ana.read(outcome)
    assert "The handler: the connection was refused" in said
    assert "data-poll" not in said


def test_double_click_sends_once_and_gets_the_same_answer(scene: Scene, ana: Browser) -> None:
    scene.log(JONAS)
    operation = operation_in(ana.read(address(scene)))
    first = ana.press(address(scene, "handover-send"), operation=operation)
    assert operation_in(ana.read(address(scene))) == operation
    assert ana.press(address(scene, "handover-send"), operation=operation) == first
    Handover.objects.update(ended_at=LATE, result="ok", ok=True, words="The handler took it (200, 5 ms).")
    Finding.objects.update(closed_at=LATE)
    late = ana.press(address(scene, "handover-send"), operation=operation)
    assert "The handler took it (200, 5 ms)." in late
    assert Handover.objects.count() == 1


def test_button_works_without_a_script(scene: Scene, ana: Browser) -> None:
    scene.log(JONAS)
    page = ana.submit(address(scene, "handover-send"), operation=str(uuid.uuid4()))
    assert "contract.ended</bdi>, handed over by Redeliver" in page


def test_what_may_not_be_sent_is_refused_with_the_reason(scene: Scene, ana: Browser) -> None:
    allow(scene, False)
    words = "Nothing was sent. Sending is not allowed for this endpoint. A partner admin of the install can allow it."
    assert words in ana.press(address(scene, "handover-send"), operation=str(uuid.uuid4()))
    assert words in ana.submit(address(scene, "handover-send"), operation=str(uuid.uuid4()))
    assert not Handover.objects.exists()
    assert not AuditEntry.objects.filter(action="hand over event").exists()


def test_handlers_answer_is_escaped_and_capped(scene: Scene, ana: Browser) -> None:
    row = make_handover(
        contract=scene.contract,
        endpoint=scene.endpoint,
        response_head=b"<script>alert(1)</script>\x00\xff" + b"x" * 4000,
    )
    for name in ("handover-outcome-live", "handover-detail", "handover-live"):
        page = ana.read(reverse(name, args=[row.pk]))
        assert "&lt;script&gt;alert(1)" in page
        assert "<script>alert" not in page


# --- Its page ---------------------------------------------------------------------------------------------------------


def test_page_of_a_hand_over_shows_what_was_sent_and_answered(scene: Scene, ana: Browser) -> None:
    row = make_handover(contract=scene.contract, endpoint=scene.endpoint)
    page = ana.read(reverse("handover-detail", args=[row.pk]))
    for shown in ("X-Redeliver-Reconstructed", "redeliver-event-1", "thanks", row.delivery_id, "paul"):
        assert shown in page
    assert SECRET not in page


def test_body_that_retention_took_is_said(scene: Scene, ana: Browser) -> None:
    row = make_handover(contract=scene.contract, endpoint=scene.endpoint, body=None, body_gone_at=LATE)
    assert "The body is no longer kept." in ana.read(reverse("handover-detail", args=[row.pk]))


def test_hand_over_outlives_its_contract(scene: Scene, ana: Browser) -> None:
    row = make_handover(contract=scene.contract, endpoint=scene.endpoint)
    scene.contract.delete()
    assert row.contract_opentrain_id in ana.read(reverse("handover-detail", args=[row.pk]))


# --- All of an endpoint -----------------------------------------------------------------------------------------------


def test_selection_lists_what_is_missing_and_sends_what_is_ticked(scene: Scene, ana: Browser) -> None:
    other = make_contract(install=scene.install, status="ended", link_ids=[scene.link.opentrain_id], title="Other")
    make_finding(contract=other, endpoint=scene.endpoint)
    page = ana.read(send_all(scene))
    assert "2 missing events that can be sent" in page
    assert f'value="{other.pk}-ended" checked' in page
    answer = ana.submit(send_all(scene), operation=operation_in(page), event=f"{other.pk}-ended")
    [row] = Handover.objects.all()
    assert (row.contract, row.batch) == (other, uuid.UUID(operation_in(page)))
    assert "0 of 1 so far" in answer
    sending.send_waiting(endpoint_id=scene.endpoint.pk, clock=lambda: LATE, budget=BUDGET)
    live = ana.read(f"{reverse('handover-all-live', args=[scene.endpoint.pk])}?batch={row.batch}")
    assert "1 of 1 done" in live


def test_contracts_with_one_title_are_told_apart_by_their_ids(scene: Scene, ana: Browser) -> None:
    other = make_contract(install=scene.install, status="ended", link_ids=[scene.link.opentrain_id])
    make_finding(contract=other, endpoint=scene.endpoint)
    Contract.objects.update(title="Image labelling")
    allow(scene)
    page = ana.read(send_all(scene))
    events = re.findall(r'name="event" value="([^"]+)"', page)
    assert len(events) == 2
    answer = ana.submit(send_all(scene), operation=operation_in(page), event=events)
    for seen in (page, answer):
        for contract in (scene.contract, other):
            assert f'title="{contract.opentrain_id}"' in seen


def test_selection_that_is_sent_twice_is_sent_once(scene: Scene, ana: Browser) -> None:
    form = {"operation": str(uuid.uuid4()), "event": f"{scene.contract.pk}-ended"}
    ana.submit(send_all(scene), **form)
    ana.submit(send_all(scene), **form)
    assert Handover.objects.count() == 1


@pytest.mark.parametrize("event", ["", "nonsense", "999999-ended"])
def test_selection_of_nothing_that_can_be_sent_sends_nothing(scene: Scene, ana: Browser, event: str) -> None:
    page = ana.submit(send_all(scene), operation=str(uuid.uuid4()), event=event)
    assert "Nothing was sent: nothing that is ticked can be sent any more." in page
    assert not Handover.objects.exists()


def test_start_of_an_ended_contract_is_never_in_a_selection(scene: Scene, ana: Browser) -> None:
    make_finding(contract=scene.contract, endpoint=scene.endpoint, event_type=Event.STARTED.value)
    page = ana.read(send_all(scene))
    assert f"{scene.contract.pk}-started" not in page
    assert "1 missing event cannot be sent. This contract has ended, or may have, so its start" in page
    ana.submit(send_all(scene), operation=str(uuid.uuid4()), event=f"{scene.contract.pk}-started")
    assert not Handover.objects.exists()


def test_page_without_anything_missing_says_so_and_lists_what_was_handed_over(scene: Scene, ana: Browser) -> None:
    Finding.objects.update(closed_at=LATE)
    make_handover(contract=scene.contract, endpoint=scene.endpoint)
    page = ana.read(send_all(scene))
    assert "Nothing is missing here that can be sent." in page
    assert "Handed over by Redeliver" in page


# --- The switch -------------------------------------------------------------------------------------------------------


def test_partner_admin_allows_and_stops_it(scene: Scene, paul: Browser) -> None:
    allow(scene, False)
    page = paul.read(reverse("handover-allow", args=[scene.endpoint.pk]))
    assert "Nothing is sent automatically." in page
    answer = paul.submit(reverse("handover-allow", args=[scene.endpoint.pk]), operation=operation_in(page))
    assert "Allowed: Redeliver sends a missing event when someone confirms it" in answer
    page = paul.read(reverse("handover-stop", args=[scene.endpoint.pk]))
    answer = paul.submit(reverse("handover-stop", args=[scene.endpoint.pk]), operation=operation_in(page))
    assert "Not allowed." in answer
    assert [one.action for one in AuditEntry.objects.filter(actor_name="paul").order_by("id")] == [
        "allow handing over",
        "stop handing over",
    ]


def test_support_may_stop_it_and_is_told_who_may_allow_it(scene: Scene, ana: Browser) -> None:
    ana.submit(reverse("handover-stop", args=[scene.endpoint.pk]), operation=str(uuid.uuid4()))
    assert "ask a partner admin of the install to allow it" in ana.read(send_all(scene))
    allowing = ana.client.post(reverse("handover-allow", args=[scene.endpoint.pk]))
    assert allowing.status_code == 403
    assert not Endpoint.objects.get(pk=scene.endpoint.pk).hands_over


def test_stranger_sees_none_of_it(scene: Scene, client: Client) -> None:
    assert client.get(address(scene)).status_code == 302


# --- A source of its own ----------------------------------------------------------------------------------------------


def test_hand_overs_are_listed_beside_deliveries_and_in_no_count(scene: Scene, ana: Browser) -> None:
    make_handover(contract=scene.contract, endpoint=scene.endpoint)
    page = ana.read(reverse("endpoint-deliveries", args=[scene.endpoint.pk]))
    assert "Handed over by Redeliver" in page
    assert "0 deliveries" in page or "No deliver" in page
    scene.log(JONAS)
    delivery = scene.endpoint.deliveries.get()
    assert "Handed over by Redeliver" in ana.read(reverse("delivery-detail", args=[delivery.pk]))
    assert "Handed over by Redeliver" not in ana.read(reverse("delivery-list"))
    assert "1 delivery" in ana.read(reverse("endpoint-deliveries", args=[scene.endpoint.pk]))


def test_search_leads_from_a_handlers_log_to_the_hand_over(scene: Scene, ana: Browser) -> None:
    row = make_handover(contract=scene.contract, endpoint=scene.endpoint)
    page = ana.read(f"{reverse('search')}?q={row.delivery_id}")
    assert reverse("handover-detail", args=[row.pk]) in page


def test_menu_of_an_endpoint_leads_to_what_is_missing(scene: Scene, ana: Browser) -> None:
    assert send_all(scene) in ana.read(reverse("endpoint-detail", args=[scene.endpoint.pk]))
