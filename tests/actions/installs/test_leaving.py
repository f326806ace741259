"""Disconnecting an install: what is erased, what stays, and what leaves it alone afterwards."""

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from dashboard.actions import audit, endpoint_changes, endpoints
from dashboard.actions.alerts import watch
from dashboard.actions.installs import freshness, leaving, poller, sync
from dashboard.actions.outcome import OutcomeKind
from dashboard.actions.reconciliation import sweep
from dashboard.actions.runs.obstacles import obstacle
from dashboard.models import Alert, AlertNews, AuditEntry, Endpoint, Install, Reconciliation, Run, User
from dashboard.queries import alert_conditions
from dashboard.queries.inbox import endpoints_needing_attention
from dashboard.rules.alerts import AlertEvent, AlertKind
from tests.actions.installs.conftest import connect
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON, make_channel, make_endpoint, make_failed_delivery, make_install, make_run, make_user

pytestmark = pytest.mark.django_db

HOOK = "https://acme.example.com/hook"
DIRECT = {"receiver_key": None, "url": HOOK}


def leave(install: Install, actor: User, **given: object) -> Install:
    leaving.disconnect(actor=actor, install=install, **{"now": timezone.now(), "operation": uuid.uuid4()} | given)
    return Install.objects.get(pk=install.pk)


def test_token_is_erased_and_nothing_else(support: User, fake_opentrain: FakeOpenTrain) -> None:
    token = fake_opentrain.add_install()
    _outcome, install = connect(support, token)
    endpoint = make_endpoint(install=install, **DIRECT)
    delivery = make_failed_delivery(endpoint=endpoint)
    with connection.cursor() as cursor:
        cursor.execute("SELECT token FROM dashboard_install")
        before = bytes(cursor.fetchone()[0])
    fake_opentrain.calls.clear()
    install = leave(install, support, now=NOON)
    with connection.cursor() as cursor:
        cursor.execute("SELECT token FROM dashboard_install")
        assert bytes(cursor.fetchone()[0]) != before
    assert install.token.reveal() == ""
    assert (install.token_id, install.token_name, install.token_scopes) == ("", "", [])
    assert (install.disconnected_at, install.disconnected_by_name) == (NOON, support.get_username())
    assert Endpoint.objects.get(pk=endpoint.pk).deliveries.get() == delivery
    assert fake_opentrain.calls == []
    entry = AuditEntry.objects.get(action="disconnect install")
    assert (entry.actor, entry.install, entry.phase) == (support, install, "done")
    assert "erased its token" in entry.words


@pytest.mark.parametrize("columns", [{"handler_url": HOOK}, {}, {"opentrain_id": None}])
def test_install_whose_deliveries_come_through_redeliver_stays(support: User, columns: dict[str, object]) -> None:
    install = make_install()
    endpoint = make_endpoint(install=install, **columns)
    with pytest.raises(leaving.InTheWay) as raised:
        leave(install, support)
    assert raised.value.endpoints == [endpoint]
    assert not Install.objects.get(pk=install.pk).is_disconnected
    assert not AuditEntry.objects.exists()


def test_second_disconnection_and_the_same_form_change_nothing(support: User) -> None:
    install, form = make_install(), uuid.uuid4()
    leave(install, support, now=NOON, operation=form)
    assert leave(install, make_user(), now=NOON + timedelta(hours=1)).disconnected_at == NOON
    assert AuditEntry.objects.count() == 1
    Install.objects.update(disconnected_at=None)
    with pytest.raises(audit.NotedBefore):
        leave(install, support, operation=form)
    assert not Install.objects.get(pk=install.pk).is_disconnected


def test_poller_sweep_and_pages_leave_it_alone(support: User, fake_opentrain: FakeOpenTrain) -> None:
    install = leave(make_install(poll_after=NOON, listed_at=NOON), support, now=NOON)
    Reconciliation.objects.create(install=install, due_at=None)
    later = NOON + timedelta(days=1)
    assert poller.take(now=later, failing=False) == []
    assert sweep.take(now=later, failing=False, most=10) == []
    look = freshness.look(install=install, now=later)
    assert look.stale is not None
    assert look.stale.words.startswith(f"Disconnected by {support.get_username()} at 12:00 UTC on 12 June")
    stale = freshness.freshen(install=install, now=later)
    assert stale is not None
    freshness.refresh(install_id=install.pk, now=later)
    assert fake_opentrain.calls == []


def test_read_that_was_under_way_writes_nothing(support: User, fake_opentrain: FakeOpenTrain) -> None:
    token = fake_opentrain.add_install()
    _outcome, install = connect(support, token)
    fake_opentrain.create_endpoint(token=token, url=HOOK, event_types=["contract.ended"])
    stale = Install.objects.get(pk=install.pk)
    leave(install, support)
    assert sync.refresh(install=stale, now=timezone.now()) is None
    assert not install.endpoints.exists()
    assert Install.objects.get(pk=install.pk).listed_at is None


def test_nothing_is_requested_and_no_run_goes_on(support: User, fake_opentrain: FakeOpenTrain) -> None:
    endpoint = make_endpoint(**DIRECT)
    leave(endpoint.install, support)
    endpoint = Endpoint.objects.select_related("install").get(pk=endpoint.pk)
    for act in (endpoints.enable, endpoints.redeliver_failed, endpoint_changes.pause, endpoint_changes.delete):
        outcome = act(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
        assert outcome.kind is OutcomeKind.REFUSED
        assert outcome.words.startswith("Nothing was requested: ")
    assert fake_opentrain.calls == []
    run = make_run(endpoint=endpoint, state="running", step="rest", ended_at=None, actor=support)
    state, words = obstacle(Run.objects.select_related("endpoint__install", "actor").get(pk=run.pk)) or ("", "")
    assert (state, words.startswith("The install was disconnected from Redeliver.")) == (Run.State.STOPPED, True)


def test_no_alert_and_no_inbox_row_is_of_it_and_an_open_alert_says_what_is_not_known(support: User) -> None:
    endpoint = make_endpoint(
        status="DISABLED", consecutive_failures=10, disabled_at=NOON, url_changed_at=NOON, **DIRECT
    )
    make_failed_delivery(endpoint=endpoint, first_received_at=timezone.now())
    make_channel()
    watch.watch(now=NOON)
    assert Alert.objects.open().filter(kind=AlertKind.DISABLED).count() == 1
    leave(endpoint.install, support)
    assert [one for one in alert_conditions.find(now=NOON, open_now=frozenset()) if one.install_id] == []
    assert list(endpoints_needing_attention(user=support, now=timezone.now())) == []
    watch.watch(now=NOON + timedelta(minutes=1))
    assert not AlertNews.objects.filter(event=AlertEvent.CLEARED).exists()
    assert set(Alert.objects.values_list("ended_as", "cleared_words")) == {
        ("not_known", "The install was disconnected from Redeliver, so whether this goes on is not known.")
    }


def test_connecting_the_same_install_again_brings_it_back(support: User, fake_opentrain: FakeOpenTrain) -> None:
    token = fake_opentrain.add_install()
    _outcome, install = connect(support, token)
    endpoint = make_endpoint(install=install, **DIRECT)
    leave(install, support)
    outcome, again = connect(support, token, name="")
    assert (outcome.ok, again) == (True, install)
    assert outcome.words == "Acme Labs is connected."
    install.refresh_from_db()
    assert (install.is_disconnected, install.can_manage, install.token) == (False, True, token)
    assert install.connected_at > timezone.now() - timedelta(minutes=1)
    assert [one.pk for one in poller.take(now=timezone.now(), failing=False)] == [install.pk]
    assert list(install.endpoints.all()) == [endpoint]
