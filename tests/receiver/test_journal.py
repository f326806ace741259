"""The journal keeps each attempt once, in the database or in the spool, and says when neither takes it."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from unittest import mock

import pytest
from cryptography.fernet import Fernet
from django.db import InternalError, OperationalError, connection, transaction
from psycopg.errors import ReadOnlySqlTransaction

from dashboard.models import Attempt, Delivery, Endpoint, ReceiverReport, RefusedAttempt
from dashboard.receiver import appender, journal, notes
from dashboard.receiver.keeping import NotKept
from dashboard.receiver.spool import Spool, SpoolFull
from dashboard.receiver.spool_folder import SpoolFailed
from dashboard.rules.attempt_codec import to_bytes
from tests.actions.test_signing_secrets import stored
from tests.factories import NOON, make_endpoint
from tests.receiver.journals import KEY, LONG_S, ROOM, Database, Running, attempt, attempts, in_log, install, running
from tests.receiver.refusals import refusal

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def endpoint() -> Endpoint:
    return make_endpoint()


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    made = install(monkeypatch)
    yield made
    made.go()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait long for a place."""
    monkeypatch.setattr(journal, "COMMIT_WITHIN_S", 0.2)
    monkeypatch.setattr(journal, "LAST_TRY_S", 0.1)
    monkeypatch.setattr(journal, "RETRY_EVERY_S", 0.02)
    monkeypatch.setattr(journal, "UNREADABLE_FOR_S", 0.1)


def until_clear(one: Running) -> None:
    one.wait_until(lambda: one.journal.can_keep().place == "database" and one.journal.held == 0)


def commits() -> int:
    """The number of transactions that wrote the attempts that the log holds."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT xmin::text) FROM dashboard_attempt")
        return cursor.fetchone()[0]


# With a database


def test_attempt_is_in_the_log_when_record_returns(tmp_path, endpoint) -> None:
    given = attempt(endpoint)
    with running(tmp_path) as one:
        assert one.record(given) == [None]
        assert Attempt.objects.get().uuid == given.id
        assert (one.place, one.journal.held) == ("database", 0)


def test_rows_are_made_before_the_database_is_free(tmp_path, endpoint, database, monkeypatch) -> None:
    """So a commit is not waited for with the work of the next group still to do."""
    made: list[str] = []
    monkeypatch.setattr(journal, "ready", lambda given: made.append(given.event.delivery_id))
    with running(tmp_path) as one:
        database.stop()
        one.begin(attempt(endpoint, "first"), attempt(endpoint, "second"))
        one.wait_until(lambda: made == ["first", "second"])
        assert Attempt.objects.count() == 0
        database.go()
        assert one.finish() == [None] * 2


def test_attempts_that_come_during_a_commit_are_one_commit(tmp_path, endpoint, database) -> None:
    with running(tmp_path) as one:
        one.record(attempt(endpoint, "first"))
        database.stop()
        one.begin(*attempts(endpoint, 300))
        database.go()
        assert one.finish() == [None] * 300
        assert one.place == "database"
    assert (Attempt.objects.count(), commits() <= 3) == (301, True)


def test_attempts_of_one_delivery_in_one_group_are_numbered_in_order(tmp_path, endpoint) -> None:
    given = [attempt(endpoint, status) for status in ["dlv_1"] * 5]
    with running(tmp_path) as one:
        assert one.record(*given) == [None] * 5
    rows = Attempt.objects.order_by("number").values_list("number", "uuid")
    assert list(rows) == list(enumerate((one.id for one in given), start=1))


def test_attempt_whose_delivery_is_locked_waits_in_the_spool_and_holds_nobody_up(tmp_path, endpoint, short) -> None:
    with running(tmp_path) as one:
        one.record(attempt(endpoint, "locked"))
        with transaction.atomic():
            Delivery.objects.select_for_update().get()
            assert one.record(attempt(endpoint, "locked"), attempt(endpoint, "free")) == [None, None]
            assert "free" in in_log(endpoint)
            assert one.record(attempt(endpoint, "another")) == [None]
        until_clear(one)
    assert sorted(in_log(endpoint)) == ["another", "free", "locked", "locked"]


def test_attempt_that_the_database_refuses_is_kept_aside_and_the_others_are_recorded(
    tmp_path, endpoint, caplog
) -> None:
    bad = attempt(endpoint, "bad", cause="x" * 500)
    with running(tmp_path) as one:
        assert one.record(attempt(endpoint, "before"), bad, attempt(endpoint, "after")) == [None] * 3
        until_clear(one)
        one.wait_until(lambda: any(tmp_path.glob("*/*.aside")))
    assert sorted(in_log(endpoint)) == ["after", "before"]
    assert f"refuses attempt {bad.id}" in caplog.text
    assert "bad" not in caplog.text.replace(str(bad.id), "")


def test_deleted_endpoint_costs_the_others_nothing(tmp_path, endpoint) -> None:
    gone = make_endpoint()
    lost = attempt(gone, "lost")
    gone.delete()
    with running(tmp_path) as one:
        assert one.record(lost, attempt(endpoint)) == [None, None]
        until_clear(one)
    assert in_log(endpoint) == ["dlv_1"]


# With a database that is away


def test_attempt_goes_to_the_spool_after_its_time_and_later_ones_at_once(tmp_path, endpoint, database, short) -> None:
    with running(tmp_path) as one:
        one.record(attempt(endpoint, "before"))
        database.stop()
        assert one.record(attempt(endpoint, "waits")) == [None]
        assert one.place == "spool"
        calls = database.calls
        assert one.record(*attempts(endpoint, 50)) == [None] * 50
        assert (database.calls, one.journal.held) == (calls, 51)
        database.go()
        until_clear(one)
    assert in_log(endpoint)[:2] == ["before", "waits"]
    assert in_log(endpoint)[2:] == [f"dlv_{number:05}" for number in range(50)]


def test_all_that_waits_goes_to_the_spool_with_the_first_that_has_waited(tmp_path, endpoint, database, short) -> None:
    with running(tmp_path) as one:
        one.record(attempt(endpoint, "before"))
        database.stop()
        one.begin(attempt(endpoint, "in the commit"))
        one.wait_until(lambda: one.journal._in_flight != {})
        one.begin(*attempts(endpoint, 20))
        assert one.finish() == [None] * 20
        assert one.journal.held == 21
        database.go()
        until_clear(one)
    assert sorted(in_log(endpoint)) == sorted(["before", "in the commit", *(f"dlv_{count:05}" for count in range(20))])


def test_database_that_breaks_off_sends_all_to_the_spool_without_a_wait(tmp_path, endpoint, database) -> None:
    with running(tmp_path) as one:
        one.record(attempt(endpoint, "before"))
        database.break_off()
        assert one.record(*attempts(endpoint, 20)) == [None] * 20
        assert (one.place, one.journal.held) == ("spool", 20)
        database.come_back()
        until_clear(one)
    assert in_log(endpoint) == ["before", *(f"dlv_{number:05}" for number in range(20))]


def test_commit_whose_answer_is_lost_is_recorded_once(tmp_path, endpoint, database) -> None:
    with running(tmp_path) as one:
        one.record(attempt(endpoint, "before"))
        database.forgets = True
        given = attempt(endpoint, "twice")
        assert one.record(given) == [None]
        assert one.journal.held == 1
        database.forgets = False
        until_clear(one)
    assert in_log(endpoint) == ["before", "twice"]
    assert Delivery.objects.get(opentrain_id="twice").attempt_count == 1


def test_late_commit_of_what_was_spooled_meanwhile_is_recorded_once(tmp_path, endpoint, database, short) -> None:
    with running(tmp_path) as one:
        one.record(attempt(endpoint, "before"))
        database.slow_s = 0.4
        assert one.record(attempt(endpoint, "late")) == [None]
        one.wait_until(lambda: one.journal.held == 0)
        database.slow_s = 0
        until_clear(one)
    assert in_log(endpoint) == ["before", "late"]
    assert Delivery.objects.get(opentrain_id="late").attempt_count == 1


def test_slow_database_is_not_waited_for_and_gets_everything(tmp_path, endpoint, database, short, monkeypatch) -> None:
    monkeypatch.setattr(journal, "QUICK_S", 0.1)
    with running(tmp_path) as one:
        database.slow_s = 0.3
        one.record(attempt(endpoint, "first"))
        for number in range(5):
            assert one.record(attempt(endpoint, f"then {number}")) == [None]
            assert one.place == "spool"
        one.wait_until(lambda: one.journal.held == 0)
        assert one.place == "spool"
    assert in_log(endpoint) == ["first", *(f"then {number}" for number in range(5))]


def test_attempt_with_little_time_left_goes_to_the_spool_alone(tmp_path, endpoint, database) -> None:
    with running(tmp_path) as one:
        one.record(attempt(endpoint, "before"))
        database.stop()
        one.begin(attempt(endpoint, "patient"))
        one.wait_until(lambda: one.journal._in_flight != {})
        assert one.record(attempt(endpoint, "hurried"), left_s=0.05) == [None]
        assert one.place == "database"
        database.go()
        assert one.finish() == [None]
        until_clear(one)
    assert in_log(endpoint) == ["before", "patient", "hurried"]


def test_sender_that_leaves_loses_no_attempt(tmp_path, endpoint, database, short) -> None:
    with running(tmp_path) as one:
        database.stop()
        one.begin(attempt(endpoint))
        for task in one.tasks:
            one.do(task.cancel)
        assert isinstance(one.finish()[0], asyncio.CancelledError)
        one.wait_until(lambda: one.journal.can_keep().place == "spool" and one.journal.held == 1)
        database.go()
        until_clear(one)
    assert in_log(endpoint) == ["dlv_1"]


def test_database_that_is_away_when_the_receiver_starts_is_noticed_before_the_first_delivery(
    tmp_path, endpoint, database
) -> None:
    database.break_off()
    with running(tmp_path) as one:
        one.wait_until(lambda: one.journal.can_keep().place == "spool")
        assert one.record(attempt(endpoint)) == [None]
        database.come_back()
        until_clear(one)
    assert in_log(endpoint) == ["dlv_1"]


def test_new_attempts_wait_for_the_rest_of_the_spool_and_so_enter_in_order(tmp_path, endpoint, database, short) -> None:
    names = [f"dlv_{number:05}" for number in range(1200)]
    with running(tmp_path) as one:
        database.break_off()
        one.record(*(attempt(endpoint, name) for name in names[:1000]))
        database.come_back()
        for name in names[1000:]:
            assert one.record(attempt(endpoint, name)) == [None]
        until_clear(one)
    assert in_log(endpoint) == names


# The next process


def test_spool_of_a_receiver_that_was_killed_enters_the_log_once_and_in_order(tmp_path, endpoint) -> None:
    given = attempts(endpoint, 1200)
    dead = Spool(tmp_path / "web1-a", keys=[KEY], max_bytes=ROOM)
    dead.append([to_bytes(one) for one in given])
    dead.close()
    with running(tmp_path) as one:
        until_clear(one)
        assert one.journal.name == "web1-a"
    assert in_log(endpoint) == [one.event.delivery_id for one in given]


def test_what_was_replayed_before_a_kill_is_not_recorded_again(tmp_path, endpoint) -> None:
    given = attempts(endpoint, 20)
    with running(tmp_path) as one:
        one.record(*given[:10])
    again = Spool(tmp_path / "web1-a", keys=[KEY], max_bytes=ROOM)
    again.append([to_bytes(one) for one in given])
    again.close()
    with running(tmp_path) as one:
        until_clear(one)
    assert in_log(endpoint) == [one.event.delivery_id for one in given]
    assert set(Delivery.objects.values_list("attempt_count", flat=True)) == {1}


def test_second_receiver_has_a_spool_of_its_own_and_takes_over_the_first_ones(tmp_path, endpoint, monkeypatch) -> None:
    monkeypatch.setattr(journal, "LOOK_AFTER_SPOOLS_EVERY_S", 0.05)
    dead = Spool(tmp_path / "web1-a", keys=[KEY], max_bytes=ROOM)
    dead.append([to_bytes(one) for one in attempts(endpoint, 10)])
    ReceiverReport.objects.create(name="web1-a", held=10, heard_at=endpoint.created_at)
    with running(tmp_path) as one:
        assert one.journal.name == "web1-b"
        assert in_log(endpoint) == []
        dead.close()  # now it is dead
        one.wait_until(lambda: not (tmp_path / "web1-a").exists() and one.journal.held == 0)
        one.journal._notes_at = 0
        until_clear(one)
    assert len(in_log(endpoint)) == 10
    assert ReceiverReport.objects.count() == 0


def test_journal_that_stops_writes_what_waits_and_takes_its_report_away(tmp_path, endpoint, database) -> None:
    with running(tmp_path) as one:
        one.wait_until(lambda: one.journal._report_at > 0)
        assert list(ReceiverReport.objects.values_list("name", "held")) == [("web1-a", 0)]
        database.slow_s = 0.1
        one.begin(*attempts(endpoint, 10))
    assert len(in_log(endpoint)) == 10
    assert ReceiverReport.objects.count() == 0


def test_journal_that_stops_while_the_database_is_away_leaves_its_spool(tmp_path, endpoint, database) -> None:
    with running(tmp_path) as one:
        database.break_off()
        one.record(attempt(endpoint))
    database.come_back()
    assert in_log(endpoint) == []
    with running(tmp_path) as one:
        until_clear(one)
    assert in_log(endpoint) == ["dlv_1"]


def test_report_says_how_many_attempts_are_held(tmp_path, endpoint, database, monkeypatch) -> None:
    monkeypatch.setattr(journal, "replay_some", mock.Mock(side_effect=SpoolFailed("The disk cannot be read.")))
    with running(tmp_path) as one:
        database.break_off()
        one.record(*attempts(endpoint, 7))
        database.come_back()
        one.wait_until(lambda: one.journal.can_keep().place == "database")
        one.wait_until(lambda: one.journal._report_at > 0)
    assert list(ReceiverReport.objects.values_list("name", "held")) == [("web1-a", 7)]


# Without room


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Whether the spool's disk is full."""
    is_full = threading.Event()
    real_append, real_try = Spool.append, Spool.try_disk

    def append(self, records):
        if is_full.is_set():
            raise SpoolFull("The disk of the spool is full.")
        real_append(self, records)

    def try_disk(self):
        if is_full.is_set():
            raise SpoolFull("The disk of the spool is full.")
        real_try(self)

    monkeypatch.setattr(Spool, "append", append)
    monkeypatch.setattr(Spool, "try_disk", try_disk)
    return is_full


def test_attempt_that_neither_takes_is_not_kept(tmp_path, endpoint, database, short, full) -> None:
    with running(tmp_path) as one:
        one.record(attempt(endpoint, "before"))
        database.break_off()
        full.set()
        [error] = one.record(attempt(endpoint))
        assert isinstance(error, NotKept)
        keeping = one.do(one.journal.can_keep)
        assert (keeping.ok, keeping.place) == (False, "nothing")
        assert "full" in keeping.words
    assert in_log(endpoint) == ["before"]


def test_full_spool_lets_attempts_into_a_database_that_is_back(tmp_path, endpoint, database, short, full) -> None:
    with running(tmp_path) as one:
        database.break_off()
        one.record(*attempts(endpoint, 3))
        full.set()
        one.begin(attempt(endpoint, "last try"))
        database.come_back()
        assert one.finish() == [None]
        until_clear(one)
    assert len(in_log(endpoint)) == 4


def test_full_spool_is_replayed_though_new_attempts_never_cease(
    tmp_path, endpoint, database, short, full, monkeypatch
) -> None:
    """What it cannot keep comes without an end, and is recorded before what waits there."""
    monkeypatch.setattr(journal, "LAST_TRY_S", 10.0)
    with running(tmp_path) as one:
        database.break_off()
        one.record(*attempts(endpoint, 2 * journal.LITTLE + 1))
        full.set()
        database.slow_s = 0.05  # more has come whenever it is free
        database.come_back()

        async def send_all() -> None:
            tasks = []
            while one.journal.held > 1:
                new = attempt(endpoint, f"new_{len(tasks)}")
                tasks.append(asyncio.ensure_future(one.journal.record(new, left_s=LONG_S)))
                await asyncio.sleep(0.005)
            await asyncio.gather(*tasks)

        one.call(send_all())
        until_clear(one)


def test_spool_that_has_room_again_is_found_without_a_delivery(
    tmp_path, endpoint, database, short, full, monkeypatch
) -> None:
    monkeypatch.setattr(journal, "LOOK_AFTER_SPOOLS_EVERY_S", 0.02)
    with running(tmp_path) as one:
        database.break_off()
        full.set()
        one.record(attempt(endpoint))
        assert one.place == "nothing"
        full.clear()
        one.wait_until(lambda: one.journal.can_keep().place == "spool")
        assert one.record(attempt(endpoint)) == [None]


def test_disk_that_hangs_delays_nobody_beyond_the_limits_and_keeps_nothing_in_memory(
    tmp_path, endpoint, database, short, monkeypatch
) -> None:
    monkeypatch.setattr(journal, "APPEND_WITHIN_S", 0.1)
    monkeypatch.setattr(appender, "APPEND_WITHIN_S", 0.1)
    hanging = threading.Event()
    real = Spool.append
    monkeypatch.setattr(Spool, "append", lambda self, records: hanging.wait(20) and real(self, records))
    with running(tmp_path) as one:
        database.break_off()
        for number in range(3):
            [error] = one.record(attempt(endpoint, f"dlv_{number}"))
            assert isinstance(error, NotKept)
        assert one.journal.held == 1  # which the disk may have
        assert (one.place, "does not answer" in one.do(one.journal.can_keep).words) == ("nothing", True)
        hanging.set()
        one.wait_until(lambda: one.journal.can_keep().ok)
        database.come_back()
        until_clear(one)
    assert in_log(endpoint) == ["dlv_0"]
    assert Delivery.objects.values_list("last_ok", "last_cause").get() == (False, "unkept")


def test_look_after_spools_goes_on_after_an_error(tmp_path, endpoint, monkeypatch, caplog) -> None:
    monkeypatch.setattr(journal, "LOOK_AFTER_SPOOLS_EVERY_S", 0.02)
    broken = mock.Mock(side_effect=[RuntimeError("a mistake"), [], []])
    with running(tmp_path) as one:
        monkeypatch.setattr(journal, "adopt_dead", broken)
        one.wait_until(lambda: broken.call_count > 2)
    assert "the spools cannot be looked after" in caplog.text


def test_spool_whose_key_is_missing_holds_nothing_up(tmp_path, endpoint, short, caplog) -> None:
    older = Fernet.generate_key().decode()
    dead = Spool(tmp_path / "web1-a", keys=[older], max_bytes=ROOM)
    dead.append([to_bytes(attempt(endpoint, "old"))])
    dead.close()
    with running(tmp_path) as one:
        one.wait_until(lambda: one.journal._unreadable_why != "")
        assert one.record(attempt(endpoint, "new")) == [None]
        assert (in_log(endpoint), one.journal.held, one.place) == (["new"], 1, "database")
    assert "Append the key" in caplog.text
    with running(tmp_path, keys=[KEY, older]) as one:
        until_clear(one)
    assert sorted(in_log(endpoint)) == ["new", "old"]


def test_without_a_spool_attempts_are_kept_by_the_database_alone(endpoint, database, short) -> None:
    with running(None) as one:
        assert one.record(attempt(endpoint)) == [None]
        database.break_off()
        [error] = one.record(attempt(endpoint, "lost"))
        assert isinstance(error, NotKept)
        assert one.place == "nothing"
        database.come_back()
        one.wait_until(lambda: one.journal.can_keep().ok)
        assert one.record(attempt(endpoint, "again")) == [None]
    assert in_log(endpoint) == ["dlv_1", "again"]


def test_spool_that_cannot_be_opened_is_logged_and_tried_again(tmp_path, endpoint, monkeypatch, caplog) -> None:
    monkeypatch.setattr(journal, "LOOK_AFTER_SPOOLS_EVERY_S", 0.02)
    (tmp_path / "spools").write_text("no folder")
    with running(tmp_path / "spools") as one:
        assert one.record(attempt(endpoint)) == [None]
        assert "there is no spool" in caplog.text
        (tmp_path / "spools").unlink()
        one.wait_until(lambda: one.journal._appender is not None)


def test_program_error_is_logged_and_loses_nothing(tmp_path, endpoint, database, caplog) -> None:
    with running(tmp_path) as one:
        database.away = RuntimeError("a mistake")
        assert one.record(attempt(endpoint)) == [None]
        database.come_back()
        until_clear(one)
    assert in_log(endpoint) == ["dlv_1"]
    assert "attempts cannot be recorded" in caplog.text


# Notes


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
