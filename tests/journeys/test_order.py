"""The question before an overtaken delivery is redelivered, in a real browser with and without JavaScript."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, expect

from dashboard.models import Install
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_delivery, make_endpoint, make_failed_delivery, make_user
from tests.journeys.acting import overflows, violations
from tests.views.conftest import connected

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
__all__ = ["connected"]


@pytest.fixture
def support() -> Any:
    return make_user(username="ana")


@pytest.mark.parametrize("java_script_enabled", [True, False])
def test_question_comes_before_a_redelivery_that_would_undo_a_later_event(
    browser: Browser,
    live_server: Any,
    connected: Install,
    support: Any,
    fake_opentrain: FakeOpenTrain,
    java_script_enabled: bool,
) -> None:
    now, token = timezone.now(), connected.token
    made = fake_opentrain.create_endpoint(
        token=token, url="https://acme.example.com/", event_types=["contract.started"]
    )
    endpoint = make_endpoint(install=connected, opentrain_id=made.endpoint.id, snapshot_at=now)
    (opentrain_id,) = fake_opentrain.add_deliveries(made.endpoint.id, failed=1)
    started = make_failed_delivery(
        endpoint=endpoint, opentrain_id=opentrain_id, resource_id="con_7", event_created_at=now - timedelta(hours=1)
    )
    client = Client()
    client.force_login(support)
    context = browser.new_context(viewport={"width": 1280, "height": 900}, java_script_enabled=java_script_enabled)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
    page = context.new_page()
    page.goto(live_server.url + reverse("delivery-detail", args=[started.pk]))
    button = page.get_by_role("button", name="Redeliver this delivery")
    expect(button).to_be_visible()
    # The later event arrives after the page was drawn.
    make_delivery(endpoint=endpoint, event_type="contract.ended", resource_id="con_7", event_created_at=now)
    button.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Redeliver this delivery?")
    expect(page.get_by_role("alert")).to_contain_text("redelivering contract.started may give access back.")
    assert [call.operation for call in fake_opentrain.calls].count("redeliver") == 0
    if java_script_enabled:
        assert violations(page) == []
        page.emulate_media(color_scheme="dark")
        assert violations(page) == []
        assert overflows(page) == []
    page.get_by_role("button", name="Redeliver it anyway").click()
    expect(page.locator("#answer")).to_contain_text("1 requeued.")
    assert [call.operation for call in fake_opentrain.calls].count("redeliver") == 1
    context.close()
