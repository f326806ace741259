"""What can be redelivered of a list is what the preview of its run counts."""

from datetime import timedelta

import pytest

from dashboard.models import Endpoint
from dashboard.presenters import redeliverable as presenter
from dashboard.presenters.redeliverable import Redeliverable, can_send_again, not_counted, obstacle, redeliverable
from dashboard.queries.delivery_lists import DeliveryCriteria, Scope
from dashboard.rules.deliveries import StateKind
from tests.factories import NOON, make_delivery, make_endpoint, make_failed_delivery, make_run

pytestmark = pytest.mark.django_db
NOW = NOON + timedelta(days=1)


def found(endpoint: Endpoint | None = None, **criteria: object) -> Redeliverable:
    scope = Scope() if endpoint is None else Scope(endpoint=endpoint.pk)
    return redeliverable(scope=scope, criteria=DeliveryCriteria(**criteria), most=3, now=NOW)  # type: ignore[arg-type]


def test_delivered_and_requested_ones_do_not_count() -> None:
    endpoint = make_endpoint()
    make_delivery(endpoint=endpoint)
    make_failed_delivery(endpoint=endpoint, requested_at=NOON)
    assert found() == Redeliverable()
    make_failed_delivery(endpoint=endpoint)
    make_failed_delivery(endpoint=endpoint, attempts_in_round=1)
    assert found() == Redeliverable(2)
    assert found(state=StateKind.FAILED) == Redeliverable(1)
    assert found(state=StateKind.DELIVERED) == Redeliverable()


def test_overtaken_ones_count_apart() -> None:
    endpoint = make_endpoint()
    make_failed_delivery(endpoint=endpoint, resource_id="con_1", event_created_at=NOON)
    make_failed_delivery(endpoint=endpoint, resource_id="con_1", event_type="contract.ended", event_created_at=NOW)
    assert found() == Redeliverable(1, overtaken=1)


def test_endpoint_that_cannot_redeliver_now_does_not_count() -> None:
    stopped, busy, fine = (make_endpoint(status=status) for status in ("DISABLED", "ACTIVE", "ACTIVE"))
    for endpoint in (stopped, busy, fine):
        make_failed_delivery(endpoint=endpoint)
    make_run(endpoint=busy, state="running", ended_at=None)
    counted = found()
    assert counted.count == 1
    assert {part.endpoint for part in counted.blocked} == {stopped, busy}
    assert found(stopped).count == 0


def test_too_many_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        make_failed_delivery()
    monkeypatch.setattr(presenter, "MOST_ENDPOINTS", 2)
    assert found() == Redeliverable(None)
    monkeypatch.setattr(presenter, "MOST_ENDPOINTS", 50)
    assert found() == Redeliverable(3)
    make_failed_delivery()
    assert found() == Redeliverable(None)


def test_delivered_ones_can_be_sent_again_where_a_run_can_start() -> None:
    endpoint = make_endpoint()
    one = make_delivery(endpoint=endpoint)
    assert can_send_again([one])
    assert not can_send_again([])
    assert not can_send_again([make_failed_delivery(endpoint=endpoint)])
    Endpoint.objects.update(deleted_at=NOON)
    assert not can_send_again([one])
    endpoint.refresh_from_db()
    assert obstacle(endpoint)[0].startswith("OpenTrain no longer has this endpoint")


def test_of_too_many_an_endpoint_that_is_stopped_is_told_all_the_same() -> None:
    stopped, fine = make_endpoint(status="DISABLED"), make_endpoint()
    [part] = not_counted(stopped).blocked
    assert (part.endpoint, part.obstacle, part.helps) == (stopped, *obstacle(stopped))
    assert not_counted(fine) == not_counted(None) == Redeliverable(None)
