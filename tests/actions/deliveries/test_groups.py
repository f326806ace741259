"""A group of attempts stores the same rows as recording each alone, in few commits."""

import uuid
from dataclasses import dataclass, replace

import pytest
from django.db import connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.actions.deliveries import attempts, groups, record
from dashboard.actions.deliveries.groups import GroupResult, ready, record_group
from dashboard.models import Attempt, Delivery, Endpoint
from dashboard.rules.attempts import RecordedAttempt, Source
from tests.actions.deliveries.recorded import (
    MINUTE,
    SECOND,
    attempt,
    errors_of,
    log_of,
    numbered,
    observe,
    record_alone,
)
from tests.factories import BODY, NOON, make_endpoint


def transactions() -> int:
    """The number of transactions that wrote what the log holds now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(DISTINCT xmin::text) FROM"
            " (SELECT xmin FROM dashboard_delivery UNION ALL SELECT xmin FROM dashboard_attempt) AS written"
        )
        return cursor.fetchone()[0]


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


def test_group_inside_a_transaction_is_refused(transactional_db) -> None:
    """What is not committed is not recorded."""
    endpoint = make_endpoint()
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        record_group(attempts=[attempt(endpoint, "dlv_1"), attempt(endpoint, "dlv_2")])
