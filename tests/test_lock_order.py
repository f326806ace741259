"""Every writer locks an install before its endpoints, and those before deliveries, so that no deadlock can occur."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.utils import timezone

from dashboard.actions import endpoint_changes
from dashboard.actions.deliveries import observations
from dashboard.actions.deliveries import record as deliveries
from dashboard.actions.installs import snapshots
from dashboard.models import Delivery, Endpoint, Install, User
from dashboard.rules.observations import Observation
from dashboard.services.opentrain import WebhookEndpoint
from tests.actions.deliveries.recorded import MINUTE, attempt
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON, make_endpoint, make_failed_delivery, make_install
from tests.faults.failed import somebody_waits, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_answer_to_a_call_waits_for_the_poller_before_it_locks_an_endpoint() -> None:
    """The poller locks the install and then its endpoints; the opposite order could deadlock with it."""
    endpoint = make_endpoint()
    paused = WebhookEndpoint(
        id=str(endpoint.opentrain_id), url=endpoint.url, event_types=("contract.started",), status="DISABLED",
        created_at=NOON, consecutive_failures=0, disabled_at=NOON, disabled_reason="Paused through the API.",
    )  # fmt: skip
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Install.objects.update(failures=0)
            waiting = pool.submit(record, endpoint.install, paused)
            wait_until(somebody_waits)
            assert Endpoint.objects.select_for_update(nowait=True).get().status == "ACTIVE"
        assert waiting.result(timeout=60) == Endpoint.objects.get().status == "DISABLED"


def test_delete_waits_for_the_poller_before_it_locks_an_endpoint(support: User, fake_opentrain: FakeOpenTrain) -> None:
    endpoint = make_endpoint(install=make_install(token=fake_opentrain.add_install()))
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Install.objects.update(failures=0)
            waiting = pool.submit(delete, support, endpoint)
            wait_until(somebody_waits)
            assert Endpoint.objects.select_for_update(nowait=True).get().deleted_at is None
        waiting.result(timeout=60)
    assert Endpoint.objects.get().deleted_at is not None


def test_redelivery_of_all_failed_waits_for_the_poller_before_it_locks_a_delivery() -> None:
    """Whoever changes several deliveries of an endpoint holds its row, so that no two wait for each other's."""
    failed = [make_failed_delivery(endpoint=endpoint) for endpoint in [make_endpoint()] for _ in range(2)]
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Endpoint.objects.update(consecutive_failures=1)
            waiting = pool.submit(requeue, failed[0].endpoint)
            wait_until(somebody_waits)
            assert len(Delivery.objects.select_for_update(nowait=True)) == 2
        assert waiting.result(timeout=60) == 2


@pytest.mark.parametrize("reported", [("dlv_1", "dlv_2"), ("dlv_2", "dlv_1")])
def test_observations_insert_deliveries_in_the_order_in_which_groups_do(reported) -> None:
    endpoint = make_endpoint()
    given = [attempt(endpoint, name, at=NOON + number * MINUTE) for number, name in enumerate(reported)]
    observations.record(endpoint=endpoint, observations=[Observation(one.event, one.result) for one in given])
    assert list(Delivery.objects.order_by("pk").values_list("opentrain_id", flat=True)) == ["dlv_1", "dlv_2"]


def requeue(endpoint: Endpoint) -> int:
    try:
        failed = deliveries.failed_now(endpoint=endpoint)
        return deliveries.mark_requeued(endpoint=endpoint, failed_then=failed, requeued=2, at=NOON + MINUTE)
    finally:
        connection.close()


def delete(actor: User, endpoint: Endpoint) -> None:
    try:
        endpoint_changes.delete(actor=actor, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
    finally:
        connection.close()


def record(install: Install, remote: WebhookEndpoint) -> str:
    try:
        return snapshots.record_endpoint(install=install, remote=remote, at=timezone.now())
    finally:
        connection.close()
