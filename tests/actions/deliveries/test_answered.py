"""Whether OpenTrain was answered in time is noted by the attempts' names."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, transaction

from dashboard.actions.deliveries.answered import Unnoted, note_answered
from dashboard.actions.deliveries.groups import record_group
from dashboard.actions.deliveries.record import mark_requested
from dashboard.models import Attempt, Delivery
from dashboard.rules.attempts import RecordedAttempt
from dashboard.rules.causes import Cause
from dashboard.rules.deliveries import Standing
from tests.actions.deliveries.recorded import attempt, in_thread
from tests.factories import NOON, make_endpoint

LATER = NOON + timedelta(minutes=1)
STATE = ("last_ok", "last_cause", "last_status", "standing", "attempts_in_round")


def recorded(*given: RecordedAttempt) -> None:
    for one in given:
        record_group(attempts=[one])


@pytest.mark.django_db
def test_answers_are_noted_and_unknown_names_ignored() -> None:
    endpoint = make_endpoint()
    given = [attempt(endpoint, name) for name in ("yes", "no", "unknown")]
    recorded(*given)
    assert note_answered({given[0].id: Cause.NONE, given[1].id: Cause.GONE, uuid.uuid4(): Cause.NONE}) == Unnoted()
    rows = Attempt.objects.values_list("delivery__opentrain_id", "answered_in_time")
    assert dict(rows) == {"yes": True, "no": False, "unknown": None}


@pytest.mark.django_db
@pytest.mark.parametrize("known", [True, False])
def test_what_is_known_is_not_changed(known: bool) -> None:
    given = attempt(make_endpoint(), answered_in_time=known)
    recorded(given)
    for said in (Cause.NONE, Cause.GONE):
        assert note_answered({given.id: said}) == Unnoted()
    assert Attempt.objects.values_list("answered_in_time", "ok").get() == (known, known)


@pytest.mark.django_db
@pytest.mark.parametrize(("why", "status", "in_time"), [(Cause.GONE, 200, False), (Cause.UNKEPT, 503, None)])
def test_attempt_that_opentrain_got_no_answer_to_fails_and_its_delivery_waits_for_the_next(
    why: Cause, status: int, in_time: bool | None
) -> None:
    endpoint = make_endpoint()
    given = attempt(endpoint)
    recorded(given)
    assert Delivery.objects.get().standing == Standing.DELIVERED
    assert note_answered({given.id: why}) == Unnoted()
    changed = Attempt.objects.values_list("ok", "cause", "answered_status", "answered_in_time", "handler_status").get()
    assert changed == (False, why, status, in_time, 200)
    assert Delivery.objects.values_list(*STATE).get() == (False, why, status, Standing.RETRYING, 1)
    assert Delivery.objects.get().due_by is not None
    # What comes next is OpenTrain's second attempt, and no new round.
    recorded(attempt(endpoint, received_at=LATER))
    assert Delivery.objects.values_list(*STATE).get() == (True, "", 200, Standing.DELIVERED, 2)


@pytest.mark.django_db
def test_failed_attempt_keeps_its_cause_and_its_delivery_stays_as_it_is() -> None:
    given = attempt(make_endpoint(), answered_status=500, handler_status=500, cause="status")
    recorded(given)
    before = Delivery.objects.values_list(*STATE).get()
    note_answered({given.id: Cause.GONE})
    assert Attempt.objects.values_list("ok", "cause", "answered_in_time").get() == (False, "status", False)
    assert Delivery.objects.values_list(*STATE).get() == before


@pytest.mark.django_db
def test_delivery_keeps_the_state_of_a_later_attempt() -> None:
    endpoint = make_endpoint()
    given = attempt(endpoint)
    recorded(given, attempt(endpoint, received_at=LATER))
    note_answered({given.id: Cause.GONE})
    assert list(Attempt.objects.values_list("ok", flat=True)) == [False, True]
    assert Delivery.objects.values_list("last_ok", "last_attempt_at").get() == (True, LATER)


@pytest.mark.django_db
def test_requested_delivery_stays_requested() -> None:
    given = attempt(make_endpoint())
    recorded(given)
    mark_requested(delivery=Delivery.objects.get(), at=NOON + timedelta(seconds=1))
    note_answered({given.id: Cause.GONE})
    assert Delivery.objects.values_list("last_ok", "standing").get() == (False, Standing.REQUESTED_AGAIN)


@pytest.mark.django_db
def test_attempt_that_the_log_lacks_is_returned() -> None:
    name = uuid.uuid4()
    assert note_answered({name: Cause.GONE}) == Unnoted(missing=frozenset([name]))


@pytest.mark.django_db(transaction=True)
def test_attempt_of_a_locked_delivery_is_returned_and_nobody_waits() -> None:
    given = attempt(make_endpoint())
    recorded(given)
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        Delivery.objects.select_for_update().get()
        noted = in_thread(pool, partial(note_answered, {given.id: Cause.GONE})).result(timeout=60)
    assert noted == Unnoted(locked=frozenset([given.id]))
    assert note_answered({given.id: Cause.GONE}) == Unnoted()
    assert not Delivery.objects.get().last_ok


@pytest.mark.django_db(transaction=True)
def test_commit_that_waits_for_no_disk_is_this_one_only() -> None:
    note_answered({uuid.uuid4(): Cause.NONE})
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        after = cursor.fetchone()
        cursor.execute("RESET synchronous_commit")
        cursor.execute("SHOW synchronous_commit")
        assert after == cursor.fetchone()
