"""Which checks there are, and which endpoints were not stopped again after the time that was checked."""

from datetime import timedelta

import pytest

from dashboard.models import Install, User
from dashboard.queries import window_checks
from dashboard.queries.window_checks import checks_of, settled_lately
from dashboard.rules.window_checks import Check
from tests.factories import NOON, make_endpoint, make_install, make_window_check

pytestmark = pytest.mark.django_db
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def test_checks_are_told_by_endpoint(django_assert_num_queries) -> None:
    one, two, other = (make_endpoint() for _ in range(3))
    row = make_window_check(endpoint=one, since=NOON, until=NOON + MINUTE, note="Asked")
    for endpoint in (two, other):
        make_window_check(endpoint=endpoint, since=NOON, until=NOON + MINUTE)
    with django_assert_num_queries(1):
        found = checks_of([one.pk, two.pk])
    assert set(found) == {one.pk, two.pk}
    assert found[one.pk] == [Check(NOON, NOON + MINUTE, "ana", NOON + MINUTE, "Asked", row.pk)]


def test_settled_are_those_that_were_not_stopped_again(support: User) -> None:
    settled, again, never = (make_endpoint(stopped_seen_at=at) for at in (NOON + MINUTE, NOON + 5 * MINUTE, None))
    for endpoint in (settled, again, never):
        make_window_check(endpoint=endpoint, since=NOON, until=NOON + MINUTE)
    assert settled_lately(user=support, since=NOON) == [settled]
    assert settled_lately(user=support, since=NOON + 2 * MINUTE) == []


def test_settled_are_those_that_one_may_see_and_that_are_there(support: User, viewer: User, acme: Install) -> None:
    mine, gone = (make_endpoint(install=acme, stopped_seen_at=NOON, deleted_at=at) for at in (None, NOON))
    others = make_endpoint(stopped_seen_at=NOON)
    left = make_endpoint(install=make_install(disconnected_at=NOON), stopped_seen_at=NOON)
    for endpoint in (mine, gone, others, left):
        make_window_check(endpoint=endpoint, since=NOON - MINUTE, until=NOON)
    assert settled_lately(user=viewer, since=NOON - DAY) == [mine]
    assert {one.pk for one in settled_lately(user=support, since=NOON - DAY)} == {mine.pk, others.pk}


def test_settled_is_one_query_with_a_limit(
    support: User, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries
) -> None:
    monkeypatch.setattr(window_checks, "LATELY", 2)
    for late in range(3):
        endpoint = make_endpoint(stopped_seen_at=NOON + late * MINUTE)
        make_window_check(endpoint=endpoint, since=NOON - MINUTE, until=NOON + late * MINUTE)
    with django_assert_num_queries(1):
        found = settled_lately(user=support, since=NOON)
    assert [one.stopped_seen_at for one in found] == [NOON + 2 * MINUTE, NOON + MINUTE]
