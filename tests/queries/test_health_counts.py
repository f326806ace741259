"""The endpoints of installs, counted by health."""

import pytest
from django.utils import timezone

from dashboard.queries.health_counts import health_counts
from tests.factories import make_endpoint, make_install

pytestmark = pytest.mark.django_db


def test_registered_endpoints_of_each_install_are_counted_worst_first(django_assert_num_queries) -> None:
    first, second, empty = make_install(), make_install(), make_install()
    for failures in (0, 0, 3, 4, 8):
        make_endpoint(install=first, consecutive_failures=failures)
    make_endpoint(install=first, status="DISABLED")
    make_endpoint(install=first, status="DISABLED", consecutive_failures=10)
    make_endpoint(install=first, deleted_at=timezone.now())
    make_endpoint(install=first, opentrain_id=None)
    make_endpoint(install=second)
    make_endpoint(install=make_install())  # not asked for
    with django_assert_num_queries(1):
        found = health_counts(install_ids=[first.pk, second.pk, empty.pk])
    assert [(health.kind, count) for health, count in found[first.pk]] == [
        ("disabled", 1), ("at_risk", 1), ("failing", 2), ("paused", 1), ("active", 2)
    ]  # fmt: skip
    assert {pk: sum(count for _health, count in counts) for pk, counts in found.items()} == {first.pk: 7, second.pk: 1}


def test_nothing_is_asked_for_no_install(django_assert_num_queries) -> None:
    with django_assert_num_queries(0):
        assert not health_counts(install_ids=[])
