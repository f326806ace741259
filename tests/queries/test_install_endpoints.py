"""The registered endpoints of the installs on a page, read in one query with their last attempts."""

from datetime import timedelta

import pytest
from django.utils import timezone

from dashboard.models import Install
from dashboard.queries import install_endpoints
from tests.factories import NOON, make_delivery, make_endpoint, make_failed_delivery, make_install

pytestmark = pytest.mark.django_db


def test_registered_endpoints_are_read_with_what_the_log_has_of_them_last(django_assert_num_queries) -> None:
    install = make_install()
    tried, quiet = make_endpoint(install=install, consecutive_failures=4), make_endpoint(receiver_key=None)
    make_delivery(endpoint=tried, last_attempt_at=NOON - timedelta(hours=2))
    make_failed_delivery(endpoint=tried, last_attempt_at=NOON)
    make_endpoint(install=install, deleted_at=timezone.now())
    make_endpoint(install=install, opentrain_id=None)
    make_endpoint(install=make_install())  # not asked for
    with django_assert_num_queries(1):
        read = install_endpoints.of_installs([install, quiet.install])
    found = {one.pk: one for one in read}
    assert set(found) == {tried.pk, quiet.pk}
    assert (found[tried.pk].last_at, found[tried.pk].last_ok) == (NOON, False)
    assert (found[quiet.pk].last_at, found[quiet.pk].last_ok) == (None, None)
    for endpoint in (tried, quiet):
        one = found[endpoint.pk]
        read_alike = ("install_id", "status", "consecutive_failures", "url", "receiver_key", "routed_at", "created_at")
        assert [getattr(one, name) for name in read_alike] == [getattr(endpoint, name) for name in read_alike]
        assert (one.is_observed, one.observed_at) == (
            bool(endpoint.observation_key_sha256),
            endpoint.observation_key_at,
        )


def test_an_install_with_many_is_left_to_its_own_page(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries
) -> None:
    monkeypatch.setattr(install_endpoints, "FEW", 2)
    few, many = make_install(), make_install()
    for install, count in ((few, 2), (many, 3)):
        for _ in range(count):
            make_endpoint(install=install)
    installs = list(Install.objects.order_by("pk"))
    assert [install_endpoints.are_few(one) for one in installs] == [True, False]
    assert {one.install_id for one in install_endpoints.of_installs(installs)} == {few.pk}
    with django_assert_num_queries(0):
        assert install_endpoints.of_installs([installs[1]]) == []
