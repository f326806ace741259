"""Notes beside attempts: refused requests, and whether OpenTrain was answered, are stored soon and not lost."""

from datetime import timedelta

import pytest
from django.db import InternalError, OperationalError, transaction
from psycopg.errors import ReadOnlySqlTransaction

from dashboard.models import Attempt, Delivery, Endpoint, RefusedAttempt
from dashboard.receiver import journal, notes
from dashboard.receiver.keeping import NotKept
from tests.actions.test_signing_secrets import stored
from tests.factories import NOON, make_endpoint
from tests.receiver.journals import attempt, running
from tests.receiver.refusals import refusal
from tests.receiver.test_journal import until_clear

pytestmark = pytest.mark.django_db(transaction=True)


def test_refused_request_is_recorded_soon(tmp_path, endpoint) -> None:
    with running(tmp_path) as one:
        one.do(lambda: one.journal.refuse(endpoint_id=endpoint.pk, refusal=refusal()))
    assert RefusedAttempt.objects.get().endpoint == endpoint


def test_whether_opentrain_was_answered_is_in_the_log_soon_and_for_spooled_ones_too(
    tmp_path, endpoint, database
) -> None:
    in_time, late, spooled = attempt(endpoint, "in time"), attempt(endpoint, "late"), attempt(endpoint, "spooled")
    with running(tmp_path) as one:
        one.record(in_time, late)
        one.do(lambda: one.journal.told(in_time.id, True))
        one.do(lambda: one.journal.told(late.id, False))
        database.break_off()
        one.record(spooled)
        one.do(lambda: one.journal.told(spooled.id, True))
        database.come_back()
        until_clear(one)
    rows = Attempt.objects.values_list("delivery__opentrain_id", "answered_in_time")
    assert dict(rows) == {"in time": True, "late": False, "spooled": True}
    causes = Delivery.objects.values_list("opentrain_id", "last_cause")
    assert dict(causes) == {"in time": "", "late": "gone", "spooled": ""}


def test_answers_that_are_too_many_for_one_transaction_are_noted_one_after_the_other(
    tmp_path, endpoint, monkeypatch
) -> None:
    monkeypatch.setattr(notes, "TOLD_AT_ONCE", 2)
    given = [attempt(endpoint, f"{number}") for number in range(8)]
    with running(tmp_path) as one:
        one.record(*given)
        one.wait_until(lambda: one.journal._report_at > 0)
        monkeypatch.setattr(journal, "NOTES_EVERY_S", 3600.0)
        one.do(lambda: [one.journal.told(each.id, True) for each in given])
        one.wait_until(lambda: not one.journal._notes._in_time)
    assert Attempt.objects.filter(answered_in_time=True).count() == len(given)


@pytest.mark.parametrize("is_first_spooled", [False, True])
def test_retry_after_an_answer_that_did_not_reach_opentrain_is_no_new_round(
    tmp_path, endpoint, database, short, is_first_spooled
) -> None:
    first = attempt(endpoint)
    retry = attempt(endpoint, received_at=NOON + timedelta(minutes=1))
    with running(tmp_path) as one:
        if is_first_spooled:
            database.break_off()
        one.record(first)
        database.break_off()
        one.do(lambda: one.journal.told(first.id, False))
        one.record(retry)
        assert one.place == "spool"
        database.come_back()
        until_clear(one)
    rows = Attempt.objects.values_list("number", "ok", "cause", "answered_in_time")
    assert list(rows) == [(1, False, "gone", False), (2, True, "", None)]
    assert Delivery.objects.values_list("last_ok", "attempts_in_round").get() == (True, 2)


def test_answer_that_did_not_reach_opentrain_is_noted_once_the_delivery_is_free(tmp_path, endpoint, short) -> None:
    given = attempt(endpoint)
    with running(tmp_path) as one:
        one.record(given)
        with transaction.atomic():
            Delivery.objects.select_for_update().get()
            one.do(lambda: one.journal.told(given.id, False))
            one.wait_until(lambda: not one.journal._notes.missed)
            one.wait_until(lambda: bool(one.journal._notes.missed))  # it waits again
            assert one.place == "database"
        one.wait_until(lambda: not one.journal._notes.missed)
    assert Delivery.objects.values_list("last_ok", "last_cause").get() == (False, "gone")


def test_attempt_that_is_kept_after_opentrain_was_answered_503_is_no_success(endpoint, database, short) -> None:
    with running(None) as one:
        one.wait_until(lambda: one.journal._report_at > 0)  # an attempt that waits behind the report is withdrawn
        database.stop()
        assert [type(error) for error in one.record(attempt(endpoint))] == [NotKept]
        database.go()
        until_clear(one)
    assert Attempt.objects.values_list("ok", "cause", "answered_status", "handler_status").get() == (
        False, "unkept", 503, 200,
    )  # fmt: skip
    assert Delivery.objects.values_list("last_ok", "last_status").get() == (False, 503)


def test_notes_that_the_database_does_not_take_are_stored_later(tmp_path, endpoint, database, short) -> None:
    given = attempt(endpoint)
    with running(tmp_path) as one:
        one.record(given)
        one.wait_until(lambda: one.journal._report_at > 0)
        database.break_off()
        one.do(lambda: one.journal.told(given.id, True))
        one.do(lambda: one.journal.refuse(endpoint_id=endpoint.pk, refusal=refusal()))
        one.wait_until(lambda: one.journal.can_keep().place == "spool")
        database.come_back()
        until_clear(one)
    assert (Attempt.objects.get().answered_in_time, RefusedAttempt.objects.count()) == (True, 1)


@pytest.mark.parametrize("error", [InternalError("read-only"), OperationalError("away")])
def test_notes_survive_a_database_that_takes_nothing(tmp_path, database, short, error) -> None:
    endpoint = make_endpoint(proof=Endpoint.Proof.WAITING)
    secret = stored(endpoint)
    with running(tmp_path) as one:
        database.away = error
        one.do(lambda: one.journal.proven(endpoint.pk, secret))
        one.do(lambda: one.journal.refuse(endpoint_id=endpoint.pk, refusal=refusal()))
        one.wait_until(lambda: one.journal.can_keep().place == "spool")
        database.come_back()
        until_clear(one)
    assert (Endpoint.objects.get().proof, RefusedAttempt.objects.count()) == ("proven", 1)


def test_log_names_why_the_database_takes_nothing(tmp_path, endpoint, database, short, caplog) -> None:
    error = InternalError("cannot execute INSERT in a read-only transaction")
    error.__cause__ = ReadOnlySqlTransaction()
    with running(tmp_path) as one:
        database.away = error
        one.record(attempt(endpoint))
        database.come_back()
        until_clear(one)
    assert "the database counts as away: ReadOnlySqlTransaction" in caplog.text


@pytest.mark.parametrize("fields", [{"reason": "x" * 500}, {"explanation": "x" * 50, "claimed_event_type": None}])
def test_refused_request_that_the_database_refuses_costs_no_other_note(tmp_path, caplog, fields) -> None:
    endpoint = make_endpoint(proof=Endpoint.Proof.WAITING)
    secret = stored(endpoint)
    with running(tmp_path) as one:
        one.do(lambda: one.journal.refuse(endpoint_id=endpoint.pk, refusal=refusal(**fields)))
        one.do(lambda: one.journal.proven(endpoint.pk, secret))
    assert (Endpoint.objects.get().proof, RefusedAttempt.objects.count()) == ("proven", 0)
    assert "1 refused requests are not recorded: " in caplog.text
    assert "xxx" not in caplog.text
