"""What waits in a spool enters the log in order, and what the log cannot take is set aside."""

import logging
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import OperationalError

from dashboard.models import Attempt, Delivery
from dashboard.receiver import replay
from dashboard.receiver.replay import replay_some
from dashboard.receiver.spool import Spool
from dashboard.rules.attempt_codec import to_bytes
from dashboard.rules.causes import Cause
from tests.factories import NOON, make_endpoint
from tests.receiver.journals import KEY, ROOM, attempt, attempts, in_log

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path, keys=[KEY], max_bytes=ROOM)
    yield made
    made.close()


def test_empty_spool_has_nothing_to_replay(spool: Spool) -> None:
    assert replay_some(spool) is None


def test_attempts_enter_the_log_in_order_and_leave_the_spool(spool: Spool) -> None:
    endpoint = make_endpoint()
    given = attempts(endpoint, 700)
    spool.append([to_bytes(one) for one in given])
    replayed = []
    while (some := replay_some(spool)) is not None:
        replayed += some.ids
        assert some.refused == 0
    assert replayed == [one.id for one in given]
    assert in_log(endpoint) == [one.event.delivery_id for one in given]
    assert spool.is_empty


def test_attempt_that_is_in_the_log_is_not_recorded_again(spool: Spool) -> None:
    endpoint = make_endpoint()
    given = attempt(endpoint)
    for _time in range(2):
        spool.append([to_bytes(given)])
        some = replay_some(spool)
        assert some is not None
        assert some.ids == [given.id]
    assert Delivery.objects.get().attempt_count == 1


@pytest.mark.parametrize(("why", "status"), [(Cause.GONE, 200), (Cause.UNKEPT, 503)])
def test_attempt_that_opentrain_got_no_answer_to_is_followed_by_its_retry_and_no_new_round(
    spool: Spool, why: Cause, status: int
) -> None:
    endpoint = make_endpoint()
    given = [attempt(endpoint), attempt(endpoint, received_at=NOON + timedelta(minutes=1))]
    spool.append([to_bytes(one) for one in given])
    replay_some(spool, unanswered={given[0].id: why, uuid.uuid4(): Cause.GONE})
    rows = Attempt.objects.values_list("ok", "cause", "answered_status", "handler_status")
    assert list(rows) == [(False, why, status, 200), (True, "", 200, 200)]
    assert Delivery.objects.values_list("last_ok", "attempts_in_round").get() == (True, 2)


def test_what_the_log_refuses_or_nobody_can_read_is_set_aside(spool: Spool, caplog) -> None:
    endpoint = make_endpoint()
    good, bad = attempt(endpoint, "good"), attempt(endpoint, "bad", cause="x" * 500)
    spool.append([to_bytes(bad), b"\xff of a later release", to_bytes(good)])
    with caplog.at_level(logging.ERROR):
        some = replay_some(spool)
    assert some is not None
    assert (some.ids, some.refused, spool.refused, spool.is_empty) == ([good.id], 2, 2, True)
    assert in_log(endpoint) == ["good"]
    assert len(list(spool.folder.glob("*.aside"))) == 1
    assert f"refuses attempt {bad.id} of endpoint {endpoint.pk}: DataError" in caplog.text
    assert "newer release" in caplog.text
    assert "xxx" not in caplog.text


def test_nothing_leaves_the_spool_while_the_database_is_away(spool: Spool, monkeypatch) -> None:
    spool.append([to_bytes(attempt(make_endpoint()))])

    def away(**_given):
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(replay, "record_group", away)
    with pytest.raises(OperationalError):
        replay_some(spool)
    assert spool.waiting == 1
