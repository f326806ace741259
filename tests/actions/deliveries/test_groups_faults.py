"""What cannot be stored fails alone, and a database that takes nothing fails the whole group, which can be repeated."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest
from django.db import DataError, IntegrityError, InternalError, OperationalError, connection, transaction

from dashboard.actions.deliveries import groups
from dashboard.actions.deliveries.groups import ready, record_group
from dashboard.models import Attempt, Delivery
from tests.actions.deliveries.recorded import MINUTE, attempt, errors_of, in_thread, log_of
from tests.factories import NOON, make_delivery, make_endpoint, make_failed_delivery
from tests.faults.failed import somebody_waits, wait_until


@pytest.mark.django_db(transaction=True)
def test_rows_that_cannot_be_made_ahead_are_an_error_of_their_attempt_only() -> None:
    endpoint = make_endpoint()
    given = [attempt(endpoint, "dlv_1"), attempt(endpoint, "dlv_2", handler_status="many")]
    made = {one.id: ready(one) for one in given}
    assert made[given[1].id] is None
    results = record_group(attempts=given, rows={name: row for name, row in made.items() if row is not None})
    assert errors_of(results) == [ValueError]
    assert endpoint.deliveries.get().opentrain_id == "dlv_1"


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
