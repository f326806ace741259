"""Installs of the same organization and app."""

from datetime import timedelta

import pytest

from dashboard.models import User
from dashboard.queries.reconnected import also_connected_as
from tests.factories import NOON, make_grant, make_install

pytestmark = pytest.mark.django_db


def test_other_installs_of_the_organization_and_app_are_found(support: User, partner_admin: User) -> None:
    same = {"organization_id": "org_1", "app_id": "app_1"}
    install = make_install(**same)
    later = make_install(**same, created_at=NOON + timedelta(days=1))
    earlier = make_install(**same, created_at=NOON - timedelta(days=1), status="REVOKED")
    make_install(organization_id="org_1", app_id="app_2")
    make_install(organization_id="org_2", app_id="app_1")
    assert list(also_connected_as(install=install, user=support)) == [earlier, later]
    assert list(also_connected_as(install=install, user=partner_admin)) == []
    make_grant(user=partner_admin, install=later)
    assert list(also_connected_as(install=install, user=partner_admin)) == [later]
