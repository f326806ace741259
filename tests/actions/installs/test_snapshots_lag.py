"""OpenTrain's list lags behind changes: what it shows from before one is ignored, until it has shown it for long."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from dashboard.actions import endpoint_changes, endpoints
from dashboard.actions.installs import snapshots, sync
from dashboard.models import Delivery, Endpoint, Install, User
from dashboard.rules.endpoints import Severity
from dashboard.rules.snapshots import LAG
from dashboard.services import opentrain
from tests.actions.installs.conftest import TYPES
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_delivery

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def act(what: str, endpoint: Endpoint, actor: User) -> None:
    """Do one of the operations that change an endpoint."""
    endpoint = Endpoint.objects.select_related("install").get(pk=endpoint.pk)
    common = {"actor": actor, "endpoint": endpoint, "clock": timezone.now, "operation": uuid.uuid4()}
    if what == "re-enable":
        outcome = endpoints.enable(**common)
    elif what == "pause":
        outcome = endpoint_changes.pause(**common)
    elif what == "delete":
        outcome = endpoint_changes.delete(**common)
    else:
        address, types = ("https://new.example.com/", TYPES) if what == "move" else (endpoint.url, TYPES[:1])
        outcome = endpoint_changes.change(**common, address=address, event_types=types)
    assert outcome.ok


def facts(endpoint: Endpoint) -> tuple:
    row = Endpoint.objects.get(pk=endpoint.pk)
    return row.url, row.event_types, row.status, row.consecutive_failures, row.disabled_at, row.deleted_at is not None


CHANGES = ["re-enable", "reset", "pause", "move", "event types", "delete"]


def prepare(what: str, endpoint: Endpoint, fake: FakeOpenTrain) -> str:
    """Bring the endpoint into the state that the operation changes; return the operation's name."""
    if what == "re-enable":
        fake.disable(endpoint.opentrain_id, "10 consecutive failures")
    elif what == "reset":
        fake.set_streak(endpoint.opentrain_id, 7)
    sync.refresh(install=endpoint.install, now=timezone.now() - timedelta(minutes=4))
    return "re-enable" if what == "reset" else what


@pytest.mark.parametrize("what", CHANGES)
def test_list_that_lags_behind_a_change_is_waited_for(
    old: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain, what: str
) -> None:
    waiting = make_delivery(endpoint=old, last_ok=False, last_attempt_at=timezone.now())
    act_on = prepare(what, old, fake_opentrain)
    before = facts(old)
    asked_before = timezone.now()
    fake_opentrain.fall_behind()
    act(act_on, old, support)
    written = facts(old)
    assert written != before
    history = list(old.history.values_list("status", "consecutive_failures"))
    standing = Delivery.objects.get(pk=waiting.pk).standing
    lags = [asked_before, *(timezone.now() + seconds * SECOND for seconds in (0, 1, 5, 50))]
    for at in lags:
        assert sync.refresh(install=install, now=at) is None
        assert facts(old) == written
    assert list(old.history.values_list("status", "consecutive_failures")) == history
    assert Delivery.objects.get(pk=waiting.pk).standing == standing
    fake_opentrain.catch_up()
    sync.refresh(install=install, now=lags[-1])
    assert facts(old) == written


@pytest.mark.parametrize("what", CHANGES)
def test_what_the_list_says_for_longer_than_it_lags_is_believed(
    old: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain, what: str
) -> None:
    act_on = prepare(what, old, fake_opentrain)
    before = facts(old)
    fake_opentrain.fall_behind()
    act(act_on, old, support)
    sync.refresh(install=install, now=timezone.now() + LAG)
    assert facts(old) == before


def test_changes_in_a_row_are_all_waited_for(
    old: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fall_behind()
    for what in ("move", "pause", "re-enable", "event types", "pause"):
        act(what, old, support)
        written = facts(old)
        sync.refresh(install=install, now=timezone.now())
        assert facts(old) == written
    fake_opentrain.catch_up()
    act("re-enable", old, support)
    fake_opentrain.fall_behind()
    act("pause", old, support)
    act("delete", old, support)
    sync.refresh(install=install, now=timezone.now())
    assert Endpoint.objects.registered().count() == 0
    assert old.writes.filter(at__lt=timezone.now() - LAG).count() == 0


def test_change_that_a_list_shows_before_its_answer_comes_is_remembered_as_well(
    old: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The poller reads the list during the call, and a list that lags comes after it."""
    prepare("re-enable", old, fake_opentrain)
    fake_opentrain.fall_behind()
    update = fake_opentrain.update_endpoint

    def update_slowly(**given: Any) -> opentrain.WebhookEndpoint:
        answer = update(**given)
        snapshots.record_endpoints(install=install, remote=[answer], at=timezone.now())
        return answer

    monkeypatch.setattr(opentrain, "update_endpoint", update_slowly)
    act("re-enable", old, support)
    sync.refresh(install=install, now=timezone.now())
    assert Endpoint.objects.get().status == "ACTIVE"


@pytest.mark.parametrize("received", [True, False])
def test_registered_endpoint_that_the_list_lacks_yet_is_not_taken_for_deleted(
    install: Install, support: User, fake_opentrain: FakeOpenTrain, received: bool
) -> None:
    fake_opentrain.fall_behind()
    _, endpoint, _ = endpoints.register(
        actor=support, install=install, url="" if received else "https://a.example.com/", handler_url="",
        through_redeliver=received, event_types=TYPES, clock=timezone.now, operation=uuid.uuid4(),
    )  # fmt: skip
    for seconds in (0, 5, 50):
        sync.refresh(install=install, now=timezone.now() + seconds * SECOND)
        assert list(Endpoint.objects.registered()) == [endpoint]
    sync.refresh(install=install, now=timezone.now() + LAG)
    assert list(Endpoint.objects.registered()) == []


def test_real_disable_after_a_change_is_believed_at_once(
    old: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    prepare("re-enable", old, fake_opentrain)
    act("re-enable", old, support)
    fake_opentrain.disable(old.opentrain_id, "10 consecutive failures")
    sync.refresh(install=install, now=timezone.now())
    assert Endpoint.objects.get().severity == Severity.DISABLED


def test_answer_to_a_redelivery_that_lags_behind_a_change_is_waited_for(
    old: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    prepare("re-enable", old, fake_opentrain)
    remote = fake_opentrain.get_endpoint(token=install.token, endpoint_id=old.opentrain_id)
    act("re-enable", old, support)
    assert snapshots.record_endpoint(install=install, remote=remote, at=timezone.now()) == "ACTIVE"
