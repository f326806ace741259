"""The pages of a run: their text before, during and after it, their buttons, and their visibility."""

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from dashboard.actions.runs import commands
from dashboard.actions.runs import steps as run_steps
from dashboard.models import AuditEntry, Delivery, Endpoint, Grant, Run, RunItem, User
from dashboard.views import runs
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON, make_contract, make_endpoint, make_failed_delivery, make_run
from tests.views.conftest import A_TIME, Browser, browser_of, stop_clock

HOSTILE = "<img src=x onerror=alert(1)>\"'"


def words_of(page: str) -> str:
    main = page[page.index("<main") :] if "<main" in page else page
    return " ".join(re.sub(r"<[^>]+>", " ", main).split())


def page_of(run: Run) -> str:
    return reverse("run-detail", args=[run.pk])


def recover_at(endpoint: Endpoint) -> str:
    return reverse("endpoint-recover", args=[endpoint.pk])


def redeliver_at(endpoint: Endpoint) -> str:
    return reverse("endpoint-deliveries-redeliver", args=[endpoint.pk])


def command_of(run: Run, command: str) -> str:
    return reverse("run-command", args=[run.pk, command])


def operation_on(page: str) -> str:
    return re.search(r'name="operation" value="([^"]+)"', page)[1]


@pytest.fixture
def run(disabled: Endpoint, support: User) -> Run:
    """A recovery of the disabled endpoint, just started."""
    return commands.start_recovery(
        actor=support, endpoint=disabled, note=HOSTILE, now=timezone.now(), operation=uuid.uuid4()
    )


# --- Before a run -----------------------------------------------------------------------------------------------------


def test_endpoint_page_offers_recovery_first_when_disabled(ana: Browser, disabled: Endpoint) -> None:
    page = ana.read(reverse("endpoint-detail", args=[disabled.pk]))
    buttons = page[page.index('class="buttons"') :]
    assert buttons.index("Recover…") < buttons.index("Re-enable") < buttons.index("Redeliver all failed (2)")
    assert f'href="{recover_at(disabled)}"' in page


def test_endpoint_page_of_a_healthy_endpoint_offers_no_recovery(ana: Browser, endpoint: Endpoint) -> None:
    assert "Recover…" not in ana.read(reverse("endpoint-detail", args=[endpoint.pk]))


def test_recover_says_in_steps_what_will_happen(ana: Browser, disabled: Endpoint) -> None:
    text = words_of(ana.read(recover_at(disabled)))
    steps = [
        "Redeliver checks the handler with a HEAD request",
        "The endpoint is re-enabled at OpenTrain.",
        "One delivery is requested again, the oldest of the 2 that failed.",
        "If it is delivered: the rest, one by one.",
        "Other failed deliveries at OpenTrain are requested",
        "The recovery stops automatically if failures return",
    ]
    assert [text.index(step) for step in steps] == sorted(text.index(step) for step in steps)
    assert "2 deliveries failed: handler returned 503" in text


def test_recover_starts_one_run_however_often_the_form_is_sent(ana: Browser, disabled: Endpoint) -> None:
    operation = operation_on(ana.read(recover_at(disabled)))
    for _ in range(2):
        text = words_of(ana.submit(recover_at(disabled), operation=operation, note="ticket 7"))
        assert "ticket 7" in text
        assert "Running: 0 of 2 delivered, 2 not requested." in text
    assert Run.objects.count() == 1
    assert Run.objects.get().actor_name == "ana"


def test_recover_while_another_run_is_active_leads_to_that_one(ana: Browser, run: Run) -> None:
    endpoint = run.endpoint
    assert "This endpoint already has an active run" in words_of(ana.read(recover_at(endpoint)))
    response = ana.client.post(recover_at(endpoint), {"operation": str(uuid.uuid4())})
    assert (response.status_code, response["Location"]) == (302, page_of(run))
    assert Run.objects.count() == 1


def test_recover_from_a_form_that_was_shown_before_another_run_starts_nothing(
    ana: Browser, disabled: Endpoint, partner_admin: User
) -> None:
    """The other run has ended by now, so nothing else would be in the way."""
    Grant.objects.create(user=partner_admin, install=disabled.install)
    paul = browser_of(partner_admin)
    mine, his = operation_on(ana.read(recover_at(disabled))), operation_on(paul.read(recover_at(disabled)))
    paul.submit(recover_at(disabled), operation=his)
    run = Run.objects.get()
    Run.objects.update(state="done", ended_at=timezone.now())
    text = words_of(ana.submit(recover_at(disabled), operation=mine))
    assert f"Nothing was started: paul started run {run.pk} after you opened the form." in text
    assert Run.objects.count() == 1
    ana.submit(recover_at(disabled), operation=operation_on(ana.read(recover_at(disabled))))
    assert Run.objects.count() == 2


# --- During and after a run -------------------------------------------------------------------------------------------


def test_run_page_follows_its_steps(ana: Browser, run: Run, fake_opentrain: FakeOpenTrain) -> None:
    Endpoint.objects.update(handler_url="")
    for _ in range(3):
        run_steps.advance(run_id=run.pk, clock=timezone.now)
    text = words_of(ana.read(page_of(run)))
    assert "Running" in text
    assert "Running: 0 of 2 delivered, 1 awaited, 1 not requested." in text
    assert "1 requested, awaited 1 not requested" in text
    assert "The next delivery run is expected within" in text
    assert re.search(rf"Re-enable the endpoint done in (under 1|\d) s, {A_TIME} Re-enabled\. Ope", text)
    assert re.search(rf"One delivery first in progress, began {A_TIME}", text)
    assert "Wait for results to come" in text
    assert "Requeued deliveries will be attempted on the next delivery run" in text


def test_run_page_shows_nothing_hostile_as_markup(ana: Browser, run: Run) -> None:
    Run.objects.update(why=HOSTILE, quoted=HOSTILE, chosen=HOSTILE, waiting_for=HOSTILE)
    for page in (page_of(run), reverse("run-list"), reverse("endpoint-detail", args=[run.endpoint_id])):
        assert "<img" not in ana.read(page)


def test_run_page_names_what_to_look_at(ana: Browser, run: Run) -> None:
    run.items.filter(position=0).update(state="unknown", words="Redeliver stopped while requesting it")
    text = words_of(ana.read(page_of(run)))
    assert "Deliveries to check" in text
    assert "Outcome unknown" in text
    assert "Redeliver stopped while requesting it" in text


def test_run_page_is_304_while_nothing_changes(ana: Browser, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_clock(monkeypatch, runs, at=run.created_at)  # at midnight, the time of its start gets its day
    live = reverse("run-live", args=[run.pk])
    etag = ana.client.get(live)["ETag"]
    ana.read(live, status=304, If_None_Match=etag)
    commands.stop(actor=run.actor, run=run, now=timezone.now())
    assert ana.client.get(live, headers={"If-None-Match": etag}).status_code == 200


def test_buttons_stop_a_recovery_and_offer_what_is_left(ana: Browser, run: Run) -> None:
    text = words_of(ana.submit(command_of(run, "stop")))
    assert "Stopped by ana." in text
    assert "Recover what is left…" in text


def test_recovery_that_stopped_at_its_check_can_be_started_without_it(ana: Browser, run: Run) -> None:
    assert "Recover without the check…" not in ana.read(page_of(run))
    Run.objects.filter(pk=run.pk).update(state="stopped", step="probe", why="The handler returned 500 to HEAD.")
    there = f"{recover_at(run.endpoint)}?unchecked=1"
    assert f'href="{there}"' in ana.read(page_of(run))
    page = ana.read(there)
    assert "The handler is not checked: the first delivery shows whether it responds." in words_of(page)
    assert '<input type="hidden" name="unchecked" value="1">' in page
    ana.submit(recover_at(run.endpoint), operation=operation_on(page), unchecked="1")
    started = Run.objects.latest("id")
    assert (started.step, started.steps.get().words) == ("enable", "Started without the check of the handler.")


def test_buttons_pause_resume_cancel_and_continue_a_bulk_run(ana: Browser, endpoint: Endpoint) -> None:
    make_failed_delivery(endpoint=endpoint)
    seen = re.search(r'name="seen" value="([^"]+)"', ana.read(redeliver_at(endpoint)))[1]
    ana.submit(redeliver_at(endpoint), seen=seen)
    run = Run.objects.get()
    assert "Paused by ana." in words_of(ana.submit(command_of(run, "pause")))
    assert "Pause" in words_of(ana.submit(command_of(run, "resume")))
    assert "Cancelled by ana." in words_of(ana.submit(command_of(run, "stop")))
    ana.submit(command_of(run, "continue"))
    assert [one.state for one in Run.objects.order_by("id")] == ["cancelled", "running"]


def test_endpoint_page_tells_of_its_run(ana: Browser, run: Run) -> None:
    page = ana.read(reverse("endpoint-detail", args=[run.endpoint_id]))
    assert "Recovery by ana" in words_of(page)
    assert f'href="{page_of(run)}"' in page
    assert "Recover…" not in page
    assert "one delivery first. To do it manually" not in page  # no advice to press buttons that are not there


def test_endpoint_page_tells_of_the_run_and_not_of_each_of_its_calls(ana: Browser, run: Run) -> None:
    Endpoint.objects.update(handler_url="")
    for _ in range(3):
        run_steps.advance(run_id=run.pk, clock=timezone.now)
    assert AuditEntry.objects.filter(action="redeliver in a run", phase="done").count() == 1
    page = ana.read(reverse("endpoint-detail", args=[run.endpoint_id]))
    activity = words_of(page[page.index('id="activity-heading"') :])
    assert "re-enabled this endpoint" in activity
    assert "in a run" not in activity
    assert "ana started a run on this endpoint" in activity
    assert ", 1 redelivery (" in activity
    assert f'href="/activity/?run={run.pk}">1 redelivery</a>' in ana.read(reverse("activity"))


def test_list_pages_older_runs_by_the_last_one_shown(ana: Browser, endpoint: Endpoint, support: User) -> None:
    for _ in range(27):
        run = commands.start_recovery(
            actor=support, endpoint=endpoint, note="", now=timezone.now(), operation=uuid.uuid4()
        )
        commands.stop(actor=support, run=run, now=timezone.now())
    first = ana.read(reverse("run-list"))
    assert first.count('data-row="stopped"') == 25
    older = re.search(r'href="/runs/(\?before=\d+)"', first)[1]
    assert ana.read(reverse("run-list") + older).count('data-row="stopped"') == 2


def test_list_takes_as_many_queries_for_many_runs_as_for_one(
    ana: Browser, support: User, django_assert_max_num_queries: Any
) -> None:
    for _ in range(12):
        commands.start_recovery(
            actor=support, endpoint=make_endpoint(), note="", now=timezone.now(), operation=uuid.uuid4()
        )
    with django_assert_max_num_queries(3):  # session, user, runs
        assert ana.read(reverse("run-list")).count('data-row="running"') == 12


def test_list_has_a_column_of_notes_only_if_a_run_has_one(ana: Browser, endpoint: Endpoint) -> None:
    make_run(endpoint=endpoint)
    assert ">Note</th>" not in ana.read(reverse("run-list"))
    make_run(endpoint=endpoint, note="ticket 4711")
    page = ana.read(reverse("run-list"))
    assert ">Note</th>" in page
    assert "ticket 4711" in page


def test_run_page_has_one_headline_and_one_bar(ana: Browser, endpoint: Endpoint) -> None:
    run = make_run(endpoint=endpoint, counts={"delivered": 4, "failed_again": 2})
    page = ana.read(page_of(run))
    assert (page.count("<h1"), page.count('class="run-headline"'), page.count('class="run-bar"')) == (1, 1, 1)
    assert page.count("<rect") == 2
    assert page.count('aria-label="delivered: 4, failed again: 2"') == 1


def test_list_without_runs_says_where_they_come_from(ana: Browser, db: None) -> None:
    assert "There has been no run yet." in ana.read(reverse("run-list"))


def test_run_page_has_a_table_of_all_its_deliveries_in_pages(ana: Browser, endpoint: Endpoint) -> None:
    run = make_run(endpoint=endpoint)
    for position in range(27):
        made = {"state": "delivered", "settled_at": NOON, "words": "delivered (200)"}
        RunItem.objects.create(run=run, position=position, opentrain_id=f"dlv_of_run_{position}", **made)
    page = ana.read(page_of(run))
    assert page.count('id="row-') == 25
    assert "27 deliveries, in the run's order" in words_of(page)
    assert "2026-06-12 12:00:00 UTC" in page
    assert f'href="{reverse("run-export", args=[run.pk])}?format=csv"' in page
    assert f'href="{page_of(run)}?page=2#items"' in page
    second = ana.read(f"{page_of(run)}?page=2")
    assert second.count('id="row-') == 2
    assert f'hx-get="{reverse("run-live", args=[run.pk])}?page=2"' in second
    assert ana.read(f"{reverse('run-live', args=[run.pk])}?page=2").count('id="row-') == 2
    for beyond in ("?page=3", "?page=999999999999999999"):
        assert "This page of the list is empty." in words_of(ana.read(page_of(run) + beyond))
    for nonsense in ("?page=x", "?page=-1", "?page="):
        assert ana.read(page_of(run) + nonsense).count('id="row-') == 25
    assert "items-heading" not in ana.read(page_of(make_run()))


def test_run_page_takes_as_many_queries_for_many_deliveries_as_for_few(
    ana: Browser, run: Run, django_assert_num_queries: Any
) -> None:
    with CaptureQueriesContext(connection) as few:
        ana.read(page_of(run))
    for position in range(10, 40):
        RunItem.objects.create(run=run, position=position, opentrain_id=f"dlv_more_{position}")
    with django_assert_num_queries(len(few)):
        ana.read(page_of(run))


def test_run_page_has_absolute_times(ana: Browser) -> None:
    run = make_run(created_at=NOON, ended_at=NOON + timedelta(minutes=9))
    text = words_of(ana.read(page_of(run)))
    assert "started 12:00 UTC on 12 June" in text
    assert "ended 12:09 UTC on 12 June" in text
    assert "Started by ana, 2026-06-12 12:00:00 UTC" in text


def test_buttons_pause_and_resume_a_recovery_however_often_they_are_pressed(ana: Browser, run: Run) -> None:
    assert "Pause" in words_of(ana.read(page_of(run)))
    for _ in range(2):
        text = words_of(ana.submit(command_of(run, "pause")))
        assert "Paused: 0 of 2 delivered, 2 not requested. Paused by ana." in text
        assert "Nothing more is requested until the run is resumed." in text
    for _ in range(2):
        assert "Running: 0 of 2 delivered" in words_of(ana.submit(command_of(run, "resume")))
    assert AuditEntry.objects.filter(action__in=["pause run", "resume run"]).count() == 2


def test_inbox_shows_a_paused_recovery_with_its_page_first(ana: Browser, run: Run) -> None:
    ana.submit(command_of(run, "pause"))
    page = ana.read(reverse("home"))
    assert f'class="btn btn-primary" href="{page_of(run)}"' in page
    assert "Paused" in words_of(page)


# --- Permissions ------------------------------------------------------------------------------------------------------


def test_run_of_somebody_elses_install_does_not_exist(run: Run, outsider: User) -> None:
    olga = browser_of(outsider)
    mine = (recover_at(run.endpoint), redeliver_at(run.endpoint))
    for page in (page_of(run), reverse("run-live", args=[run.pk]), *mine):
        olga.read(page, status=404)
    for path in (command_of(run, "stop"), *mine):
        assert olga.client.post(path).status_code == 404
    assert "Recovery" not in words_of(olga.read(reverse("run-list")))
    assert Run.objects.get().state == "running"


def test_commands_need_a_post_with_csrf(run: Run, support: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(support)
    assert client.get(command_of(run, "stop")).status_code == 405
    assert client.post(command_of(run, "stop")).status_code == 403
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', client.get(page_of(run)).content.decode())[1]
    assert client.post(command_of(run, "stop"), {"csrfmiddlewaretoken": token}).status_code == 302
    assert client.post(command_of(run, "explode"), {"csrfmiddlewaretoken": token}).status_code == 404


def test_recovery_by_the_page_reaches_its_end(ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain) -> None:
    Endpoint.objects.update(handler_url="")
    ana.submit(recover_at(disabled))
    run = Run.objects.get()
    for _ in range(12):
        run_steps.advance(run_id=run.pk, clock=timezone.now)
        Run.objects.filter(others=1).update(others_asked_at=timezone.now() - timedelta(minutes=7))
        Delivery.objects.filter(requested_at__isnull=False).update(
            requested_at=None, last_ok=True, last_cause="", last_status=200, last_attempt_at=timezone.now()
        )
    text = words_of(ana.read(page_of(run)))
    assert "Partly done: 2 of 2 delivered in" in text
    assert "1 more that OpenTrain requeued did not reach Redeliver in time." in text


@pytest.mark.parametrize(
    ("by_person", "why", "look"),
    [
        (True, "Stopped by ana.", "outcome-idle"),
        (False, "3 of the first 5 failed again.", "outcome-refused"),
        (False, "Stopped by what a sentence begins with.", "outcome-refused"),
    ],
)
def test_run_that_somebody_stopped_is_not_shown_as_a_fault(ana: Browser, by_person: bool, why: str, look: str) -> None:
    run = make_run(state="stopped", by_person=by_person, why=why)
    RunItem.objects.create(run=run, position=0, opentrain_id="dlv_1", state="requested", asked_at=timezone.now())
    page = ana.read(reverse("run-detail", args=[run.pk]))
    assert f'class="outcome {look}"' in page
    assert "Requested deliveries are still attempted and shown here. The next delivery run" in page


def test_paused_run_does_not_say_that_it_goes_on(ana: Browser) -> None:
    asked = {"waiting_for": "OpenTrain asked to wait 30 s.", "not_before": timezone.now() - timedelta(seconds=1)}
    run = make_run(state="paused", ended_at=None, by_person=True, why="Paused by ana.", **asked)
    assert "Continues" not in ana.read(reverse("run-detail", args=[run.pk]))
    Run.objects.update(state="running")
    assert "OpenTrain asked to wait 30 s. Continues any moment now." in ana.read(reverse("run-detail", args=[run.pk]))


# --- The order guard --------------------------------------------------------------------------------------------------


def end_one(endpoint: Endpoint) -> str:
    """List the contract of the endpoint's first delivery as ended; return the ID of that delivery."""
    first = endpoint.deliveries.order_by("pk")[0]
    make_contract(install=endpoint.install, opentrain_id=first.resource_id, status="ended")
    return first.opentrain_id


def test_recover_says_what_it_leaves_out_and_that_no_call_for_all_follows(ana: Browser, disabled: Endpoint) -> None:
    end_one(disabled)
    text = words_of(ana.read(recover_at(disabled)))
    assert "One delivery is requested again, the only safe one." in text
    assert "1 is left out: a later event of the same resource has overtaken it." in text
    assert "OpenTrain lists this contract as ended; redelivering contract.started may give access back." in text
    why = "1 failed delivery is overtaken by later events, and one call requests it too"
    assert f"Other failed deliveries at OpenTrain are not requested: {why}." in text


@pytest.mark.parametrize(("form", "state"), [({}, "left_out"), ({"overtaken": "1"}, "waiting")])
def test_recover_leaves_overtaken_ones_out_unless_their_box_is_checked(
    ana: Browser, disabled: Endpoint, form: dict[str, str], state: str
) -> None:
    overtaken = end_one(disabled)
    page = ana.read(recover_at(disabled))
    assert 'name="overtaken" value="1"' in page
    ana.submit(recover_at(disabled), operation=operation_on(page), **form)
    assert Run.objects.get().items.get(opentrain_id=overtaken).state == state


def test_recover_without_an_overtaken_one_has_no_box(ana: Browser, disabled: Endpoint) -> None:
    assert 'name="overtaken"' not in ana.read(recover_at(disabled))


def test_run_page_says_what_it_left_out_and_why(ana: Browser, disabled: Endpoint) -> None:
    overtaken = end_one(disabled)
    ana.submit(recover_at(disabled), operation=operation_on(ana.read(recover_at(disabled))))
    page = ana.read(page_of(Run.objects.get()))
    assert "Left out to keep the order" in page
    assert overtaken in page
    text = words_of(page)
    assert "1 left out" in text
    assert "OpenTrain lists this contract as ended; redelivering contract.started may give access back." in text


def test_run_page_says_how_many_wait_for_an_earlier_event_and_for_how_long(
    ana: Browser, endpoint: Endpoint, support: User
) -> None:
    for _ in range(3):
        make_failed_delivery(endpoint=endpoint, resource_id="mil_1", event_type="milestone.funded")
    run = commands.start_bulk(
        actor=support,
        endpoint=endpoint,
        deliveries=endpoint.deliveries.all(),
        filter_text="all",
        note="",
        now=timezone.now(),
        operation=uuid.uuid4(),
    )
    assert "2 deliveries wait for earlier events of the same resources." in words_of(ana.read(page_of(run)))
    run.items.filter(position=0).update(state="failed_again", asked_at=timezone.now() - timedelta(minutes=30))
    text = words_of(ana.read(page_of(run)))
    assert "OpenTrain may still retry one that failed; the next continues in 2 h at the latest." in text
    Run.objects.update(state="cancelled", ended_at=timezone.now())
    assert "wait for earlier events" not in words_of(ana.read(page_of(run)))
