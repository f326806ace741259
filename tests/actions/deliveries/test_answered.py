"""Whether OpenTrain was answered in time is noted by the attempts' names."""

import uuid

import pytest
from django.db import connection, transaction

from dashboard.actions.deliveries.answered import note_answered
from dashboard.actions.deliveries.groups import record_group
from dashboard.models import Attempt
from tests.factories import make_endpoint
from tests.receiver.journals import attempt


@pytest.mark.django_db
def test_answers_are_noted_and_unknown_names_ignored() -> None:
    endpoint = make_endpoint()
    given = [attempt(endpoint, name) for name in ("yes", "no", "unknown")]
    record_group(attempts=given)
    note_answered({given[0].id: True, given[1].id: False, uuid.uuid4(): True})
    rows = Attempt.objects.values_list("delivery__opentrain_id", "answered_in_time")
    assert dict(rows) == {"yes": True, "no": False, "unknown": None}


@pytest.mark.django_db
def test_what_is_known_is_not_changed() -> None:
    given = attempt(make_endpoint(), answered_in_time=False)
    record_group(attempts=[given])
    note_answered({given.id: True})
    assert Attempt.objects.get().answered_in_time is False


@pytest.mark.django_db(transaction=True)
def test_commit_that_waits_for_no_disk_is_this_one_only() -> None:
    note_answered({uuid.uuid4(): True})
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        after = cursor.fetchone()
        cursor.execute("RESET synchronous_commit")
        cursor.execute("SHOW synchronous_commit")
        assert after == cursor.fetchone()
