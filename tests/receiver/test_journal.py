"""The journal keeps each attempt once, in the database or in the spool, and says when neither takes it."""

import asyncio
from unittest import mock

import pytest
from django.db import connection, transaction

from dashboard.models import Attempt, Delivery, ReceiverReport
from dashboard.receiver import journal
from dashboard.receiver.spool import Spool
from dashboard.receiver.spool_folder import SpoolFailed
from dashboard.rules.attempt_codec import to_bytes
from tests.factories import make_endpoint
from tests.receiver.journals import KEY, ROOM, Running, attempt, attempts, in_log, running

pytestmark = pytest.mark.django_db(transaction=True)


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


def test_program_error_is_logged_and_loses_nothing(tmp_path, endpoint, database, caplog) -> None:
    with running(tmp_path) as one:
        database.away = RuntimeError("a mistake")
        assert one.record(attempt(endpoint)) == [None]
        database.come_back()
        until_clear(one)
    assert in_log(endpoint) == ["dlv_1"]
    assert "attempts cannot be recorded" in caplog.text
