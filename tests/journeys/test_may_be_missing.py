"""A time in which nothing was sent, and the top of the endpoint's page: in every theme and size, checked by axe."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone
from playwright.sync_api import Page, expect

from dashboard.models import AuditEntry, Endpoint, EndpointSnapshot, User
from tests.factories import (
    make_attempt,
    make_delivery,
    make_endpoint,
    make_failed_delivery,
    make_grant,
    make_install,
    make_reconciliation,
    make_run,
    make_user,
)
from tests.journeys.acting import more_actions, overflows, take_all

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("may_be_missing")]
OUTAGE = timedelta(seconds=110)


@pytest.fixture
def endpoint() -> Endpoint:
    """A healthy endpoint that was disabled for 110 s an hour ago, while another of its install got 15 ends."""
    now = timezone.now()
    at = now - timedelta(hours=1)
    install = make_install(
        name="Acme Labs", token_scopes=["webhooks:manage", "contracts:read", "project-links:read"], checked_at=now
    )
    make_grant(user=make_user(username="vera", role="viewer"), install=install)
    make_reconciliation(install=install, contracts_read_at=now, links_read_at=now, judged_at=now)
    types = ["contract.started", "contract.ended", "milestone.funded"]
    endpoint = make_endpoint(install=install, event_types=types, snapshot_at=now, stopped_seen_at=at + OUTAGE)
    for moment, status in ((at - 5 * OUTAGE, "ACTIVE"), (at, "DISABLED"), (at + OUTAGE, "ACTIVE")):
        failures = 10 * (status == "DISABLED")
        EndpointSnapshot.objects.create(
            endpoint=endpoint, at=moment, not_before=moment, status=status, consecutive_failures=failures
        )
    sibling = make_endpoint(install=install, name="Payroll in Europe", event_types=types, snapshot_at=now)
    for number in range(15):
        make_delivery(
            endpoint=sibling,
            event_id=f"evt_{number}",
            event_type="contract.ended",
            first_received_at=at + OUTAGE / 2,
        )
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (%s)", [now])
    return endpoint


def test_inbox_endpoint_and_run_say_of_which_time_events_may_be_missing(
    page_as: Callable[..., Page], endpoint: Endpoint, screenshots: Path
) -> None:
    page = page_as(make_user(role="support"))
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("All clear, as far as is known")
    item = page.locator(f"#missing-{endpoint.pk}")
    expect(item).to_contain_text("Events other than contract.started and contract.ended")
    expect(item).to_contain_text("may be missing here. It was disabled then.")
    take_all(page, screenshots, "inbox-may-be-missing")
    assert overflows(page) == []
    item.get_by_role("link", name="Open").click()
    section = page.get_by_role("region", name="Missing here")
    expect(section).to_contain_text("None of them is in this endpoint's log.")
    take_all(page, screenshots, "endpoint-may-be-missing")
    assert overflows(page) == []
    section.get_by_role("link", name="15 contract.ended").click()
    expect(page.locator(".filter-chips")).to_contain_text("contract.ended")
    expect(page.locator("tr[data-row]")).to_have_count(15)
    now = timezone.now()
    run = make_run(endpoint=endpoint, created_at=now - timedelta(minutes=50), ended_at=now - timedelta(minutes=40))
    run.steps.create(name="watch", began_at=run.created_at, ended_at=run.ended_at, words="6 of 6 delivered.")
    page.goto(f"/runs/{run.pk}/")
    expect(page.locator("#step-ending")).to_contain_text("may be missing here.")
    expect(page.locator("#step-ending")).to_contain_text("15 contract.ended")
    take_all(page, screenshots, "run-may-be-missing")
    assert overflows(page) == []


def test_time_is_marked_as_checked_and_shown_again(
    page_as: Callable[..., Page], endpoint: Endpoint, screenshots: Path
) -> None:
    """From the inbox, by two clicks and a long note; then back."""
    note = "Partner compared with its own list, " + "https://acme.example.com/" + "lists" * 30
    page = page_as(make_user(role="support", username="ana"))
    page.goto("/")
    item = page.locator(f"#missing-{endpoint.pk}")
    take_all(page, screenshots, "inbox-mark-checked")
    item.get_by_role("link", name="Mark as checked…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Mark this time as checked")
    expect(page.locator("main")).to_contain_text("It leaves the inbox. It proves nothing")
    page.get_by_label("How was it checked?").fill(note)
    take_all(page, screenshots, "mark-checked")
    assert overflows(page) == []
    page.get_by_role("button", name="Mark as checked").dblclick()
    section = page.get_by_role("region", name="Missing here")
    expect(section).to_contain_text("may be missing here. It was disabled then.")
    expect(section).to_contain_text("Checked by ana, ")
    expect(section).to_contain_text(note)
    take_all(page, screenshots, "endpoint-checked")
    assert overflows(page) == []
    now = timezone.now()
    run = make_run(endpoint=endpoint, created_at=now - timedelta(minutes=50), ended_at=now - timedelta(minutes=40))
    run.steps.create(name="watch", began_at=run.created_at, ended_at=run.ended_at, words="6 of 6 delivered.")
    for path in (f"/runs/{run.pk}/", f"/endpoints/{endpoint.pk}/report/"):
        page.goto(path)
        expect(page.locator("main")).to_contain_text("Checked by ana, ")
        take_all(page, screenshots, f"checked-{path.split('/')[1]}")
        assert overflows(page) == []
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("All clear")
    expect(page.locator(".inbox-fine")).to_contain_text("1 time in which nothing was sent was checked by a person, not")
    expect(page.locator(f"#missing-{endpoint.pk}")).to_have_count(0)
    take_all(page, screenshots, "inbox-checked")
    assert overflows(page) == []
    page.goto(f"/endpoints/{endpoint.pk}/")
    section.get_by_role("button", name="Show it again").click()
    expect(page.locator("#answer")).to_contain_text("No longer marked as checked")
    expect(section).not_to_contain_text("Checked by")
    assert AuditEntry.objects.filter(action="check missing window").count() == 1
    page.goto("/")
    expect(page.locator(f"#missing-{endpoint.pk}")).to_be_visible()


def test_top_of_the_page_has_one_button_and_a_menu_with_the_rest(
    page_as: Callable[..., Page], endpoint: Endpoint, screenshots: Path
) -> None:
    now = timezone.now()
    Endpoint.objects.filter(pk=endpoint.pk).update(
        status="DISABLED", consecutive_failures=10, disabled_at=now, disabled_reason="10 consecutive failures"
    )
    for _ in range(2):
        delivery = make_failed_delivery(endpoint=endpoint, first_received_at=now, last_attempt_at=now)
        make_attempt(delivery=delivery, ok=False, cause="status", answered_status=503, received_at=now)
    page = page_as(make_user(role="support"))
    page.goto(f"/endpoints/{endpoint.pk}/")
    head = page.locator(".head")
    expect(head.locator(".going-on")).to_have_text(
        "OpenTrain disabled it after 10 consecutive failures, so deliveries are stopped until it is re-enabled."
    )
    expect(head.get_by_role("link", name="Recover…")).to_be_visible()
    expect(head.get_by_role("button", name="Re-enable")).to_be_hidden()
    expect(head.get_by_text("handler returned 503")).to_have_count(1)
    take_all(page, screenshots, "endpoint-head")
    assert overflows(page) == []
    menu = more_actions(page)
    expect(menu.get_by_role("button", name="Re-enable")).to_be_visible()
    expect(menu.get_by_role("button", name="Redeliver all failed (2)")).to_be_visible()
    take_all(page, screenshots, "endpoint-menu")
    assert overflows(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("#endpoint-menu summary")).to_be_focused()
    facts = page.locator("#endpoint-facts")
    expect(facts.locator("summary")).to_contain_text("3 event types")
    facts.locator("summary").click()
    expect(facts).to_contain_text(f"Redeliver's receiver: {endpoint.url}")
    take_all(page, screenshots, "endpoint-facts")
    assert overflows(page) == []


def test_viewer_sees_no_key_of_the_receiver(page_as: Callable[..., Page], endpoint: Endpoint) -> None:
    page = page_as(User.objects.get(username="vera"))
    for path in (f"/endpoints/{endpoint.pk}/", f"/installs/{endpoint.install_id}/", "/", "/search/?q=redeliver"):
        page.goto(path)
        assert str(endpoint.receiver_key) not in page.content()
    page.goto(f"/endpoints/{endpoint.pk}/")
    expect(page.locator("#endpoint-menu")).to_have_count(0)
    expect(page.locator(".head").get_by_role("link", name="Signature doctor")).to_be_visible()
