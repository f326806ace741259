"""The endpoints of installs, counted by health."""

import pytest
from django.utils import timezone

from dashboard.models import Install
from dashboard.queries import install_endpoints
from dashboard.queries.health_counts import health_counts
from dashboard.rules.endpoints import endpoint_health
from tests.factories import make_endpoint, make_endpoints, make_install

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
    installs = [*Install.objects.filter(pk__in=[first.pk, second.pk, empty.pk])]
    with django_assert_num_queries(1):
        endpoints = install_endpoints.of_installs(installs)
        found = health_counts(installs=installs, endpoints=endpoints)
    assert [(health.kind, count) for health, count in found[first.pk]] == [
        ("disabled", 1), ("at_risk", 1), ("failing", 2), ("paused", 1), ("active", 2)
    ]  # fmt: skip
    assert {pk: sum(count for _health, count in counts) for pk, counts in found.items()} == {first.pk: 7, second.pk: 1}


@pytest.mark.parametrize("failures", [(3, 6), (6, 3)])
def test_count_of_several_says_the_worst_of_them(failures: tuple[int, int]) -> None:
    install = make_install()
    for each in failures:
        make_endpoint(install=install, consecutive_failures=each)
    found = health_counts(installs=[install], endpoints=install_endpoints.of_installs([install]))
    assert found == {install.pk: [(endpoint_health(status="ACTIVE", consecutive_failures=6), 2)]}


def test_endpoints_of_other_installs_are_not_counted() -> None:
    asked, other = make_endpoint(), make_endpoint()
    endpoints = install_endpoints.of_installs([asked.install, other.install])
    assert set(health_counts(installs=[asked.install], endpoints=endpoints)) == {asked.install_id}


def test_endpoints_of_an_install_with_many_are_counted_in_the_database_alike(
    django_assert_num_queries,
) -> None:
    few, many = make_install(), make_install()
    for install in (few, many):
        for failures in (0, 3, 4, 8):
            make_endpoint(install=install, consecutive_failures=failures)
        make_endpoint(install=install, status="DISABLED")
    make_endpoint(install=many, deleted_at=timezone.now())
    make_endpoints(install=many, count=install_endpoints.FEW)
    installs = [*Install.objects.filter(pk__in=[few.pk, many.pk])]
    endpoints = install_endpoints.of_installs(installs)
    assert {one.install_id for one in endpoints} == {few.pk}
    with django_assert_num_queries(1):
        found = health_counts(installs=installs, endpoints=endpoints)
    counted = {pk: [(health.kind, count) for health, count in counts] for pk, counts in found.items()}
    assert counted[few.pk] == [("at_risk", 1), ("failing", 2), ("paused", 1), ("active", 1)]
    assert counted[many.pk] == [*counted[few.pk][:-1], ("active", 1 + install_endpoints.FEW)]


def test_nothing_is_asked_for_no_install(django_assert_num_queries) -> None:
    with django_assert_num_queries(0):
        assert not health_counts(installs=[], endpoints=install_endpoints.of_installs([]))
