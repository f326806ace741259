"""Registering an endpoint: the form, the refusals, and the secret that is shown once."""

import re
from dataclasses import replace
from typing import Any

import pytest
from django.urls import reverse

from dashboard.actions import endpoints
from dashboard.models import Endpoint, Install
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_endpoint
from tests.views.conftest import Browser
from tests.views.test_endpoints import words_of

HOOK = "https://acme.example.com/hook"
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


def test_register_gives_the_name_and_says_that_the_endpoint_is_live(
    ana: Browser, connected: Install, settings: Any
) -> None:
    settings.OPENTRAIN_RETRY_DELAYS_S = [60, 300, 1800, 7200]
    page = words_of(ana.read(create_at(connected)))
    assert "The endpoint is live at once." in page
    assert "What your handler refuses until it has the new secret, OpenTrain retries for two and a half hours." in page
    form = {"path": "receiver", "name": " Billing ", "handler_url": HOOK, "event_types": ["contract.ended"]}
    page = words_of(ana.client.post(create_at(connected), form).content.decode())
    assert "What your handler refuses until it has this secret, OpenTrain retries for two and a half hours." in page
    assert connected.endpoints.get().title == "Billing"


def test_register_with_a_name_that_another_one_has_is_refused(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    Endpoint.objects.update(name="Billing")
    form = {"path": "receiver", "name": "billing", "event_types": ["contract.ended"]}
    answer = ana.client.post(create_at(endpoint.install), form)
    assert answer.status_code == 422
    assert "Another endpoint of this install is called Billing. Choose a name that differs." in answer.content.decode()
    assert calls(fake_opentrain, "create_endpoint") == 1  # the fixture's


def test_register_for_a_handler_that_has_an_endpoint_asks_first(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    form = {"path": "direct", "url": f"{HOOK}/", "event_types": ["contract.started", "contract.ended"]}
    answer = ana.client.post(create_at(endpoint.install), form)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "this handler has an endpoint already" in page
    assert "It would get these events twice: acme.example.com/hook : contract.started Clear" in words_of(page)
    assert f'name="twice" value="{HOOK}/"' in page
    other = ana.client.post(create_at(endpoint.install), form | {"twice": "https://other.example.com/"})
    assert (other.status_code, calls(fake_opentrain, "create_endpoint")) == (422, 1)
    ana.client.post(create_at(endpoint.install), form | {"twice": f"{HOOK}/"})
    assert calls(fake_opentrain, "create_endpoint") == 2


def test_register_for_other_events_of_the_same_handler_asks_nothing(
    ana: Browser, endpoint: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    form = {"path": "receiver", "handler_url": HOOK, "event_types": ["contract.ended"]}
    assert ana.client.post(create_at(endpoint.install), form).status_code == 200
    assert calls(fake_opentrain, "create_endpoint") == 2


def test_form_sent_twice_is_answered_and_not_asked_whether_it_is_meant_twice(
    ana: Browser, connected: Install, fake_opentrain: FakeOpenTrain
) -> None:
    form = {"path": "receiver", "name": "Billing", "handler_url": HOOK, "event_types": ["contract.ended"]}
    answers = [ana.client.post(create_at(connected), form | {"operation": OPERATION}) for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    assert calls(fake_opentrain, "create_endpoint") == 1


def test_register_starts_from_the_endpoint_that_one_came_from(ana: Browser, endpoint: Endpoint) -> None:
    start = f"{create_at(endpoint.install)}?like={endpoint.pk}"
    assert f'href="{start}"' in ana.read(page_of(endpoint))
    page = ana.read(start)
    assert f'value="{HOOK}"' in page
    assert re.findall(r'name="event_types" value="([a-z_.]+)" checked', page) == ["contract.started"]
    assert f'action="{start}"' in page
    assert f'<a class="btn" href="{page_of(endpoint)}">Cancel</a>' in page
    Endpoint.objects.update(handler_url=f"{HOOK}?token=s3cr3t")
    assert "s3cr3t" not in ana.read(start)


@pytest.mark.parametrize("like", ["0", "x", "99999999", "\u0661"])
def test_register_like_what_is_not_of_the_install_starts_empty(like: str, ana: Browser, connected: Install) -> None:
    other = make_endpoint(handler_url="https://other.example.com/")
    for one in (like, str(other.pk)):
        page = ana.read(f"{create_at(connected)}?like={one}")
        assert "other.example.com" not in page
        assert page.count("checked") == 9
