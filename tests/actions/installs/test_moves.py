"""A URL that is changed elsewhere is told once and opens an alert; no change of ours is taken for one."""

import uuid
from collections.abc import Callable
from datetime import datetime

import pytest
from django.utils import timezone

from dashboard.actions import endpoint_changes, routing
from dashboard.actions.alerts.watch import watch
from dashboard.models import Alert, AuditEntry, Endpoint, EndpointWrite, Install, User
from dashboard.services.opentrain import Unavailable
from tests.actions.test_endpoint_changes import registered
from tests.actions.test_routing import DIRECT, bypass, listed, lose_answer, route
from tests.contract.fake import FakeOpenTrain

pytestmark = pytest.mark.django_db


@pytest.fixture
def direct(install: Install, support: User) -> Endpoint:
    """An endpoint that OpenTrain delivers directly."""
    return registered(install, support, url=DIRECT)


def test_url_changed_elsewhere_is_told_once_with_both_urls_and_without_secrets(
    direct: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    EndpointWrite.objects.all().delete()
    other = "https://other.example.com/in?api_key=t0psecret"
    fake_opentrain.update_endpoint(token=direct.install.token, endpoint_id=direct.opentrain_id, url=other)
    listed(direct)
    listed(direct)
    entry = AuditEntry.objects.get(action="URL changed elsewhere")
    assert (entry.actor_name, entry.endpoint_id, entry.install_id) == (
        "outside Redeliver",
        direct.pk,
        direct.install_id,
    )
    assert entry.words == (
        "OpenTrain delivers this endpoint to https://other.example.com/in?api_key=[redacted] now. It delivered to "
        "https://acme.example.com/in?api_key=[redacted] before. Redeliver did not request this change."
    )
    assert direct.url_changed_at is not None
    assert direct.url_before == "https://acme.example.com/in?api_key=[redacted]"


def test_routed_endpoint_that_is_moved_elsewhere_is_no_bypass(
    direct: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    route(direct, support)
    EndpointWrite.objects.all().delete()
    fake_opentrain.update_endpoint(
        token=direct.install.token, endpoint_id=direct.opentrain_id, url="https://other.example.com/"
    )
    listed(direct)
    assert (direct.is_moved, direct.is_bypassed) == (True, False)
    assert AuditEntry.objects.filter(action="URL changed elsewhere").count() == 1


def move(endpoint: Endpoint, fake: FakeOpenTrain, url: str) -> None:
    """Let somebody else change the URL at OpenTrain, and have the poller and the alerts look."""
    EndpointWrite.objects.all().delete()
    fake.update_endpoint(token=endpoint.install.token, endpoint_id=endpoint.opentrain_id, url=url)
    listed(endpoint)
    watch(now=timezone.now())


def open_alerts() -> list[Alert]:
    return list(Alert.objects.open())


def keep(endpoint: Endpoint, actor: User, *, changed_at: datetime | None) -> None:
    shown = changed_at.isoformat() if changed_at is not None else ""
    endpoint_changes.keep_url(actor=actor, endpoint=endpoint, changed_at=shown, operation=uuid.uuid4())
    endpoint.refresh_from_db()
    watch(now=timezone.now())


def test_url_changed_elsewhere_opens_an_alert_until_someone_keeps_it(
    direct: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    move(direct, fake_opentrain, "https://other.example.com/in?api_key=t0psecret")
    (alert,) = open_alerts()
    assert (alert.kind, alert.endpoint_id, alert.words) == (
        "url_changed",
        direct.pk,
        (
            "OpenTrain delivers it to https://other.example.com/in?api_key=[redacted] now. It delivered to "
            "https://acme.example.com/in?api_key=[redacted] before. Redeliver did not request this change. "
            "If the change is intended, keep the URL on the endpoint's page. "
            "If not, change it there, and find out who changed it: anyone with the install's token can."
        ),
    )
    keep(direct, support, changed_at=direct.url_changed_at)
    assert (open_alerts(), direct.url_changed_at, direct.url_before) == ([], None, "")
    alert.refresh_from_db()
    assert alert.cleared_words.startswith("Its URL was kept or changed in Redeliver, or leads to the receiver again.")
    entry = AuditEntry.objects.get(action="keep URL changed elsewhere")
    assert (entry.actor, entry.words) == (
        support,
        (
            "The URL that was set outside Redeliver is kept: https://other.example.com/in?api_key=[redacted]. "
            "It was https://acme.example.com/in?api_key=[redacted] before."
        ),
    )
    listed(direct)
    watch(now=timezone.now())
    assert open_alerts() == []


def test_change_that_nobody_has_seen_yet_is_not_kept(
    direct: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    move(direct, fake_opentrain, "https://other.example.com/")
    seen = direct.url_changed_at
    move(direct, fake_opentrain, "https://third.example.com/")
    keep(direct, support, changed_at=seen)
    assert len(open_alerts()) == 1
    assert not AuditEntry.objects.filter(action="keep URL changed elsewhere").exists()


def test_endpoint_that_is_moved_away_from_the_receiver_is_told_until_it_is_back(
    direct: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    route(direct, support)
    door = direct.url
    move(direct, fake_opentrain, "https://other.example.com/")
    (alert,) = open_alerts()
    assert "Redeliver does not see its deliveries any more." in alert.words
    move(direct, fake_opentrain, door)
    assert (open_alerts(), direct.is_received) == ([], True)


def test_bypassed_endpoint_that_is_moved_was_not_seen_before_either(
    direct: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    route(direct, support)
    bypass(direct, support)
    move(direct, fake_opentrain, "https://other.example.com/")
    (alert,) = open_alerts()
    assert "any more" not in alert.words


def edit(endpoint: Endpoint, actor: User) -> None:
    endpoint_changes.change(
        actor=actor,
        endpoint=endpoint,
        address="https://acme.example.com/new",
        event_types=endpoint.event_types,
        clock=timezone.now,
        operation=uuid.uuid4(),
    )


def route_and_bypass(endpoint: Endpoint, actor: User) -> None:
    route(endpoint, actor)
    listed(endpoint)
    bypass(endpoint, actor)


@pytest.mark.parametrize("change", [edit, route, route_and_bypass])
def test_change_of_our_own_is_no_change_elsewhere(
    direct: Endpoint, support: User, change: Callable[[Endpoint, User], object]
) -> None:
    change(direct, support)
    listed(direct)
    watch(now=timezone.now())
    assert open_alerts() == []
    assert not AuditEntry.objects.filter(action="URL changed elsewhere").exists()
    assert direct.url_changed_at is None


@pytest.mark.parametrize("change", [edit, route, route_and_bypass])
def test_change_of_our_own_whose_answer_is_lost_is_no_change_elsewhere(
    direct: Endpoint,
    support: User,
    fake_opentrain: FakeOpenTrain,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Endpoint, User], object],
) -> None:
    """OpenTrain carries it out, and is not reached for the look-up either: the list tells."""
    lose_answer(fake_opentrain)

    def unreachable(**_given: object) -> None:
        raise Unavailable("OpenTrain cannot be reached.")

    with monkeypatch.context() as patched:
        patched.setattr(routing.opentrain, "get_endpoint", unreachable)
        change(direct, support)
    EndpointWrite.objects.all().delete()
    listed(direct)
    watch(now=timezone.now())
    assert open_alerts() == []
    assert not AuditEntry.objects.filter(action="URL changed elsewhere").exists()
