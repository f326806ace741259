"""Putting an endpoint behind the receiver and taking it out again: the call, what is stored, what people are told."""

import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from dashboard.actions import endpoint_changes, routing
from dashboard.actions.installs import sync
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.models import AuditEntry, Endpoint, EndpointWrite, Install, User
from dashboard.rules.preflight import from_receiver, of_answer, reached_words
from dashboard.services.handler import HandlerAnswer
from dashboard.services.opentrain import OutcomeUnknown
from dashboard.vault import Secret
from tests.actions.test_endpoint_changes import registered
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_delivery

pytestmark = pytest.mark.django_db

DIRECT = "https://acme.example.com/in?api_key=s3cr3t"
SECRET = Secret("whsec_" + "s" * 32)
LOST = OutcomeUnknown("OpenTrain did not answer within 15 s. The request may have been taken.")


@pytest.fixture
def direct(install: Install, support: User) -> Endpoint:
    """An endpoint that OpenTrain delivers directly."""
    return registered(install, support, url=DIRECT)


def route(endpoint: Endpoint, actor: User, **given: Any) -> Outcome:
    given = {"secret": SECRET, "operation": uuid.uuid4()} | given
    outcome = routing.route(actor=actor, endpoint=endpoint, clock=timezone.now, **given)
    endpoint.refresh_from_db()
    return outcome


def bypass(endpoint: Endpoint, actor: User | None, **given: Any) -> Outcome:
    given = {"operation": uuid.uuid4()} | given
    outcome = routing.bypass(actor=actor, endpoint=endpoint, clock=timezone.now, **given)
    endpoint.refresh_from_db()
    return outcome


def lose_answer(fake: FakeOpenTrain) -> None:
    """Let OpenTrain carry out the next change of an endpoint, and its answer be lost."""

    def lose(_answer: object) -> None:
        raise LOST

    fake.change_answer(lose, operation="update_endpoint")


def url_at_opentrain(fake: FakeOpenTrain, endpoint: Endpoint) -> str:
    return fake.get_endpoint(token=endpoint.install.token, endpoint_id=endpoint.opentrain_id).url


def listed(endpoint: Endpoint, *, later: timedelta = timedelta()) -> None:
    """Have the poller read OpenTrain's list."""
    at: datetime = timezone.now() + later
    assert sync.refresh(install=Install.objects.get(pk=endpoint.install_id), now=at) is None
    endpoint.refresh_from_db()


# --- The check of handlers --------------------------------------------------------------------------------------------


def test_console_checks_what_no_receiver_has_checked(
    install: Install, direct: Endpoint, support: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = registered(install, support, url="https://other.example.com/")
    found = from_receiver(of_answer(status=405, latency_ms=31))
    monkeypatch.setattr(routing.handler_checks, "ask", lambda _endpoints: {direct.pk: found})
    monkeypatch.setattr(routing.handler, "probe", lambda **_given: HandlerAnswer(404, (), b"", 7))
    first, second = routing.preflights([direct, other])
    assert first == found
    assert second.words.startswith(f"{reached_words(status=404, latency_ms=7)} The receiver did not answer,")
    assert not second.is_from_receiver


# --- Route ------------------------------------------------------------------------------------------------------------


def test_routed_endpoint_is_received_and_forwards_to_its_url_of_before(
    direct: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    outcome = route(direct, support)
    assert outcome.kind is OutcomeKind.DONE
    assert outcome.words == (
        "OpenTrain delivers to Redeliver now, which forwards to https://acme.example.com/in?api_key=[redacted]. "
        "The first delivery shows whether the signing secret is right."
    )
    assert direct.is_received
    assert url_at_opentrain(fake_opentrain, direct) == direct.url
    assert (direct.handler_url, direct.secret, direct.proof) == (DIRECT, SECRET, "waiting")
    assert direct.routed_at is not None
    assert (direct.routing_since, direct.bypassed_at, direct.url_changed_at) == (None, None, None)
    phases = AuditEntry.objects.filter(action=routing.ROUTE).order_by("id").values_list("phase", "actor_name")
    assert list(phases) == [("requested", "ana"), ("done", "ana")]
    assert SECRET.reveal() not in str(list(AuditEntry.objects.values()))


def test_receiver_knows_key_handler_and_secret_before_opentrain_is_asked(
    direct: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    seen: list[tuple[Any, ...]] = []

    def look() -> None:
        row = Endpoint.objects.get(pk=direct.pk)
        seen.append((bool(row.receiver_key), row.handler_url, row.secret, row.proof, row.is_routing, row.is_moved))

    fake_opentrain.before("update_endpoint", look)
    route(direct, support)
    assert seen == [(True, DIRECT, SECRET, "waiting", True, False)]


def test_without_a_secret_it_is_marked_so_until_one_is_given(direct: Endpoint, support: User) -> None:
    outcome = route(direct, support, secret=None)
    assert "passes deliveries on unverified" in outcome.words
    assert (direct.is_received, direct.secret, direct.proof) == (True, None, "none")


def test_refused_change_leaves_nothing(direct: Endpoint, support: User, fake_opentrain: FakeOpenTrain) -> None:
    fake_opentrain.revoke(direct.install.token)
    outcome = route(direct, support)
    assert outcome.kind is OutcomeKind.REFUSED
    assert (direct.receiver_key, direct.handler_url, direct.secret, direct.proof) == (None, "", None, "proven")
    assert (direct.url, direct.routing_since, direct.is_moved) == (DIRECT, None, False)


def test_lost_answer_is_looked_up_and_never_repeated(
    direct: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    lose_answer(fake_opentrain)
    outcome = route(direct, support)
    assert outcome.kind is OutcomeKind.DONE
    assert direct.is_received
    assert [call.operation for call in fake_opentrain.calls][-2:] == ["update_endpoint", "get_endpoint"]


def test_lost_request_stays_prepared_and_says_that_it_is_not_settled(
    direct: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fail_next(LOST, operation="update_endpoint")
    outcome = route(direct, support)
    assert outcome.kind is OutcomeKind.UNKNOWN
    assert "OpenTrain still shows the earlier URL." in outcome.words
    assert (direct.is_received, direct.is_routing, direct.is_moved) == (False, True, False)
    assert direct.secret == SECRET
    # It is carried out later, and the list shows it.
    fake_opentrain.update_endpoint(
        token=direct.install.token,
        endpoint_id=direct.opentrain_id,
        url=f"https://redeliver.example.com/hooks/{direct.receiver_key}/",
    )
    listed(direct)
    assert direct.is_received
    assert direct.routing_since is None
    assert direct.routed_at is not None
    assert not AuditEntry.objects.filter(action="URL changed elsewhere").exists()


def test_second_try_after_a_lost_request_uses_the_same_key(
    direct: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fail_next(LOST, operation="update_endpoint")
    route(direct, support)
    key = direct.receiver_key
    assert route(direct, support).kind is OutcomeKind.DONE
    assert (direct.receiver_key, direct.is_received) == (key, True)


def test_form_that_is_sent_twice_makes_one_call(direct: Endpoint, support: User, fake_opentrain: FakeOpenTrain) -> None:
    operation = uuid.uuid4()
    first = route(direct, support, operation=operation)
    calls = len(fake_opentrain.calls)
    again = routing.route(
        actor=support,
        endpoint=Endpoint.objects.get(pk=direct.pk),
        secret=SECRET,
        clock=timezone.now,
        operation=operation,
    )
    assert first.ok
    assert again.kind is OutcomeKind.REFUSED
    assert "already" in again.words
    assert len(fake_opentrain.calls) == calls


@pytest.mark.parametrize(
    "url", ["https://proxy.example.com/below/hooks/{key}/", "https://proxy.example.com/%68ooks/{key}"]
)
def test_endpoint_that_leads_to_a_receiver_through_a_proxy_is_not_routed(
    install: Install, direct: Endpoint, support: User, url: str
) -> None:
    """It would become its own handler's handler: each delivery would come back."""
    route(direct, support)
    behind = registered(install, support, url=url.format(key=direct.receiver_key))
    outcome = route(behind, support)
    assert (outcome.kind, behind.receiver_key) == (OutcomeKind.REFUSED, None)
    assert "to an address of Redeliver's receiver already" in outcome.words


def test_opentrain_that_keeps_the_url_is_believed(
    direct: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.change_answer(lambda answer: replace(answer, url=DIRECT), operation="update_endpoint")
    outcome = route(direct, support)
    assert outcome.kind is OutcomeKind.UNAVAILABLE
    assert "OpenTrain did not make the change." in outcome.words
    assert (direct.is_received, direct.receiver_key) == (False, None)


# --- Bypass -----------------------------------------------------------------------------------------------------------


def test_bypass_points_opentrain_at_the_handler_and_keeps_the_log(
    direct: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    route(direct, support)
    make_delivery(endpoint=direct)
    outcome = bypass(direct, support)
    assert outcome.kind is OutcomeKind.DONE
    assert outcome.words.startswith("OpenTrain delivers to https://acme.example.com/in?api_key=[redacted] itself now.")
    assert url_at_opentrain(fake_opentrain, direct) == DIRECT == direct.url
    assert (direct.is_bypassed, direct.is_received, direct.is_moved) == (True, False, False)
    assert direct.deliveries.count() == 1
    listed(direct)
    assert (direct.is_bypassed, direct.url_changed_at) == (True, None)


def test_bypassed_endpoint_is_routed_again_with_the_secret_that_is_known(direct: Endpoint, support: User) -> None:
    route(direct, support)
    Endpoint.objects.filter(pk=direct.pk).update(proof="proven")
    direct.refresh_from_db()
    key = direct.receiver_key
    bypass(direct, support)
    outcome = route(direct, support, secret=None)
    assert "Redeliver knows its signing secret from before." in outcome.words
    assert (direct.receiver_key, direct.is_received, direct.proof, direct.bypassed_at) == (key, True, "proven", None)


def test_secret_that_a_delivery_has_proven_is_not_replaced_by_a_mistyped_one(direct: Endpoint, support: User) -> None:
    route(direct, support)
    Endpoint.objects.filter(pk=direct.pk).update(proof="proven")
    direct.refresh_from_db()
    make_delivery(endpoint=direct)
    bypass(direct, support)
    route(direct, support, secret=Secret("whsec_" + "mistyped" * 4))
    assert (direct.secret, direct.proof) == (SECRET, "proven")


def test_refused_bypass_changes_nothing(direct: Endpoint, support: User, fake_opentrain: FakeOpenTrain) -> None:
    route(direct, support)
    fake_opentrain.revoke(direct.install.token)
    assert bypass(direct, support).kind is OutcomeKind.REFUSED
    assert (direct.is_received, direct.bypassed_at) == (True, None)


def test_bypass_whose_answer_is_lost_is_looked_up(
    direct: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    route(direct, support)
    lose_answer(fake_opentrain)
    assert bypass(direct, support).kind is OutcomeKind.DONE
    assert direct.is_bypassed


def test_bypass_that_opentrain_carries_out_later_is_not_told_as_a_change_elsewhere(
    direct: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    route(direct, support)
    fake_opentrain.fail_next(LOST, operation="update_endpoint")
    assert bypass(direct, support).kind is OutcomeKind.UNKNOWN
    assert direct.is_received
    fake_opentrain.update_endpoint(token=direct.install.token, endpoint_id=direct.opentrain_id, url=DIRECT)
    EndpointWrite.objects.all().delete()
    listed(direct)
    assert (direct.is_bypassed, direct.is_moved, direct.url_changed_at) == (True, False, None)


@pytest.mark.parametrize(
    ("handler_url", "words"),
    [("", "No handler is set"), ("http://acme.example.com/hook", "OpenTrain delivers to https:// only")],
)
def test_handler_that_opentrain_cannot_deliver_to_refuses_the_bypass(
    direct: Endpoint, support: User, fake_opentrain: FakeOpenTrain, handler_url: str, words: str
) -> None:
    route(direct, support)
    Endpoint.objects.filter(pk=direct.pk).update(handler_url=handler_url)
    direct.refresh_from_db()
    calls = len(fake_opentrain.calls)
    outcome = bypass(direct, support)
    assert outcome.kind is OutcomeKind.REFUSED
    assert words in outcome.words
    assert (len(fake_opentrain.calls), direct.is_received) == (calls, True)


def test_bypass_from_the_command_line_is_in_the_audit_without_a_person(direct: Endpoint, support: User) -> None:
    route(direct, support)
    assert bypass(direct, None).ok
    names = AuditEntry.objects.filter(action=routing.BYPASS).values_list("actor", "actor_name")
    assert set(names) == {(None, "command line")}


def test_edit_of_a_bypassed_endpoint_keeps_it_bypassed(direct: Endpoint, support: User) -> None:
    route(direct, support)
    bypass(direct, support)
    endpoint_changes.change(
        actor=support,
        endpoint=direct,
        address="https://acme.example.com/new",
        event_types=direct.event_types,
        clock=timezone.now,
        operation=uuid.uuid4(),
    )
    direct.refresh_from_db()
    assert (direct.is_bypassed, direct.handler_url) == (True, "https://acme.example.com/new")
