"""reconnect replaces the token, under the same ID or another one."""

import pytest

from dashboard.partner_api.models import Endpoint, Install
from tests.partner_api.conftest import Partner, make_endpoint
from tests.partner_api.test_tasks import command

pytestmark = pytest.mark.urls("dashboard.partner_api.urls")


def test_reconnect_announces_the_revocation_and_issues_a_token_with_other_scopes(partner: Partner) -> None:
    make_endpoint(partner, event_types=["install.revoked"])
    [line] = command("reconnect", "--install", partner.install_id, "--scopes", "contracts:read")
    assert (line["install"], [event["type"] for event in line["events"]]) == (partner.install_id, ["install.revoked"])
    assert partner.call("GET", "/installs/current").status == 401
    again = Partner(install_id=line["install"], token=line["token"]).call("GET", "/installs/current").json["install"]
    assert (again["status"], again["scopes"], again["piiConsent"]) == ("ACTIVE", ["contracts:read"], False)
    assert again["token"]["scopes"] == ["contracts:read"]


def test_reconnect_after_a_disconnection_announces_nothing_more(partner: Partner) -> None:
    command("disconnect", "--install", partner.install_id)
    [line] = command("reconnect", "--install", partner.install_id)
    assert (line["events"], partner.install.status) == ([], "ACTIVE")
    assert Partner(install_id=line["install"], token=line["token"]).call("GET", "/contracts").status == 200


def test_reconnect_under_a_new_id_leaves_the_old_install_revoked_with_its_endpoints(partner: Partner) -> None:
    endpoint = make_endpoint(partner).endpoint
    before = partner.install
    [line] = command("reconnect", "--install", partner.install_id, "--new-id")
    after = Install.objects.get(pk=line["install"])
    assert line["install"] != partner.install_id
    assert (partner.install.status, after.status) == ("REVOKED", "ACTIVE")
    assert (after.organization_id, after.app_id, after.scopes) == (before.organization_id, before.app_id, before.scopes)
    assert Endpoint.objects.get(pk=endpoint.pk).install_id == partner.install_id
