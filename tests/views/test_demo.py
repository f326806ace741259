"""The demo's switch: only in the demo, and only for its own handlers."""

import pytest
from django.urls import reverse

from dashboard.models import Endpoint
from dashboard.services import demo
from tests.views.conftest import Browser

ROOT = "http://127.0.0.1:9"


@pytest.fixture
def in_demo(settings, endpoint: Endpoint) -> Endpoint:
    settings.DEMO_HANDLER_URL = ROOT
    endpoint.handler_url = f"{ROOT}/acme/webhooks"
    endpoint.save(update_fields=["handler_url"])
    return endpoint


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Record the calls that switch the demo's handlers; the fake handlers obey the last one."""
    calls: list[tuple[str, bool]] = []

    def set_broken(*, handler_url: str, broken: bool) -> None:
        calls.append((handler_url, broken))

    monkeypatch.setattr(demo, "set_broken", set_broken)
    monkeypatch.setattr(demo, "is_broken", lambda **_arguments: calls[-1][1] if calls else False)
    return calls


def path_of(endpoint: Endpoint) -> str:
    return reverse("demo-handler", args=[endpoint.pk])


def test_switch_breaks_and_repairs_by_htmx(ana: Browser, in_demo: Endpoint, told: list) -> None:
    broken = ana.press(path_of(in_demo), handler="break")
    assert "it answers every request with 503" in broken
    assert "Repair handler" in broken
    repaired = ana.press(path_of(in_demo), handler="repair")
    assert "Break handler" in repaired
    assert told == [(f"{ROOT}/acme/webhooks", True), (f"{ROOT}/acme/webhooks", False)]


def test_switch_works_by_a_plain_form(ana: Browser, in_demo: Endpoint, told: list) -> None:
    page = ana.submit(path_of(in_demo), handler="break")
    assert "Demo only" in page
    assert "Repair handler" in page


def test_switch_says_what_went_wrong(ana: Browser, in_demo: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_arguments: object) -> None:
        raise demo.DemoHandlerFailed("The demo's handler did not answer.")

    monkeypatch.setattr(demo, "set_broken", fail)
    assert "The demo&#x27;s handler did not answer." in ana.press(path_of(in_demo), handler="break")


def test_switch_of_a_handler_that_does_not_answer_still_shows_the_page(ana: Browser, in_demo: Endpoint) -> None:
    page = ana.read(reverse("endpoint-detail", args=[in_demo.pk]))
    assert "The demo handler does not report its state." in page


def test_switch_is_not_there_outside_the_demo(ana: Browser, endpoint: Endpoint, told: list) -> None:
    assert "Demo only" not in ana.read(reverse("endpoint-detail", args=[endpoint.pk]))
    assert ana.client.post(path_of(endpoint), {"handler": "break"}).status_code == 404
    assert told == []


@pytest.mark.parametrize("handler", ["", "https://acme.example.com/hook", f"{ROOT}.evil.example.com/x"])
def test_switch_is_not_there_for_the_handler_of_somebody_else(
    handler: str, ana: Browser, in_demo: Endpoint, told: list
) -> None:
    Endpoint.objects.update(handler_url=handler)
    assert ana.client.post(path_of(in_demo), {"handler": "break"}).status_code == 404
    assert told == []
