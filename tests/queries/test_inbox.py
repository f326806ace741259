"""Endpoints that need attention, worst first, with a summary of their log."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from dashboard.models import Endpoint, Silence, User
from dashboard.queries import inbox
from dashboard.queries.inbox import (
    LEFT_OVER_FOR,
    WINDOW,
    Logged,
    endpoints_needing_attention,
    logged,
    with_log,
    with_newest_run,
)
from dashboard.rules.deliveries import Standing
from dashboard.rules.failing import Failing
from tests.factories import (
    NOON,
    make_attempt,
    make_delivery,
    make_endpoint,
    make_failed_delivery,
    make_install,
    make_run,
)

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
LONG_AGO = NOON - timedelta(days=30)


def needy(user: User, *, now: Any = NOON) -> list[Endpoint]:
    return list(endpoints_needing_attention(user=user, now=now))


def test_endpoint_that_is_well_or_paused_needs_nobody(support: User) -> None:
    install = make_install()
    make_delivery(endpoint=make_endpoint(install=install))
    make_endpoint(install=install, status="DISABLED")
    make_endpoint(install=install, status="DISABLED", consecutive_failures=10, deleted_at=NOON)
    make_endpoint(install=install, opentrain_id=None, consecutive_failures=8)
    assert needy(support) == []


def test_worst_comes_first(support: User) -> None:
    install = make_install()
    seems_fine = make_endpoint(install=install)
    make_failed_delivery(endpoint=seems_fine)
    failing = make_endpoint(install=install, consecutive_failures=2)
    worse = make_endpoint(install=install, consecutive_failures=5)
    disabled = make_endpoint(install=install, status="DISABLED", consecutive_failures=10, disabled_at=NOON)
    disabled_with_failed = make_endpoint(install=install, status="DISABLED", consecutive_failures=10, disabled_at=NOON)
    make_failed_delivery(endpoint=disabled_with_failed)
    found = needy(support)
    assert found == [disabled_with_failed, disabled, worse, failing, seems_fine]
    assert {(one.total, one.seem_fine) for one in found} == {(5, 1)}


@pytest.mark.parametrize(("age", "needed"), [(LEFT_OVER_FOR - MINUTE, True), (LEFT_OVER_FOR, False)])
def test_failed_delivery_is_left_over_for_a_week(support: User, age: timedelta, needed: bool) -> None:
    make_failed_delivery(first_received_at=NOON - age)
    assert bool(needy(support)) is needed


@pytest.mark.parametrize(("came", "needed"), [(NOON - MINUTE, True), (NOON, True), (NOON + MINUTE, False)])
def test_silence_needs_a_person_until_a_delivery_ends_it(support: User, came: Any, needed: bool) -> None:
    endpoint = make_endpoint()
    Silence.objects.create(endpoint=endpoint, last_at=NOON, rhythm="hours", noticed_at=NOON)
    make_delivery(endpoint=endpoint, first_received_at=came)
    assert bool(needy(support)) is needed


def test_everyone_sees_their_own(support: User, partner_admin: User, outsider: User, acme: Any) -> None:
    mine, other = make_endpoint(install=acme, consecutive_failures=1), make_endpoint(consecutive_failures=2)
    assert [needy(user) for user in (support, partner_admin, outsider)] == [[other, mine], [mine], []]
    assert endpoints_needing_attention(user=partner_admin, now=NOON).get().total == 1


def test_newest_run_comes_along_active_or_ended() -> None:
    endpoint, later = make_endpoint(), NOON + timedelta(minutes=1)
    assert with_newest_run(Endpoint.objects.all()).get().newest_run is None
    make_run(endpoint=endpoint, state="done", ended_at=NOON)
    stopped = make_run(
        endpoint=endpoint, state="stopped", why="The handler returned 503.", created_at=later, ended_at=later
    )
    found = with_newest_run(Endpoint.objects.all()).get().newest_run
    assert (found["pk"], found["state"], found["why"]) == (stopped.pk, "stopped", "The handler returned 503.")
    assert datetime.fromisoformat(found["ended_at"]) == later
    active = make_run(endpoint=endpoint, created_at=later + timedelta(minutes=1))
    assert with_newest_run(Endpoint.objects.all()).get().newest_run["pk"] == active.pk


def log_of(endpoint: Endpoint, *, retried_since: Any = LONG_AGO) -> Logged:
    return logged(endpoint_ids=[endpoint.pk], retried_since=retried_since)[endpoint.pk]


def test_log_groups_what_fails_by_cause_most_first() -> None:
    endpoint = make_endpoint()
    for minute in (3, 2):
        make_failed_delivery(endpoint=endpoint, first_received_at=NOON - minute * MINUTE)
    make_failed_delivery(endpoint=endpoint, last_cause="timeout", last_status=504)
    retrying = make_delivery(endpoint=endpoint, last_ok=False, last_cause="status", last_status=503)
    make_failed_delivery()
    found = log_of(endpoint)
    assert found.failing[0] == Failing(Standing.FAILED, "status", 503, 2, NOON - 3 * MINUTE)
    assert set(found.failing[1:]) == {
        Failing(Standing.FAILED, "timeout", 504, 1, NOON),
        Failing(Standing.RETRYING, "status", 503, 1, NOON),
    }
    assert (found.count(Standing.FAILED), found.count(Standing.RETRYING), found.more) == (3, 1, False)
    assert (found.newest_at, found.next_due_by) == (NOON, retrying.due_by)


def test_log_of_an_endpoint_without_deliveries_is_empty() -> None:
    assert log_of(make_endpoint()) == Logged(None, 0, (), None)
    assert logged(endpoint_ids=[], retried_since=NOON) == {}


def test_more_than_is_counted_is_known_to_be_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "FAILING_COUNT_LIMIT", 2)
    endpoint = make_endpoint()
    for _ in range(4):
        make_failed_delivery(endpoint=endpoint)
    found = log_of(endpoint)
    assert (found.count(Standing.FAILED), found.more) == (3, True)


def fail(endpoint: Endpoint, *, minute: int, times: int = 1) -> None:
    at = NOON + minute * MINUTE
    delivery = make_delivery(endpoint=endpoint, first_received_at=at, last_attempt_at=at, last_ok=False)
    for number in range(times):
        make_attempt(delivery=delivery, number=number + 1, ok=False, received_at=at)


def test_failures_in_a_row_are_attempts_since_the_last_success() -> None:
    endpoint = make_endpoint()
    fail(endpoint, minute=0, times=4)
    succeeded = make_delivery(endpoint=endpoint, last_attempt_at=NOON + 2 * MINUTE)
    make_attempt(delivery=succeeded, received_at=NOON + 2 * MINUTE)
    fail(endpoint, minute=3, times=2)
    fail(endpoint, minute=4)
    assert log_of(endpoint).reached == 3


def test_failures_are_not_told_where_the_newest_deliveries_do_not_reach_back() -> None:
    endpoint = make_endpoint()
    for minute in range(WINDOW):
        fail(endpoint, minute=minute)
    assert log_of(endpoint, retried_since=NOON).reached == WINDOW
    assert log_of(endpoint, retried_since=NOON - MINUTE).reached is None


def test_endpoint_brings_the_same_in_its_own_query_where_opentrain_counts_failures() -> None:
    failing, well = make_endpoint(consecutive_failures=2), make_endpoint()
    fail(failing, minute=1, times=2)
    fail(well, minute=1)
    found = {one.pk: one for one in with_log(Endpoint.objects.all(), retried_since=LONG_AGO)}
    assert [(found[one.pk].newest_at, found[one.pk].reached) for one in (failing, well)] == [
        (NOON + MINUTE, 2),
        (NOON + MINUTE, None),
    ]
