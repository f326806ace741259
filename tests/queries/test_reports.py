"""What reports need of the audit and the log."""

from collections import Counter
from datetime import timedelta

import pytest

from dashboard.models import RunItem
from dashboard.queries import reports
from dashboard.queries.reports import entries_of_delivery, entries_of_endpoint, entries_of_run, failed_before
from tests.factories import NOON, make_attempt, make_delivery, make_endpoint, make_entry, make_run

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)
ACTIONS = ("pause run", "stop run")


def test_entries_of_a_run_are_those_between_its_start_and_the_next_runs_start() -> None:
    endpoint = make_endpoint()
    run = make_run(endpoint=endpoint, created_at=NOON, ended_at=NOON + 9 * SECOND)
    make_run(endpoint=endpoint, created_at=NOON + 20 * SECOND)
    times = [-1, 0, 5, 9, 19, 20]
    made = [make_entry(endpoint=endpoint, action="pause run", at=NOON + second * SECOND) for second in times]
    make_entry(endpoint=endpoint, action="re-enable endpoint", at=NOON + SECOND)
    make_entry(endpoint=make_endpoint(), action="pause run", at=NOON + SECOND)
    assert entries_of_run(run, actions=ACTIONS, until=NOON + timedelta(hours=1)) == made[1:5]


def test_entries_of_the_newest_run_go_on_until_now() -> None:
    run = make_run(created_at=NOON)
    made = [make_entry(endpoint=run.endpoint, action="stop run", at=NOON + second * SECOND) for second in (1, 3)]
    assert entries_of_run(run, actions=ACTIONS, until=NOON + 2 * SECOND) == made[:1]


def test_entries_are_the_newest_ones_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MOST_ENTRIES", 2)
    delivery = make_delivery()
    columns = {"endpoint": delivery.endpoint, "delivery_id": delivery.opentrain_id, "action": "redeliver"}
    made = [make_entry(at=NOON + second * SECOND, **columns) for second in range(3)]
    make_entry(endpoint=make_endpoint(), delivery_id=delivery.opentrain_id)  # the same ID at another endpoint
    assert entries_of_delivery(delivery) == made[1:]
    assert entries_of_endpoint(delivery.endpoint, without=()) == made[1:]
    assert entries_of_endpoint(delivery.endpoint, without=("redeliver",)) == []


def test_operation_is_told_by_its_answer() -> None:
    endpoint = make_endpoint()
    asked = make_entry(endpoint=endpoint, phase="requested")
    answered = make_entry(endpoint=endpoint, operation=asked.operation, at=NOON + SECOND)
    assert entries_of_endpoint(endpoint, without=()) == [answered]


def test_failed_before_counts_the_last_attempt_of_each_delivery_before_the_run() -> None:
    endpoint = make_endpoint()
    run = make_run(endpoint=endpoint, created_at=NOON + 10 * SECOND)
    for position in range(4):
        delivery = make_delivery(endpoint=endpoint)
        RunItem.objects.create(run=run, position=position, delivery=delivery, opentrain_id=delivery.opentrain_id)
        failed = {"delivery": delivery, "ok": False, "cause": "status", "answered_status": 503}
        if position < 3:  # retention has deleted the attempts of the last one
            make_attempt(number=1, received_at=NOON, **failed)
            make_attempt(number=2, received_at=NOON + SECOND, **failed | {"handler_status": 500 + position // 2})
        make_attempt(delivery=delivery, number=3, received_at=NOON + 11 * SECOND)  # by the run
    assert failed_before(run) == (Counter({("status", 500): 2, ("status", 501): 1}), 1, False)


def test_failed_before_looks_at_the_first_ones_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "LOOKED_AT", 1)
    run = make_run()
    for position in (1, 0):
        delivery = make_delivery(endpoint=run.endpoint)
        RunItem.objects.create(run=run, position=position, delivery=delivery, opentrain_id=delivery.opentrain_id)
    assert failed_before(run) == (Counter(), 1, True)
