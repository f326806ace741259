"""Groups beside other writers of the same deliveries: nothing is lost or counted twice, and nothing deadlocks."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import transaction

from dashboard.actions.deliveries import observations, record
from dashboard.actions.deliveries.groups import Locked, record_group
from dashboard.actions.deliveries.retention import retain
from dashboard.models import Attempt, Delivery, Endpoint
from dashboard.rules.attempts import RecordedAttempt, Source
from dashboard.rules.observations import Observation
from tests.actions.deliveries.recorded import MINUTE, SECOND, attempt, errors_of, in_thread, numbered
from tests.factories import NOON, make_endpoint, make_failed_delivery
from tests.faults.failed import somebody_waits, wait_until


@pytest.mark.django_db(transaction=True)
def test_group_waits_for_a_locked_delivery_only_after_it_has_committed_the_others() -> None:
    """It holds nothing while it waits, so whoever has locked that delivery cannot be waiting for the group."""
    endpoint = make_endpoint()
    for number in range(3):
        make_failed_delivery(endpoint=endpoint, opentrain_id=f"dlv_{number}", attempts_in_round=1)
    given = [attempt(endpoint, f"dlv_{number}", at=NOON + MINUTE) for number in (3, 2, 1, 0)]
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            endpoint.deliveries.select_for_update().get(opentrain_id="dlv_1")
            waiting = in_thread(pool, partial(record_group, attempts=given))
            wait_until(somebody_waits)
            free = Delivery.objects.select_for_update(nowait=True).exclude(opentrain_id="dlv_1")
            assert dict(free.values_list("opentrain_id", "attempt_count")) == {"dlv_0": 6, "dlv_2": 6, "dlv_3": 1}
        assert errors_of(waiting.result(timeout=60)) == []
    assert Delivery.objects.get(opentrain_id="dlv_1").attempt_count == 6


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("beside", [0, 3])
def test_group_that_does_not_wait_says_which_deliveries_are_locked(beside) -> None:
    endpoint = make_endpoint()
    make_failed_delivery(endpoint=endpoint, opentrain_id="dlv_locked", attempts_in_round=1)
    given = [attempt(endpoint, f"dlv_{number}") for number in range(beside)]
    given += [attempt(endpoint, "dlv_locked", at=NOON + minute * MINUTE) for minute in range(1, 2 + bool(beside))]
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        endpoint.deliveries.select_for_update().get(opentrain_id="dlv_locked")
        results = in_thread(pool, partial(record_group, attempts=given, wait=False)).result(timeout=60)
    assert [type(one.error) for one in results] == [type(None)] * beside + [Locked] * (len(given) - beside)
    assert set(Attempt.objects.values_list("uuid", flat=True)) == {one.id for one in given[:beside]}
    assert errors_of(record_group(attempts=given, wait=False)) == []
    assert Delivery.objects.get(opentrain_id="dlv_locked").attempt_count == 5 + len(given) - beside


@pytest.mark.django_db(transaction=True)
def test_group_waits_for_the_first_attempt_of_another_writer_and_then_follows_it() -> None:
    endpoint = make_endpoint()
    given = [attempt(endpoint, f"dlv_{number}", at=NOON + MINUTE) for number in range(3)]
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            first = attempt(endpoint, "dlv_1", status=503)
            record.record_of_one([first])
            waiting = in_thread(pool, partial(record_group, attempts=given))
            wait_until(somebody_waits)
        assert errors_of(waiting.result(timeout=60)) == []
    assert numbered("dlv_1") == [(1, 503), (2, 200)]


@pytest.mark.django_db(transaction=True)
def test_delivery_that_retention_is_deleting_is_created_again() -> None:
    endpoint = make_endpoint()
    for number in range(2):
        make_failed_delivery(endpoint=endpoint, opentrain_id=f"dlv_{number}")
    given = [attempt(endpoint, f"dlv_{number}", at=NOON + number * MINUTE) for number in (0, 1, 2)]
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            endpoint.deliveries.filter(opentrain_id="dlv_1").delete()
            waiting = in_thread(pool, partial(record_group, attempts=given))
            wait_until(somebody_waits)
        assert errors_of(waiting.result(timeout=60)) == []
    counts = dict(Delivery.objects.values_list("opentrain_id", "attempt_count"))
    assert counts == {"dlv_0": 6, "dlv_1": 1, "dlv_2": 1}


def run_together(*calls: Callable[[], Any]) -> None:
    """Run calls at the same time, each on a connection of its own. Raises what one of them raises."""
    together = threading.Barrier(len(calls))

    def begin(call: Callable[[], Any]) -> None:
        together.wait(timeout=60)
        call()

    with ThreadPoolExecutor(len(calls)) as pool:
        for done in [in_thread(pool, partial(begin, call)) for call in calls]:
            done.result(timeout=120)


def assert_counted(given: Sequence[RecordedAttempt]) -> None:
    """Assert that the log has each attempt once, and that deliveries count what they have."""
    names = list(Attempt.objects.filter(uuid__isnull=False).values_list("uuid", flat=True))
    assert (len(names), set(names)) == (len(given), {one.id for one in given})
    for row in Delivery.objects.prefetch_related("attempts"):
        numbers = [one.number for one in row.attempts.all()]
        assert numbers == list(range(1, row.attempt_count + 1)), row.opentrain_id


@pytest.mark.django_db(transaction=True)
def test_two_writers_of_overlapping_groups_record_each_attempt_once() -> None:
    """Half of the deliveries are new; the groups have them in opposite orders, and some of each other's attempts."""
    endpoints = [make_endpoint(), make_endpoint()]
    every = []
    for turn in range(12):
        names = [(endpoint, f"dlv_{turn // 2 * 10 + number:03}") for number in range(40) for endpoint in endpoints]
        one, other = (
            [attempt(*name, at=NOON + turn * MINUTE + second * SECOND, status=503) for name in names]
            for second in (0, 20)
        )
        every += one + other
        run_together(
            partial(record_group, attempts=[*one, *other[:20]]),
            partial(record_group, attempts=[*reversed(other), *one[:20]]),
        )
    assert_counted(every)


@pytest.mark.django_db(transaction=True)
def test_groups_beside_everything_else_that_writes_deliveries_record_each_attempt_once(settings) -> None:
    """Observations of the same deliveries, auto-disables, redelivery requests, single attempts, and retention."""
    settings.RETENTION_DAYS, settings.BODY_RETENTION_DAYS = 0, 1
    endpoint = make_endpoint()
    every = []

    def others(turn: int, names: list[str]) -> None:
        at = NOON + turn * MINUTE
        reported = [
            attempt(endpoint, name, at=at - number * SECOND / 10, status=503, source=Source.OBSERVED, signature="")
            for number, name in enumerate(names)
        ]
        observations.record(endpoint=endpoint, observations=[Observation(one.event, one.result) for one in reported])

    def requests(turn: int) -> None:
        at = NOON + turn * MINUTE + 30 * SECOND
        with transaction.atomic():  # as the sync does
            Endpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
            record.abandon_undelivered(endpoint=endpoint, at=at, learned_at=at)
        failed = record.failed_now(endpoint=endpoint)
        record.mark_requeued(endpoint=endpoint, failed_then=failed, requeued=len(failed), at=at)

    for turn in range(10):
        names = [f"dlv_{turn * 10 + number:03}" for number in range(40)]
        given = [attempt(endpoint, name, at=NOON + turn * MINUTE, status=503) for name in names]
        single = [attempt(endpoint, name, at=NOON + turn * MINUTE + 20 * SECOND, status=503) for name in names[::4]]
        every += given + single
        run_together(
            partial(record_group, attempts=given),
            partial(others, turn, names),
            partial(requests, turn),
            partial(lambda single: [record.record_of_one([one]) for one in single], single),
            partial(retain, now=NOON + timedelta(days=40), rest=lambda _s: None),
        )
    assert_counted(every)
    assert set(Attempt.objects.values_list("source", flat=True)) == {"receiver"}
