"""Installs of the Partner API: what those of one organization share, and which ones are refused."""

import pytest

from dashboard.partner_api import installs
from dashboard.partner_api.models import Install
from tests.partner_api.conftest import THEN


def test_two_installs_of_one_organization_share_app_and_organization(db: None) -> None:
    one, two = (
        installs.create(organization="Acme Labs", app_name="Tool", scopes=["contracts:read"], now=THEN)
        for _ in range(2)
    )
    rows = Install.objects.filter(pk__in=[one.install_id, two.install_id]).values_list("organization_id", "app__slug")
    assert list(rows) == [("org_acme-labs", "tool")] * 2
    assert one.token != two.token
    assert one.token not in repr(one)


def test_long_names_that_begin_alike_are_two_apps_and_two_organizations(db: None) -> None:
    for name in ("a" * 60 + " one", "a" * 60 + " two", "a" * 50):
        installs.create(organization=name, app_name=name, scopes=["contracts:read"], now=THEN)
    found = Install.objects.values_list("organization_id", "app__slug")
    assert len(set(found)) == 3
    assert {len(slug) for _, slug in found} == {50}
    assert ("org_" + "a" * 50, "a" * 50) in found


@pytest.mark.parametrize(
    ("organization", "scopes", "words"),
    [
        ("Acme", ["webhooks:all"], "There is no scope webhooks:all"),
        ("Acme", [], r"There is no scope \(none\)"),
        (" ", ["contracts:read"], "need a name"),
    ],
)
def test_an_install_that_cannot_be_is_refused(db: None, organization: str, scopes: list[str], words: str) -> None:
    with pytest.raises(installs.Unusable, match=words):
        installs.create(organization=organization, app_name="Tool", scopes=scopes, now=THEN)
