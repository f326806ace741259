"""Registering an endpoint: the form, the refusals, and the secret that is shown once."""

import re
from dataclasses import replace

import pytest
from django.urls import reverse

from dashboard.actions import endpoints
from dashboard.models import Endpoint, Install
from tests.contract.fake import FakeOpenTrain
from tests.views.conftest import Browser

OPERATION = "6f0bd6b4-6f8e-4f5e-9b0b-5f4a3f1d2c11"


def page_of(endpoint: Endpoint) -> str:
    return reverse("endpoint-detail", args=[endpoint.pk])


def create_at(install: Install) -> str:
    return reverse("endpoint-create", args=[install.pk])


def calls(fake: FakeOpenTrain, operation: str) -> int:
    return [call.operation for call in fake.calls].count(operation)


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


def test_register_answered_otherwise_says_so_beside_the_secret(
    ana: Browser, connected: Install, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.change_answer(
        lambda made: replace(made, endpoint=replace(made.endpoint, event_types=("contract.started",))),
        operation="create_endpoint",
    )
    form = {"path": "direct", "url": "https://acme.example.com/hook", "event_types": ["contract.ended"]}
    page = ana.client.post(create_at(connected), form).content.decode()
    assert "The endpoint is registered, but not as requested. OpenTrain answered that the event types are" in page
    assert 'id="secret">whsec_' in page


def test_register_straight_keeps_no_secret(ana: Browser, connected: Install) -> None:
    form = {"path": "direct", "url": "https://acme.example.com/hook", "event_types": ["contract.ended"]}
    page = ana.client.post(create_at(connected), form).content.decode()
    assert "Redeliver doesn't keep it" in page
    assert connected.endpoints.get().secret is None


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"path": "receiver", "event_types": []}, "Choose at least one event type."),
        ({"path": "receiver", "event_types": ["contract.sung"]}, "contract.sung is not one of the available choices"),
        ({"path": "direct", "event_types": ["contract.ended"]}, "Enter the address for OpenTrain to deliver to."),
        ({"path": "direct", "url": "http://a.example.com/", "event_types": ["contract.ended"]}, "https:// only"),
        ({"path": "direct", "url": "ftp://a.example.com/", "event_types": ["contract.ended"]}, "the full address"),
        (
            {"path": "direct", "url": "https://u:p@a.example.com/", "event_types": ["contract.ended"]},
            "Remove the user name",
        ),
        ({"path": "direct", "url": "https://[::1/", "event_types": ["contract.ended"]}, "not a valid URL"),
        ({"path": "direct", "url": "https://a.example.com:x/", "event_types": ["contract.ended"]}, "not a valid URL"),
        ({"path": "receiver", "handler_url": "https://ä.example.com", "event_types": ["contract.ended"]}, "plain"),
        (
            {"path": "receiver", "handler_url": "javascript:alert(1)", "event_types": ["contract.ended"]},
            "the full address",
        ),
    ],
)
def test_register_with_something_wrong_says_what_and_asks_nobody(
    form: dict, words: str, ana: Browser, connected: Install, fake_opentrain: FakeOpenTrain
) -> None:
    response = ana.client.post(create_at(connected), form)
    page = response.content.decode()
    assert response.status_code == 422
    assert words in page
    assert "Nothing was sent to OpenTrain. Fix the errors below." in page
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


def test_register_answered_with_a_known_id_shows_the_secret_and_that_the_outcome_is_unknown(
    ana: Browser, endpoint: Endpoint, connected: Install, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.create_again(endpoint.opentrain_id)
    form = {"path": "receiver", "handler_url": "https://acme.example.com/hook", "event_types": ["contract.ended"]}
    response = ana.client.post(create_at(connected), form | {"operation": OPERATION})
    page = response.content.decode()
    assert (response.status_code, "no-store" in response["Cache-Control"]) == (200, True)
    assert "It is unknown whether a new endpoint exists" in page
    assert "OpenTrain answered with the ID of an endpoint that Redeliver already has" in page
    secret = Endpoint.objects.exclude(pk=endpoint.pk).get().secret.reveal()
    assert f'<code id="secret">{secret}</code>' in page
    install_page = ana.read(reverse("install-detail", args=[connected.pk]))
    assert "Registering" not in install_page
    made = Endpoint.objects.exclude(pk=endpoint.pk).get()
    assert "with the ID of another endpoint, so its outcome is unknown" in ana.read(page_of(made))
