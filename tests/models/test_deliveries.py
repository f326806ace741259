"""The delivery log's rows: who sees them, which are failed, and what the database refuses."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from dashboard.config.schedule import schedule
from dashboard.models import Attempt, Delivery, User
from dashboard.models.deliveries import MANY_ATTEMPTS
from dashboard.rules.deliveries import Standing
from tests.factories import (
    NOON,
    make_attempt,
    make_delivery,
    make_endpoint,
    make_failed_delivery,
    make_grant,
    make_install,
    make_refused_attempt,
    make_user,
)

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


def test_delivery_is_visible_with_its_install(support: User, outsider: User) -> None:
    install = make_install()
    delivery = make_delivery(endpoint=make_endpoint(install=install))
    granted = make_user(role="viewer")
    make_grant(user=granted, install=install)
    shown = [list(Delivery.objects.visible_to(user)) for user in (support, granted, outsider, make_user(role=""))]
    assert shown == [[delivery], [delivery], [], []]


def test_newest_first_goes_by_receipt_and_then_by_row() -> None:
    old, first, second = (make_delivery(first_received_at=at) for at in (NOON - SECOND, NOON, NOON))
    assert list(Delivery.objects.newest_first()) == [second, first, old]


def test_failed_are_those_that_opentrain_gave_up_and_nobody_requested() -> None:
    failed = make_failed_delivery()
    given_up = make_delivery(last_ok=False, abandoned_at=NOON)
    make_delivery()
    make_delivery(last_ok=False)
    make_failed_delivery(requested_at=NOON)
    assert set(Delivery.objects.failed()) == {failed, given_up}


def test_facts_are_the_rows_own() -> None:
    facts = make_failed_delivery(requested_at=NOON, abandoned_at=NOON - SECOND).facts
    assert (facts.last_ok, facts.attempts_in_round, facts.last_attempt_at) == (False, 5, NOON)
    assert (facts.requested_at, facts.abandoned_at) == (NOON, NOON - SECOND)


def test_settle_follows_the_facts_and_saves_nothing() -> None:
    delivery = make_delivery()
    assert (delivery.standing, delivery.due_by) == (Standing.DELIVERED, None)
    delivery.last_ok = False
    delivery.settle(schedule=schedule())
    assert delivery.standing == Standing.RETRYING
    assert delivery.due_by > NOON + schedule().retry_delays[0]
    assert Delivery.objects.get().standing == Standing.DELIVERED


@pytest.mark.parametrize(
    ("count", "found"), [(0, 1), (1, 1), (5, 5), (MANY_ATTEMPTS, MANY_ATTEMPTS), (100, MANY_ATTEMPTS)]
)
def test_attempts_are_of_few_classes(count: int, found: int) -> None:
    make_delivery(attempt_count=count)
    assert Delivery.objects.get().attempts_class == found


def refused(make: object) -> bool:
    try:
        with transaction.atomic():
            make()
    except IntegrityError:
        return True
    return False


def test_id_is_once_on_each_endpoint() -> None:
    endpoint = make_endpoint()
    make_delivery(endpoint=endpoint, opentrain_id="dlv_1")
    assert refused(lambda: make_delivery(endpoint=endpoint, opentrain_id="dlv_1"))
    assert not refused(lambda: make_delivery(opentrain_id="dlv_1"))


def test_attempts_are_numbered_once_and_read_in_that_order() -> None:
    delivery = make_delivery()
    for number in (2, 1):
        make_attempt(delivery=delivery, number=number)
    assert [str(attempt) for attempt in delivery.attempts.all()] == ["attempt 1", "attempt 2"]
    assert refused(lambda: make_attempt(delivery=delivery, number=2))


def test_observation_of_one_moment_is_once_and_a_receipt_is_not() -> None:
    delivery = make_delivery()
    observed = {"delivery": delivery, "source": Attempt.Source.OBSERVED}
    make_attempt(number=1, **observed)
    assert refused(lambda: make_attempt(number=2, **observed))
    assert not refused(lambda: make_attempt(number=2, delivery=delivery))
    assert not refused(lambda: make_attempt(number=3, received_at=NOON + SECOND, **observed))


def test_rows_say_what_they_are() -> None:
    assert str(make_delivery(opentrain_id="dlv_7")) == "dlv_7"
    assert str(make_refused_attempt()) == "mismatch at 2026-06-12 12:00:00"


def test_delivery_that_did_not_verify_is_marked() -> None:
    verdicts = ["verified", "", "mismatch", "unchecked"]
    made = [make_delivery(last_signature=verdict) for verdict in verdicts]
    assert [one.is_unverified for one in made] == [False, False, True, True]
