"""Handing over what is missing, in a real browser: allowed, previewed, sent and followed, in every look and size."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from dashboard.actions.handovers import sending
from dashboard.models import Contract, Endpoint, Finding, Grant
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_contract, make_finding, make_user
from tests.handing_over import BUDGET, Scene, make_scene
from tests.journeys.acting import overflows, take_all
from tests.services.misbehaving import answer, misbehaving

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("keys")]
PASSWORD = "a-long-password"
TITLE = "Annotation of street scenes at night, with bounding boxes and attributes, second review, Rome"


@pytest.fixture
def scene(fake_opentrain: FakeOpenTrain, transactional_db: None) -> Iterator[Scene]:
    paul = make_user(role="partner_admin", username="paul", password=PASSWORD)
    with misbehaving(answer(200, b'{"taken": true, "note": "<b>thanks</b>"}')) as server:
        scene = make_scene(fake_opentrain, actor=paul, handler_url=f"{server.url}/hooks/opentrain")
        Grant.objects.get_or_create(user=paul, install=scene.install)
        now = timezone.now()
        Contract.objects.update(title=TITLE, end_date=now - timedelta(hours=5))
        Finding.objects.update(happened_at=now - timedelta(hours=5))
        Endpoint.objects.update(hands_over=False)
        for number in range(2):
            other = make_contract(
                install=scene.install,
                status="ended",
                title=f"Transcript review {number}",
                link_ids=scene.contract.link_ids,
            )
            make_finding(contract=other, endpoint=scene.endpoint, happened_at=now - timedelta(days=number + 1))
        _worker()
        yield scene
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs, procrastinate_workers CASCADE")


def _worker() -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (%s)", [timezone.now()])


def sign_in(page: Page, live_server: LiveServer, path: str) -> None:
    page.goto(f"{live_server.url}/accounts/login/?next={path}")
    page.get_by_label("User name").fill("paul")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def look_at(page: Page, screenshots: Path, name: str) -> None:
    take_all(page, screenshots, name)
    assert overflows(page) == [], name


def test_partner_admin_allows_reads_sends_and_sees_the_answer(
    scene: Scene, live_server: LiveServer, open_page: Callable[..., Page], screenshots: Path
) -> None:
    page = open_page()
    sign_in(page, live_server, f"/contracts/{scene.contract.pk}/endpoints/{scene.endpoint.pk}/ended/hand-over/")
    expect(page.get_by_role("heading", name="Hand over contract.ended")).to_be_visible()
    expect(page.locator("#event")).to_contain_text("The log does not tell who was hired.")
    look_at(page, screenshots, "handover-nobody")
    page.get_by_role("button", name="Read who was hired").click()
    expect(page.locator("#event")).to_contain_text("Maria G.")
    expect(page.locator("#event")).to_contain_text("Sending is not allowed for this endpoint.")
    look_at(page, screenshots, "handover-not-allowed")

    page.get_by_role("link", name="Allow sending…").click()
    expect(page.get_by_role("heading", name="Allow Redeliver to send missing events?")).to_be_visible()
    look_at(page, screenshots, "handover-allow")
    page.get_by_role("button", name="Allow sending").click()
    expect(page.get_by_role("heading", name="3 missing events that can be sent")).to_be_visible()
    look_at(page, screenshots, "handover-all")
    begins = page.locator("#missing-heading, [data-checks] thead th:first-child").evaluate_all(
        "all => all.map((one) => one.getBoundingClientRect().left + parseFloat(getComputedStyle(one).paddingLeft))"
    )
    assert len(set(begins)) == 1  # the table begins where its heading does
    page.get_by_role("link", name="contract.ended").first.click()
    page.get_by_role("button", name="Read who was hired").click()
    page.get_by_text("As a curl command").click()
    look_at(page, screenshots, "handover-preview")

    page.get_by_role("button", name="Send to your handler").click()
    expect(page.locator("#answer")).to_contain_text("Waiting to be sent…")
    sending.send_waiting(endpoint_id=scene.endpoint.pk, clock=timezone.now, budget=BUDGET)
    expect(page.locator("#answer")).to_contain_text("Your handler took it (200")
    page.get_by_text("Your handler's response").click()
    look_at(page, screenshots, "handover-sent")
    page.get_by_role("link", name="What was sent").click()
    expect(page.locator("main")).to_contain_text("X-Redeliver-Reconstructed")
    look_at(page, screenshots, "handover-detail")
    page.goto(f"{live_server.url}/endpoints/{scene.endpoint.pk}/deliveries/")
    expect(page.get_by_role("heading", name="Handed over by Redeliver")).to_be_visible()
    look_at(page, screenshots, "handover-deliveries")


def test_selection_is_followed_and_sending_is_stopped(
    scene: Scene, live_server: LiveServer, open_page: Callable[..., Page], screenshots: Path
) -> None:
    Endpoint.objects.update(hands_over=True)
    page = open_page()
    sign_in(page, live_server, f"/endpoints/{scene.endpoint.pk}/hand-over/")
    page.get_by_role("button", name="Tick none").click()
    page.get_by_role("checkbox").first.check()
    page.get_by_role("checkbox").last.check()
    page.get_by_role("button", name="Send to your handler").click()
    expect(page.get_by_role("heading", name="0 of 2 so far")).to_be_visible()
    sending.send_waiting(endpoint_id=scene.endpoint.pk, clock=timezone.now, budget=BUDGET)
    expect(page.get_by_role("heading", name="2 of 2 done")).to_be_visible()
    look_at(page, screenshots, "handover-batch")
    page.goto(f"{live_server.url}/endpoints/{scene.endpoint.pk}/hand-over/stop/")
    look_at(page, screenshots, "handover-stop")
    page.get_by_role("button", name="Stop sending").click()
    expect(page.locator("main")).to_contain_text("Not allowed.")
    assert not Endpoint.objects.get(pk=scene.endpoint.pk).hands_over
