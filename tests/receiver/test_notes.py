"""Notes wait for the database, in limited number, and are stored together."""

import logging
import uuid
from datetime import timedelta

import pytest

from dashboard.actions.deliveries.groups import record_group
from dashboard.models import Attempt, Endpoint, ReceiverPresence, ReceiverReport, RefusedAttempt
from dashboard.receiver import notes as notes_module
from dashboard.receiver.notes import Notes, Taken
from dashboard.rules.causes import Cause
from dashboard.vault import Sealed
from tests.actions.deliveries.recorded import attempt
from tests.actions.test_signing_secrets import stored
from tests.factories import NOON, make_endpoint
from tests.receiver.refusals import refusal


@pytest.fixture
def notes() -> Notes:
    return Notes(name="web1-a", began_at=NOON)


def taken(notes: Notes, *, held: int | None = None, with_in_time: bool = True) -> Taken:
    found = notes.take(at=NOON, held=held, with_in_time=with_in_time)
    assert found is not None
    return found


def test_nothing_noted_is_nothing_to_store(notes: Notes) -> None:
    assert notes.take(at=NOON, held=None) is None
    assert notes.take_told([uuid.uuid4()], at=NOON) is None


@pytest.mark.django_db
def test_everything_noted_is_stored(notes: Notes) -> None:
    endpoint = make_endpoint(proof=Endpoint.Proof.WAITING)
    given = attempt(endpoint)
    record_group(attempts=[given])
    ReceiverReport.objects.create(name="web2-a", held=3, heard_at=NOON)
    notes.refuse(endpoint.pk, refusal())
    notes.told(given.id, Cause.GONE)
    notes.proven(endpoint.pk, stored(endpoint))
    notes.gone(["web2-a"])
    taken(notes, held=5).store()
    assert RefusedAttempt.objects.get().endpoint == endpoint
    assert Attempt.objects.get().answered_in_time is False
    assert Endpoint.objects.get().proof == Endpoint.Proof.PROVEN
    assert list(ReceiverReport.objects.values_list("name", "held", "heard_at")) == [("web1-a", 5, NOON)]
    assert notes.take(at=NOON, held=None) is None


@pytest.mark.django_db
def test_report_tells_that_the_process_runs_also_without_a_spool(notes: Notes) -> None:
    later = NOON + timedelta(seconds=5)
    found = notes.take(at=later, held=None, is_report=True)
    assert found is not None
    found.store()
    assert ReceiverPresence.objects.values_list("name", "began_at", "last_at").get() == ("web1-a", NOON, later)
    assert not ReceiverReport.objects.exists()
    assert notes.take(at=later, held=None) is None


@pytest.mark.django_db
def test_refused_requests_of_a_deleted_endpoint_are_left_out(notes: Notes) -> None:
    endpoint, gone = make_endpoint(), make_endpoint()
    notes.refuse(gone.pk, refusal())
    notes.refuse(endpoint.pk, refusal())
    gone.delete()
    taken(notes).store()
    assert RefusedAttempt.objects.get().endpoint == endpoint


def test_newest_refused_requests_are_kept_and_the_others_counted(notes: Notes, monkeypatch, caplog) -> None:
    monkeypatch.setattr(notes_module, "MOST_REFUSALS", 3)
    for number in range(5):
        notes.refuse(number, refusal())
    with caplog.at_level(logging.WARNING):
        assert [endpoint for endpoint, _refusal in taken(notes).refusals] == [2, 3, 4]
    assert notes.dropped_refusals == 2
    assert "2 refused requests are not recorded" in caplog.text


def test_answers_without_room_stay_unknown_and_the_log_says_so_once(notes: Notes, monkeypatch, caplog) -> None:
    monkeypatch.setattr(notes_module, "MOST_TOLD", 2)
    names, missed = [uuid.uuid4() for _ in range(3)], uuid.uuid4()
    for name in names:
        notes.told(name)
    notes.told(missed, Cause.GONE)  # has a room of its own
    told = {missed: Cause.GONE, names[0]: Cause.NONE, names[1]: Cause.NONE}
    assert (taken(notes).told, notes.dropped_told) == (told, 1)
    assert "stays unknown" not in caplog.text  # more may be dropped
    for _ in range(2):
        assert notes.take(at=NOON, held=None) is None
    assert caplog.text.count("whether OpenTrain was answered in time stays unknown for 1 attempts") == 1


def test_answers_in_time_wait_for_their_attempts_and_others_do_not(notes: Notes) -> None:
    first, second, third = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    notes.told(first)
    notes.told(second)
    notes.told(third, Cause.GONE)
    assert notes.missed == {third: Cause.GONE}
    assert taken(notes, held=0, with_in_time=False).told == {third: Cause.GONE}
    notes.told(third, Cause.UNKEPT)
    found = notes.take_told([second, third, uuid.uuid4()], at=NOON)
    assert found is not None
    assert (found.told, found.held) == ({second: Cause.NONE, third: Cause.UNKEPT}, None)
    assert taken(notes).told == {first: Cause.NONE}


def test_attempts_that_were_kept_do_not_wait_for_the_many_that_were_not(notes: Notes, monkeypatch) -> None:
    monkeypatch.setattr(notes_module, "AT_ONCE", 1)
    unkept, gone = uuid.uuid4(), uuid.uuid4()
    notes.told(unkept, Cause.UNKEPT)
    assert (notes.missed_count, notes.take_missed(at=NOON)) == (0, None)
    notes.told(gone, Cause.GONE)
    assert (notes.missed_count, notes.missed) == (1, {gone: Cause.GONE, unkept: Cause.UNKEPT})
    assert taken(notes).told == {gone: Cause.GONE, unkept: Cause.UNKEPT}


def test_no_transaction_stores_more_than_a_part(notes: Notes, monkeypatch) -> None:
    monkeypatch.setattr(notes_module, "AT_ONCE", 3)
    monkeypatch.setattr(notes_module, "TOLD_AT_ONCE", 2)
    for number in range(4):
        notes.refuse(number, refusal())
        notes.told(uuid.uuid4(), Cause.GONE)
    for _ in range(3):
        notes.told(uuid.uuid4())
    assert notes.is_full
    first, rest = taken(notes), taken(notes)
    assert (len(first.refusals), len(first.told), len(rest.refusals), len(rest.told)) == (3, 3 + 2, 1, 1 + 1)
    assert not notes.is_full


def test_notes_that_are_put_back_come_again_before_later_ones(notes: Notes, monkeypatch) -> None:
    monkeypatch.setattr(notes_module, "MOST_REFUSALS", 4)
    name = uuid.uuid4()
    for number in range(3):
        notes.refuse(number, refusal())
    notes.told(name)
    notes.proven(7, Sealed("before"))
    notes.proven(8, Sealed("before"))
    notes.gone(["web2-a"])
    first = taken(notes)
    notes.refuse(3, refusal())
    notes.refuse(4, refusal())
    notes.proven(8, Sealed("now"))
    notes.put_back(first)
    again = taken(notes)
    assert [endpoint for endpoint, _refusal in again.refusals] == [1, 2, 3, 4]
    assert (again.told, again.proven, again.gone) == (
        {name: Cause.NONE},
        {7: Sealed("before"), 8: Sealed("now")},
        {"web2-a"},
    )
    assert notes.dropped_refusals == 1
