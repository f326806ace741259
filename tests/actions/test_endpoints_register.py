"""Registering an endpoint: what is kept, and what happens when the answer is lost, late or different."""

from typing import Any

import pytest
from django.db import DataError
from django.utils import timezone

from dashboard.actions import endpoints
from dashboard.actions.installs import sync
from dashboard.actions.operation import UNRECORDED
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.models import Endpoint, Install, User
from dashboard.rules.snapshots import LAG
from dashboard.services import opentrain
from dashboard.services.opentrain import OutcomeUnknown
from tests.actions.conftest import EVENTS, UNKNOWN, audit, register, says
from tests.contract.fake import FakeOpenTrain

pytestmark = pytest.mark.django_db


def test_register_through_redeliver_keeps_the_secret_and_a_key_of_its_own(
    install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    outcome, endpoint, secret = register(install, support)
    assert outcome == Outcome(
        kind=OutcomeKind.DONE,
        words="The endpoint is registered.",
        quoted="Store the secret now: it is shown only once.",
    )
    stored = Endpoint.objects.get(pk=endpoint.pk)
    assert stored.secret == secret
    assert stored.url == f"https://redeliver.example.com/hooks/{stored.receiver_key}/"
    assert stored.handler_url == "http://localhost:1/hook"
    assert (stored.status, stored.event_types, stored.registering_since) == ("ACTIVE", EVENTS, None)
    assert fake_opentrain.calls[-1].arguments == {"url": stored.url, "event_types": EVENTS}
    assert audit("register endpoint") == [("requested", "ana"), ("done", "ana")]


def test_register_straight_keeps_no_secret(install: Install, support: User) -> None:
    _, endpoint, secret = register(install, support, url="https://acme.example.com/hook", through_redeliver=False)
    stored = Endpoint.objects.get(pk=endpoint.pk)
    assert secret.reveal().startswith("whsec_")
    assert (stored.secret, stored.receiver_key, stored.url) == (None, None, "https://acme.example.com/hook")


def test_register_refused_leaves_no_row(install: Install, support: User) -> None:
    outcome, endpoint, secret = register(install, support, url="ftp://acme.example.com", through_redeliver=False)
    assert (outcome.kind, endpoint, secret) == (OutcomeKind.REFUSED, None, None)
    assert Endpoint.objects.count() == 0
    assert audit("register endpoint") == [("requested", "ana"), ("refused", "ana")]


def test_register_of_unknown_outcome_is_recognised_when_it_is_listed(
    install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fail_next(OutcomeUnknown(UNKNOWN))
    outcome, _, _ = register(install, support)
    assert (outcome.kind, outcome.words) == (OutcomeKind.UNKNOWN, UNKNOWN)
    pending = Endpoint.objects.get()
    assert (pending.opentrain_id, pending.secret) == (None, None)
    fake_opentrain.create_endpoint(token=install.token, url=pending.url, event_types=EVENTS)
    assert sync.refresh(install=install, now=timezone.now()) is None
    adopted = Endpoint.objects.get()
    assert adopted.pk == pending.pk
    assert adopted.opentrain_id.startswith("whe_")


@pytest.mark.parametrize("received", [True, False])
def test_register_answered_with_an_id_that_is_known_is_of_unknown_outcome_and_keeps_the_secret(
    endpoint: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain, received: bool
) -> None:
    before = Endpoint.objects.filter(pk=endpoint.pk).values().get()
    fake_opentrain.create_again(endpoint.opentrain_id)
    outcome, made, secret = register(
        install, support, url="" if received else "https://acme.example.com/hook", through_redeliver=received
    )
    assert (outcome.kind, made) == (OutcomeKind.UNKNOWN, None)
    assert outcome.words.startswith(
        "OpenTrain answered with the ID of an endpoint that Redeliver already has (localhost:1/hook"
    )
    assert secret.reveal().startswith("whsec_")
    row = Endpoint.objects.exclude(pk=endpoint.pk).get()
    assert (row.opentrain_id, row.registering_since, row.deleted_at is not None) == (None, None, True)
    assert row.secret == (secret if received else None)
    assert Endpoint.objects.filter(pk=endpoint.pk).values().get() == before
    assert audit("register endpoint")[-2:] == [("requested", "ana"), ("unknown", "ana")]
    sync.refresh(install=install, now=timezone.now() + LAG)
    assert list(Endpoint.objects.registered()) == [endpoint]
    made = fake_opentrain.create_endpoint(token=install.token, url=row.url, event_types=EVENTS)
    sync.refresh(install=install, now=timezone.now() + LAG)
    assert Endpoint.objects.registered().get(opentrain_id=made.endpoint.id) == row  # the list knows it after all


def test_register_that_cannot_be_recorded_keeps_the_secret_for_the_list_that_shows_the_endpoint(
    install: Install, support: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_given: object) -> None:
        raise DataError

    with monkeypatch.context() as patch:
        patch.setattr(endpoints, "record_change", fail)
        outcome, made, secret = register(install, support)
    assert (outcome.kind, outcome.words, made) == (OutcomeKind.UNKNOWN, UNRECORDED, None)
    assert audit("register endpoint") == [("requested", "ana"), ("unknown", "ana")]
    sync.refresh(install=install, now=timezone.now())
    row = Endpoint.objects.get()
    assert (row.opentrain_id is not None, row.secret) == (True, secret)


def test_register_takes_its_id_back_from_a_row_that_a_list_took_for_it(
    install: Install, support: User, fake_opentrain: FakeOpenTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two registrations of one URL wait for their answers, and the list comes first."""
    given = {"url": "https://acme.example.com/hook", "through_redeliver": False}
    fake_opentrain.fail_next(OutcomeUnknown(UNKNOWN), operation="create_endpoint")
    register(install, support, **given)
    create = fake_opentrain.create_endpoint

    def create_slowly(**arguments: Any) -> opentrain.CreatedEndpoint:
        answer = create(**arguments)
        sync.refresh(install=install, now=timezone.now())
        return answer

    monkeypatch.setattr(opentrain, "create_endpoint", create_slowly)
    outcome, endpoint, _ = register(install, support, **given)
    assert outcome.kind is OutcomeKind.DONE
    ids = dict(Endpoint.objects.values_list("pk", "opentrain_id"))
    assert ids.pop(endpoint.pk) is not None
    assert list(ids.values()) == [None]


@pytest.mark.parametrize(
    ("answered", "differs"),
    [
        ({"url": "https://other.example.com/"}, "the address is https://other.example.com/ (requested: {url})"),
        (
            {"event_types": ("milestone.funded",)},
            "the event types are milestone.funded (requested: contract.ended, contract.started)",
        ),
        ({"status": "DISABLED"}, "it is DISABLED, so nothing is sent until it is re-enabled"),
        ({"status": "HIBERNATING"}, "its status is HIBERNATING, which Redeliver does not know"),
    ],
)
def test_register_says_what_the_answer_has_otherwise_and_keeps_the_secret(
    install: Install, support: User, fake_opentrain: FakeOpenTrain, answered: dict[str, Any], differs: str
) -> None:
    says(fake_opentrain, "create_endpoint", **answered)
    outcome, endpoint, secret = register(install, support, url="https://acme.example.com/", through_redeliver=False)
    differs = differs.format(url="https://acme.example.com/")
    assert (outcome.kind, outcome.words) == (
        OutcomeKind.UNKNOWN,
        (
            f"The endpoint is registered, but not as requested. OpenTrain answered that {differs}. "
            "Correct it on the endpoint's page."
        ),
    )
    assert (endpoint.pk, secret is not None) == (Endpoint.objects.get().pk, True)
