"""A spool that is full, hangs, or cannot be opened: attempts are refused in time, and all goes on once it works."""

import asyncio
import threading
from unittest import mock

import pytest
from cryptography.fernet import Fernet

from dashboard.models import Delivery
from dashboard.receiver import appender, journal
from dashboard.receiver.keeping import NotKept
from dashboard.receiver.spool import Spool, SpoolFull
from dashboard.rules.attempt_codec import to_bytes
from tests.receiver.journals import KEY, LONG_S, ROOM, attempt, attempts, in_log, running
from tests.receiver.test_journal import until_clear

pytestmark = pytest.mark.django_db(transaction=True)


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
