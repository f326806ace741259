"""A group of attempts: the same rows as recording each alone, few commits, bad ones alone, and no deadlocks."""

import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import DataError, IntegrityError, InternalError, OperationalError, connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.actions.deliveries import attempts, groups, observations, record
from dashboard.actions.deliveries.groups import GroupResult, Locked, ready, record_group
from dashboard.actions.deliveries.record import record_of_one
from dashboard.actions.deliveries.retention import retain
from dashboard.models import Attempt, Delivery, Endpoint
from dashboard.rules.attempts import AttemptResult, Event, RecordedAttempt, Source
from dashboard.rules.observations import Observation
from tests.factories import BODY, NOON, make_delivery, make_endpoint, make_failed_delivery
from tests.faults.failed import somebody_waits, wait_until

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
DELIVERY_COLUMNS = [field.attname for field in Delivery._meta.concrete_fields if field.name not in {"id", "endpoint"}]
ATTEMPT_COLUMNS = [
    field.attname for field in Attempt._meta.concrete_fields if field.name not in {"id", "delivery", "uuid"}
]


def attempt(endpoint: Endpoint, delivery_id: str, *, at=NOON, status=200, **other: Any) -> RecordedAttempt:
    """An attempt with a name of its own. `other` are fields of its event and of its result."""
    event = {"event_id": "evt_1", "event_type": "contract.started", "resource_id": "con_1", "body": BODY}
    result: dict[str, Any] = {
        "received_at": at,
        "request_headers": [["X-OpenTrain-Delivery", delivery_id]],
        "answered_status": status,
        "cause": "" if status < 300 else "status",
        "handler_url": "https://handler.example.com/hook",
        "handler_status": status,
        "latency_ms": 12,
        "response_headers": [["Content-Type", "text/plain"]],
        "response_head": b"answer",
    }
    event |= {name: value for name, value in other.items() if name in Event.__slots__}
    result |= {name: value for name, value in other.items() if name in AttemptResult.__slots__}
    return RecordedAttempt(uuid.uuid4(), endpoint.pk, Event(delivery_id=delivery_id, **event), AttemptResult(**result))


def record_alone(one: RecordedAttempt, *, endpoint: Endpoint) -> None:
    """Record the same attempt of another endpoint, under a name of its own."""
    record_of_one([replace(one, id=uuid.uuid4(), endpoint_id=endpoint.pk)])


def observe(endpoint: Endpoint, delivery_id: str, *, at=NOON, status=200) -> observations.Recorded:
    reported = attempt(endpoint, delivery_id, at=at, status=status, body=None, source=Source.OBSERVED, signature="")
    return observations.record(endpoint=endpoint, observations=[Observation(reported.event, reported.result)])


def errors_of(results: Iterable[GroupResult]) -> list[type[Exception]]:
    return [type(one.error) for one in results if one.error is not None]


def numbered(delivery_id: str) -> list[tuple[int, int]]:
    found = Attempt.objects.filter(delivery__opentrain_id=delivery_id).order_by("number")
    return list(found.values_list("number", "answered_status"))


def log_of(endpoint: Endpoint) -> tuple[list[Any], list[Any]]:
    """Everything that the log holds of an endpoint, except keys and names."""
    rows = Delivery.objects.filter(endpoint=endpoint).order_by("opentrain_id")
    found = Attempt.objects.filter(delivery__endpoint=endpoint).order_by("delivery__opentrain_id", "number")
    deliveries = [tuple(map(_plain, row)) for row in rows.values_list(*DELIVERY_COLUMNS)]
    return deliveries, [tuple(map(_plain, row)) for row in found.values_list(*ATTEMPT_COLUMNS)]


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def transactions() -> int:
    """The number of transactions that wrote what the log holds now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(DISTINCT xmin::text) FROM"
            " (SELECT xmin FROM dashboard_delivery UNION ALL SELECT xmin FROM dashboard_attempt) AS written"
        )
        return cursor.fetchone()[0]


def in_thread(pool: ThreadPoolExecutor, call: Callable[[], Any]) -> "Future[Any]":
    def run() -> Any:
        try:
            return call()
        finally:
            connection.close()

    return pool.submit(run)


@pytest.mark.django_db
def test_group_of_new_deliveries_keeps_all_that_is_given_under_its_name() -> None:
    endpoint, other = make_endpoint(), make_endpoint()
    first = attempt(endpoint, "dlv_1", status=503, created_at=NOON - MINUTE)
    same_id = attempt(other, "dlv_1")
    assert record_group(attempts=[first, same_id]) == [GroupResult(first.id), GroupResult(same_id.id)]
    row = endpoint.deliveries.get()
    assert (row.opentrain_id, row.event_id, row.event_type, row.resource_id, bytes(row.body), row.event_created_at) == (
        "dlv_1", "evt_1", "contract.started", "con_1", BODY, NOON - MINUTE,
    )  # fmt: skip
    assert (row.attempt_count, row.attempts_in_round, row.last_ok, row.last_status, row.last_cause) == (
        1, 1, False, 503, "status",
    )  # fmt: skip
    stored = row.attempts.get()
    assert (stored.uuid, stored.number, stored.received_at, stored.answered_status, bytes(stored.response_head)) == (
        first.id, 1, NOON, 503, b"answer",
    )  # fmt: skip
    assert stored.answered_in_time is None
    assert other.deliveries.get().attempts.get().uuid == same_id.id


@pytest.mark.django_db
@pytest.mark.parametrize(
    "values",
    [
        {
            "body": bytes(range(256)),
            "response_head": b"\\x00\\",
            "request_headers": [['"', "\\ \u00e4 \U0001f600 null"]],
        },
        {"body": b"", "response_head": b"", "request_headers": [], "response_headers": []},
        {"body": None, "handler_status": None, "answered_in_time": False, "handler_url": "https://h.example.com/a'b,c"},
    ],
    ids=["any characters", "empty", "none"],
)
def test_group_stores_the_values_that_a_single_attempt_stores(values) -> None:
    together, alone = make_endpoint(), make_endpoint()
    given = [attempt(together, f"dlv_{number}", **values) for number in range(2)]
    record_group(attempts=given)
    for one in given:
        record_alone(one, endpoint=alone)
    assert log_of(together) == log_of(alone)
    assert log_of(together)[0][0][DELIVERY_COLUMNS.index("body")] == values["body"]


@pytest.mark.django_db
def test_rows_that_are_ready_are_not_made_again(monkeypatch) -> None:
    ahead, later = make_endpoint(), make_endpoint()
    given = [attempt(ahead, f"dlv_{number}", status=503) for number in range(3)]
    rows = {one.id: made for one in given if (made := ready(one)) is not None}
    with monkeypatch.context() as patched:
        patched.setattr(attempts, "first_rows", None)
        record_group(attempts=given, rows=rows)
    record_group(attempts=[replace(one, id=uuid.uuid4(), endpoint_id=later.pk) for one in given])
    assert log_of(ahead) == log_of(later)
    assert set(ahead.deliveries.values_list("attempts__uuid", flat=True)) == rows.keys()


@pytest.mark.django_db(transaction=True)
def test_rows_that_cannot_be_made_ahead_are_an_error_of_their_attempt_only() -> None:
    endpoint = make_endpoint()
    given = [attempt(endpoint, "dlv_1"), attempt(endpoint, "dlv_2", handler_status="many")]
    made = {one.id: ready(one) for one in given}
    assert made[given[1].id] is None
    results = record_group(attempts=given, rows={name: row for name, row in made.items() if row is not None})
    assert errors_of(results) == [ValueError]
    assert endpoint.deliveries.get().opentrain_id == "dlv_1"


@pytest.mark.django_db
def test_group_of_nothing_is_nothing() -> None:
    assert record_group(attempts=[]) == []


@pytest.mark.django_db
def test_group_of_one_new_delivery_is_one_statement(django_assert_num_queries) -> None:
    endpoint = make_endpoint()
    with django_assert_num_queries(1):
        record_group(attempts=[attempt(endpoint, "dlv_1")])


@pytest.mark.django_db
def test_attempts_of_one_delivery_are_numbered_by_arrival_and_at_the_same_time_as_given() -> None:
    endpoint = make_endpoint()
    statuses = [(3, 503), (1, 500), (2, 501), (2, 502), (0, 504)]
    given = [attempt(endpoint, "dlv_1", at=NOON + minute * MINUTE, status=status) for minute, status in statuses]
    record_group(attempts=[*given, attempt(endpoint, "dlv_2")])
    assert numbered("dlv_1") == [(1, 504), (2, 500), (3, 501), (4, 502), (5, 503)]


@pytest.mark.django_db
@pytest.mark.parametrize("again", [lambda given: given, lambda given: [given[1], given[0], given[0]], reversed])
def test_attempt_that_is_in_the_log_changes_nothing_and_counts_as_recorded(again) -> None:
    endpoint = make_endpoint()
    given = [attempt(endpoint, f"dlv_{number % 3}", at=NOON + number * MINUTE, status=503) for number in range(6)]
    record_group(attempts=given)
    before = log_of(endpoint)
    repeated = list(again(given))
    assert record_group(attempts=repeated) == [GroupResult(one.id) for one in repeated]
    for one in given:
        assert record_group(attempts=[one]) == [GroupResult(one.id)]
    assert log_of(endpoint) == before


@pytest.mark.django_db
def test_attempt_is_known_by_its_name_and_not_by_what_it_says() -> None:
    endpoint = make_endpoint()
    given = attempt(endpoint, "dlv_1", status=503)
    record_group(attempts=[given])
    same_values = replace(given, id=uuid.uuid4())
    same_name = replace(given, result=replace(given.result, answered_status=200, received_at=NOON + MINUTE))
    record_group(attempts=[same_values, same_name])
    assert numbered("dlv_1") == [(1, 503), (2, 503)]


@dataclass(frozen=True)
class Given:
    """One attempt of a delivery (a number), of one of two endpoints, as Hypothesis chooses it."""

    endpoint: int
    delivery: int
    second: int
    status: int
    body: bytes | None


@dataclass(frozen=True)
class Happens:
    """Something else that happens to a delivery meanwhile."""

    what: str
    endpoint: int
    delivery: int
    second: int


SECONDS = st.integers(0, 120)
GIVEN = st.builds(
    Given, st.integers(0, 1), st.integers(0, 2), SECONDS, st.sampled_from([200, 503]), st.sampled_from([None, b"{}"])
)
HAPPENS = st.builds(
    Happens, st.sampled_from(["observed", "requested", "abandoned"]), st.integers(0, 1), st.integers(0, 2), SECONDS
)
STEPS = st.lists(st.one_of(st.lists(GIVEN, min_size=1, max_size=6), HAPPENS), min_size=1, max_size=6)


def _happen(step: Happens, endpoint: Endpoint) -> None:
    at, name = NOON + step.second * SECOND, f"dlv_{step.delivery}"
    rows = endpoint.deliveries.filter(opentrain_id=name)
    if step.what == "observed":
        observe(endpoint, name, at=at, status=503)
    elif step.what == "abandoned":
        record.abandon_undelivered(endpoint=endpoint, at=at, learned_at=at)
    elif row := rows.first():
        record.mark_requested(delivery=row, at=at)


@pytest.mark.django_db
@settings(max_examples=80)
@given(steps=STEPS, data=st.data())
def test_any_grouping_and_repetition_gives_the_rows_of_recording_each_alone(steps, data) -> None:
    """Whatever else happens between the groups, and whatever of earlier groups is given again with a later one."""
    install = make_endpoint().install
    alone, grouped = ([make_endpoint(install=install) for _ in range(2)] for _ in range(2))
    given_before: list[RecordedAttempt] = []
    latency_ms = 0
    for step in steps:
        if isinstance(step, Happens):
            for endpoints in (alone, grouped):
                _happen(step, endpoints[step.endpoint])
            continue
        group = []
        for one in step:
            latency_ms += 1  # tells the attempts apart
            other = {"status": one.status, "body": one.body, "latency_ms": latency_ms}
            at = NOON + one.second * SECOND
            group.append(attempt(grouped[one.endpoint], f"dlv_{one.delivery}", at=at, **other))
        for one in sorted(group, key=lambda one: one.result.received_at):
            endpoint = alone[[row.pk for row in grouped].index(one.endpoint_id)]
            record_alone(one, endpoint=endpoint)
        repeated = data.draw(st.lists(st.sampled_from([*given_before, *group]), max_size=4))
        given_before += group
        results = record_group(attempts=[*group, *repeated])
        assert results == [GroupResult(one.id) for one in (*group, *repeated)]
    for one, other in zip(alone, grouped, strict=True):
        assert log_of(other) == log_of(one)
    names = Attempt.objects.filter(delivery__endpoint__in=grouped, source=Source.RECEIVER)
    assert dict(names.values_list("uuid", "latency_ms")) == {one.id: one.result.latency_ms for one in given_before}


@pytest.mark.django_db
def test_attempt_that_a_handler_reported_before_is_confirmed_once() -> None:
    endpoint = make_endpoint()
    observe(endpoint, "dlv_1", at=NOON + SECOND, status=503)
    given = [attempt(endpoint, "dlv_1", at=NOON + second * SECOND, status=504) for second in (0, 2)]
    record_group(attempts=[*given, attempt(endpoint, "dlv_2")])
    found = Attempt.objects.filter(delivery__opentrain_id="dlv_1").order_by("number")
    assert list(found.values_list("number", "source", "uuid")) == [
        (1, "receiver", given[0].id),
        (2, "receiver", given[1].id),
    ]
    record_group(attempts=given)
    assert Delivery.objects.get(opentrain_id="dlv_1").attempt_count == 2


@pytest.mark.django_db(transaction=True)
def test_group_of_new_known_and_repeated_deliveries_is_one_commit_for_the_new_and_one_for_the_rest() -> None:
    endpoint = make_endpoint()
    known = [attempt(endpoint, f"dlv_{number:03}", status=503) for number in range(100)]
    record_group(attempts=known)
    new = [attempt(endpoint, f"dlv_{number:03}", at=NOON + MINUTE) for number in range(450)]
    twice = [attempt(endpoint, f"dlv_{number:03}", at=NOON + 2 * MINUTE) for number in range(400, 450)]
    assert errors_of(record_group(attempts=[*new, *twice])) == []
    assert (Delivery.objects.count(), Attempt.objects.count()) == (450, 600)
    assert transactions() == 3  # with the one before


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("most", "most_bytes", "commits"), [(500, 10**6, 1), (4, 10**6, 3), (500, 50, 5), (500, 1, 10)]
)
def test_large_group_is_divided_into_commits(monkeypatch, most, most_bytes, commits) -> None:
    monkeypatch.setattr(groups, "MOST", most)
    monkeypatch.setattr(groups, "MOST_BYTES", most_bytes)
    endpoint = make_endpoint()
    record_group(attempts=[attempt(endpoint, f"dlv_{number}", body=b"x" * 25) for number in range(10)])
    assert (Delivery.objects.count(), transactions()) == (10, commits)


@pytest.mark.django_db(transaction=True)
def test_commit_whose_acknowledgement_is_lost_is_not_repeated(monkeypatch) -> None:
    endpoint = make_endpoint()
    record_group(attempts=[attempt(endpoint, "dlv_0", status=503)])
    given = [attempt(endpoint, f"dlv_{number % 4}", at=NOON + number * MINUTE, status=503) for number in range(1, 9)]
    connection.ensure_connection()
    commit = connection.connection.commit

    def lose_the_answer() -> None:
        commit()
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patched:
        patched.setattr(connection, "_commit", lose_the_answer)
        with pytest.raises(OperationalError):
            record_group(attempts=given)
    connection.close()
    before = log_of(endpoint)
    assert Attempt.objects.count() == 9
    assert errors_of(record_group(attempts=given)) == []
    assert log_of(endpoint) == before


BAD = {
    "a text that is too long": ({"cause": "c" * 31}, DataError),
    "a number that is negative": ({"latency_ms": -1}, IntegrityError),
    "a value that is missing": ({"handler_url": None}, IntegrityError),
    "a NUL": ({"event_id": "\0"}, DataError),
    "a NUL in JSON": ({"request_headers": [["X", "\0"]]}, DataError),
    "half a character": ({"event_id": "\ud800"}, UnicodeEncodeError),
    "a text for a number": ({"handler_status": "many"}, ValueError),
    "a list for a number": ({"handler_status": [1]}, TypeError),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fault", BAD)
@pytest.mark.parametrize("is_known", [False, True])
def test_bad_attempt_fails_alone(fault, is_known) -> None:
    other, expected = BAD[fault]
    endpoint = make_endpoint()
    if is_known:
        make_failed_delivery(endpoint=endpoint, opentrain_id="dlv_17", event_id="", attempts_in_round=1, body=None)
    given = [attempt(endpoint, f"dlv_{number:02}", at=NOON + MINUTE) for number in range(40)]
    given[17] = attempt(endpoint, "dlv_17", at=NOON + MINUTE, **other)
    given.append(attempt(endpoint, "dlv_17", at=NOON + 2 * MINUTE))
    results = record_group(attempts=given)
    assert [one.id for one in results] == [one.id for one in given]
    assert [(place, type(one.error)) for place, one in enumerate(results) if one.error] == [(17, expected)]
    assert set(Attempt.objects.values_list("uuid", flat=True)) == {one.id for one in given} - {given[17].id}
    assert Delivery.objects.get(opentrain_id="dlv_17").attempt_count == 1 + 5 * is_known


@pytest.mark.django_db(transaction=True)
def test_attempts_at_an_endpoint_that_is_gone_fail_alone() -> None:
    """Its foreign key is looked at only when the transaction commits."""
    endpoint, gone = make_endpoint(), make_endpoint()
    given = [attempt(gone if number in {3, 4} else endpoint, f"dlv_{number}") for number in range(9)]
    gone.delete()
    results = record_group(attempts=given)
    assert [place for place, one in enumerate(results) if isinstance(one.error, IntegrityError)] == [3, 4]
    assert (len(errors_of(results)), Delivery.objects.count()) == (2, 7)


@pytest.mark.django_db(transaction=True)
def test_name_that_is_another_deliverys_fails_alone() -> None:
    endpoint = make_endpoint()
    taken = attempt(endpoint, "dlv_1")
    make_delivery(endpoint=endpoint, opentrain_id="dlv_3")
    record_group(attempts=[taken])
    given = [replace(attempt(endpoint, f"dlv_{number}"), id=taken.id) for number in (2, 3)]
    results = record_group(attempts=[given[0], attempt(endpoint, "dlv_4"), attempt(endpoint, "dlv_5")])
    assert [type(one.error) for one in results] == [IntegrityError, type(None), type(None)]
    results = record_group(attempts=[given[1], attempt(endpoint, "dlv_6"), attempt(endpoint, "dlv_7")])
    assert [type(one.error) for one in results] == [IntegrityError, type(None), type(None)]
    assert Attempt.objects.get(uuid=taken.id).delivery.opentrain_id == "dlv_1"
    assert Delivery.objects.get(opentrain_id="dlv_3").attempt_count == 1


@pytest.mark.django_db(transaction=True)
def test_group_of_bad_attempts_returns_every_error() -> None:
    endpoint = make_endpoint()
    results = record_group(attempts=[attempt(endpoint, f"dlv_{number}", cause="c" * 31) for number in range(20)])
    assert errors_of(results) == [DataError] * 20
    assert Delivery.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_halves_are_logged_without_what_they_hold(caplog) -> None:
    endpoint = make_endpoint()
    record_group(attempts=[attempt(endpoint, "dlv_1"), attempt(endpoint, "dlv_2", event_id="sensitive" * 30)])
    assert [one.getMessage() for one in caplog.records if one.name == groups.__name__] == [
        "a group of 2 attempts failed and is recorded in halves: DataError"
    ]


@pytest.mark.django_db(transaction=True)
def test_server_that_takes_nothing_is_an_error_of_the_whole_group() -> None:
    endpoint = make_endpoint()
    given = [attempt(endpoint, f"dlv_{number}") for number in range(9)]
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    try:
        with pytest.raises(InternalError, match="read-only"):
            record_group(attempts=given)
    finally:
        connection.close()
    assert Delivery.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_connection_that_is_cut_is_an_error_of_the_whole_group() -> None:
    endpoint = make_endpoint()
    given = [attempt(endpoint, f"dlv_{number}") for number in range(9)]
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            make_delivery(endpoint=endpoint, opentrain_id="dlv_4")
            waiting = in_thread(pool, partial(record_group, attempts=given))
            wait_until(somebody_waits)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted")
            with pytest.raises(OperationalError):
                waiting.result(timeout=60)
        assert Delivery.objects.count() == 1
    assert errors_of(record_group(attempts=given)) == []
    assert (Delivery.objects.count(), Delivery.objects.get(opentrain_id="dlv_4").attempt_count) == (9, 2)


def test_group_inside_a_transaction_is_refused(transactional_db) -> None:
    """What is not committed is not recorded."""
    endpoint = make_endpoint()
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        record_group(attempts=[attempt(endpoint, "dlv_1"), attempt(endpoint, "dlv_2")])


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
