"""What an auto-disable gives up: deliveries that waited, and none that was requested after Redeliver learned of it."""

import dataclasses
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from dashboard.actions import endpoints
from dashboard.actions.installs import snapshots, sync
from dashboard.models import Delivery, Endpoint, Install, User
from dashboard.models.endpoints import new_receiver_key, receiver_url
from dashboard.rules.deliveries import Standing
from dashboard.rules.endpoints import AUTO_DISABLE_AT
from tests.actions.installs.test_snapshots import MINUTE, SECOND, listed, queries_of
from tests.actions.installs.test_snapshots_lag import act, prepare
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON, make_delivery, make_failed_delivery, make_install

pytestmark = pytest.mark.django_db


def test_list_gives_up_only_what_waits_on_the_endpoints_that_opentrain_disabled() -> None:
    install = make_install()
    snapshots.record_endpoints(install=install, remote=listed(3), at=NOON)
    waiting, other, failed = (
        make_delivery(endpoint=endpoint, last_ok=False, last_attempt_at=NOON)
        for endpoint in Endpoint.objects.order_by("pk")
    )
    Delivery.objects.filter(pk=failed.pk).update(standing=Standing.FAILED, due_by=None)
    disabled_at = NOON + timedelta(minutes=1)
    remote = listed(3, status="DISABLED", consecutive_failures=AUTO_DISABLE_AT, disabled_at=disabled_at)
    remote[1] = dataclasses.replace(remote[1], status="ACTIVE", consecutive_failures=9, disabled_at=None)
    snapshots.record_endpoints(install=install, remote=remote, at=disabled_at)
    given_up = dict(Delivery.objects.values_list("pk", "abandoned_at"))
    assert given_up == {waiting.pk: disabled_at, other.pk: None, failed.pk: None}


def test_stale_disable_gives_up_nothing_and_a_real_one_does(
    old: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    prepare("re-enable", old, fake_opentrain)
    fake_opentrain.fall_behind()
    act("re-enable", old, support)
    waiting = make_delivery(endpoint=old, last_ok=False, last_attempt_at=timezone.now())
    asked = make_delivery(endpoint=old, requested_at=timezone.now(), last_attempt_at=timezone.now())
    sync.refresh(install=install, now=timezone.now())
    assert states_of(waiting, asked) == [Standing.RETRYING, Standing.REQUESTED_AGAIN]
    fake_opentrain.disable(old.opentrain_id, "10 consecutive failures")
    fake_opentrain.catch_up()
    sync.refresh(install=install, now=timezone.now())
    assert states_of(waiting, asked) == [Standing.FAILED, Standing.DELIVERED]


def states_of(*deliveries: Delivery) -> list[int]:
    return [Delivery.objects.get(pk=one.pk).standing for one in deliveries]


@pytest.mark.parametrize(
    "ahead",
    [-timedelta(hours=1), -5 * MINUTE, -MINUTE, MINUTE, 5 * MINUTE, timedelta(hours=1), timedelta(days=7000 * 365)],
)
def test_disable_gives_up_what_waited_whatever_opentrains_clock_says(
    old: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain, ahead: timedelta
) -> None:
    now = timezone.now()
    key = new_receiver_key()
    Endpoint.objects.update(receiver_key=key)
    fake_opentrain._change(old.opentrain_id, url=receiver_url(receiver_key=key))
    sync.refresh(install=install, now=now - MINUTE)
    waiting = make_failed_delivery(endpoint=old, attempts_in_round=2, last_attempt_at=now - SECOND)
    fake_opentrain.disable(old.opentrain_id, "10 consecutive failures")
    fake_opentrain._change(old.opentrain_id, disabled_at=now + ahead)
    sync.refresh(install=install, now=now)
    late = make_failed_delivery(endpoint=old, attempts_in_round=1, last_attempt_at=now + 5 * SECOND)
    elsewhere = make_failed_delivery(endpoint=old, attempts_in_round=1, last_attempt_at=now + 5 * MINUTE)
    asked = make_failed_delivery(endpoint=old, requested_at=now + 10 * SECOND, last_attempt_at=now - MINUTE)
    for minutes in (1, 10, 60):
        sync.refresh(install=install, now=now + minutes * MINUTE)
    assert states_of(waiting, late) == [Standing.FAILED, Standing.FAILED]
    assert states_of(elsewhere, asked) == [Standing.RETRYING, Standing.REQUESTED_AGAIN]
    assert old.deliveries.failed().count() == 2
    row = Endpoint.objects.get()
    assert (row.auto_disabled_at, row.disable_learned_at) == (now + ahead, now)


@pytest.mark.parametrize("ahead", [-5 * MINUTE, 5 * MINUTE])
def test_redelivery_whose_answer_first_tells_of_the_disable_stays_requested(
    old: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain, ahead: timedelta
) -> None:
    names = fake_opentrain.add_deliveries(old.opentrain_id, failed=1)
    at = timezone.now() - MINUTE
    asked = make_failed_delivery(endpoint=old, opentrain_id=names[0], last_attempt_at=at)
    waiting = make_failed_delivery(endpoint=old, attempts_in_round=2, last_attempt_at=at)
    fake_opentrain.disable(old.opentrain_id, "10 consecutive failures")
    fake_opentrain._change(old.opentrain_id, disabled_at=timezone.now() + ahead)
    asked.endpoint.install = install
    outcome = endpoints.redeliver_one(actor=support, delivery=asked, clock=timezone.now, operation=uuid.uuid4())
    assert (outcome.ok, outcome.offer_enable) == (True, True)
    sync.refresh(install=install, now=timezone.now())
    assert states_of(asked, waiting) == [Standing.REQUESTED_AGAIN, Standing.FAILED]


def test_disable_that_was_known_before_redeliver_noted_when_gives_up_nothing_requested_since(
    old: Endpoint, install: Install, fake_opentrain: FakeOpenTrain
) -> None:
    prepare("re-enable", old, fake_opentrain)
    disabled_at = Endpoint.objects.get().disabled_at
    Endpoint.objects.update(auto_disabled_at=None, disable_learned_at=None)
    asked = make_failed_delivery(endpoint=old, requested_at=disabled_at + SECOND, last_attempt_at=disabled_at)
    sync.refresh(install=install, now=timezone.now())
    assert states_of(asked) == [Standing.REQUESTED_AGAIN]


def test_giving_up_deliveries_takes_as_many_queries_for_many_endpoints_as_for_few() -> None:
    few, many = make_install(), make_install()
    disabled_at, found = NOON + timedelta(minutes=1), []
    for install, count in ((few, 2), (many, 40)):
        snapshots.record_endpoints(install=install, remote=listed(count), at=NOON)
        for endpoint in install.endpoints.all():
            make_delivery(endpoint=endpoint, last_ok=False, last_attempt_at=NOON)
        remote = listed(count, status="DISABLED", consecutive_failures=AUTO_DISABLE_AT, disabled_at=disabled_at)
        found.append(queries_of(install, remote, disabled_at))
    assert found[0] == found[1]
    assert Delivery.objects.filter(abandoned_at=disabled_at, standing=Standing.FAILED, due_by=None).count() == 42
